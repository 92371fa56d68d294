"""The report of the default study as one HTML page; its figures lie beside it."""

import hashlib
import math
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.analysis.comparison import GROUPS
from grokking.analysis.pages import render
from grokking.analysis.phase_panels import panels
from grokking.analysis.phases import PHASES
from grokking.analysis.published import PUBLISHED
from grokking.analysis.results import generalized_text, in_steps, median_and_range, points, ratio_text
from grokking.analysis.sentences import of_summary
from grokking.storage.runs import Run

CURVES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
CAPTIONS = {  # of an experiment's figures that are there, in this order
    "curves": "Accuracy and loss on training (blue) and validation equations (red), a line per replica. "
    "Dashed: the medians of memorization and generalization.",
    "map": "Median step of generalization over the grid.",
    "diagnostics": "What is measured in the networks, over the steps, a line per replica. R_sum: how much of "
    "the logits depends on a + b alone. IPR and Gini: 1 where a neuron has one frequency. Circularity: "
    "1 where the tokens lie on circles. RQI: how regularly they lie. Class alignment: how alike the hidden "
    "vectors of one answer are. docs/diagnostics.md defines each.",
    "portrait": "One network's frequencies before and after training.",
    "progress": "When the circuit forms. Restricted loss keeps only the main frequencies, and falls as "
    "they suffice; excluded loss takes them away, and rises as the network depends on them.",
}


def html(
    results: Mapping[str, Any],
    comparison: pd.DataFrame,
    runs: Mapping[str, Run],
    sweeps: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> str:
    """The page; it shows figures and links to pages that lie in `folder`, where it will lie itself."""
    experiments = results["experiments"]
    systems = [_system(number, experiments) for number in _numbers(experiments)]
    return render(
        "report.html.jinja",
        comparison=comparison.drop(columns="source").to_dict("records"),
        sources=comparison["source"].tolist(),
        curves={name: curves(run) for name, run in runs.items()},
        first=next((s["main"] for s in systems if s["number"] == 2), None),
        systems=systems,
        others=_sentences(experiments, "none"),
        pictures={name: list(pictures(name, folder)) for name in runs},
        rows=_rows(experiments),
        sweeps={name: {**sweep, "panels": panels(sweep)} for name, sweep in sweeps.items()},
        phases=PHASES,
        warned=(folder / "figures/early_warning.png").exists(),
        long_studies=long_studies(folder),
        timing=results["timing"],
        code=", ".join(sorted({code[:12] for run in runs.values() for code in run.replicas["code"]})),
        commit=commit(("results/runs/systems", "results/diagnostics/systems", "params.yaml")),
        lock=hashlib.sha256(Path("requirements.lock").read_bytes()).hexdigest()[:12],
    )


def curves(run: Run) -> list[dict[str, list[float | None]]]:
    """Each replica's evaluations as lists, to four digits; None for what is no number, as JSON has no NaN."""
    return [
        {"step": replica["step"].tolist()}
        | {name: [_digits(value) for value in replica[name]] for name in CURVES}
        for _, replica in run.history.groupby("replica")
    ]


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def long_studies(folder: Path) -> dict[str, str]:
    """Titles of the groups of long runs that have a page."""
    return {name: g.title for name, g in GROUPS.items() if (folder / f"extended/{name}.md").exists()}


def pictures(name: str, folder: Path) -> Iterable[tuple[str, str]]:
    """File and caption of each figure that was drawn of an experiment."""
    for figure, caption in CAPTIONS.items():
        if (folder / f"experiments/{name}/{figure}.png").exists():
            yield f"experiments/{name}/{figure}.png", caption


def commit(paths: Iterable[str]) -> str:
    """The last commit that changed one of these paths; empty where there is no git."""
    command = ["git", "log", "-1", "--format=%h", "--abbrev=10", "--", *paths]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _numbers(experiments: Mapping[str, Any]) -> list[int]:
    return sorted({e["system"] for e in experiments.values() if isinstance(e["system"], int)})


def _system(number: int, experiments: Mapping[str, Any]) -> dict[str, Any]:
    """A system's section: what was published, and each of its experiments in a sentence."""
    known = [p for p in PUBLISHED if p.system == number]
    published = next((p for p in known if p.experiment in experiments), known[0])
    return {
        "number": number,
        "heading": f"System {number}: {published.setting}",
        "sentence": f"Published: generalization at step {published.with_threshold}.",
        "source": published.source,
        "main": published.experiment,
        "experiments": _sentences(experiments, number),
    }


def _sentences(experiments: Mapping[str, Any], system: int | str) -> dict[str, str]:
    own = {name: e for name, e in experiments.items() if e["system"] == system}
    return {
        name: ". ".join(f"{point}: {of_summary(found)}".lstrip(": ") for point, found in points(e).items())
        + "."
        for name, e in own.items()
    }


def _rows(experiments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per experiment, or per grid point of it."""
    return [
        {
            "experiment": name,
            "role": experiment["role"],
            "grid point": point,
            "generalized": generalized_text(found),
            "median step": median_and_range(found),
            "memorized at": in_steps(found["median_memorization_step"]),
            "ratio": ratio_text(found["median_ratio"]),
            "best final accuracy": f"{found['final_validation_accuracy_max']:.1%}",
            "budget": in_steps(found["budget"]),
        }
        for name, experiment in experiments.items()
        for point, found in points(experiment).items()
    ]
