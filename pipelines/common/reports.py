"""Where reports are, what lies in the folders of diagnostics and studies, and the metrics of DVC."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.catalogue import FILES, Catalogue
from grokking.config import ConfigError

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"  # that compare experiments
DRAWN = REPORTS / "experiments"  # a folder of figures for each experiment
SUMMARY = REPORTS / "summary"  # metrics of DVC, a file for each experiment
SEARCH_REPORTS = REPORTS / "search"
SWEEP_REPORTS = REPORTS / "sweeps"  # of those of params.yaml; the others are with the long studies
EXPLORER = REPORTS / "explore.html"
EXPLORED, MOVING = REPORTS / "explore", "training.gif"  # pictures of the networks that the explorer shows
COMPARISONS = REPORTS / "extended"  # of each group of long runs
DIAGNOSTICS_TABLE, PORTRAIT = "diagnostics.parquet", "portrait.safetensors"
NETWORK = "network.safetensors"  # of each reproduction, after training: the replica that is portrayed
# in each study's folder: its row of the page of all studies, all its numbers, and what rules would have done
# to exempt replicas
OVERVIEW, NUMBERS, JUDGEMENTS = "overview.json", "results.json", "judgements.csv"
JUDGED = {"good", "stopped", "flops", "saved", "pruner", "rule"}  # columns of the judgements


def write(texts: Mapping[Path, str]) -> None:
    """Put files in place once all of them are written, so that a stage that fails leaves the earlier ones."""
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        _unfinished(file).write_text(text, encoding="utf-8")
    for file in texts:
        _unfinished(file).replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.unfinished")


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_json(file: Path) -> dict[str, Any]:
    """The numbers that a stage wrote; ConfigError where they are missing or damaged."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        raise damaged(file) from None


def read_judgements(file: Path) -> pd.DataFrame:
    """The table of what rules would have done; ConfigError where it is missing or damaged."""
    try:
        text = file.read_text(encoding="utf-8")
        found = pd.read_csv(io.StringIO(text))
    except (FileNotFoundError, ValueError):
        raise damaged(file) from None
    if not text.endswith("\n") or set(found) != JUDGED:
        raise damaged(file)
    return found


def damaged(file: Path) -> ConfigError:
    return ConfigError(
        f"{file} is missing or damaged; restore it (`git checkout -- {file}`), "
        "or run the stage that writes it again"
    )


def write_metrics(numbers: Mapping[str, Mapping[str, Any]]) -> None:
    """A file of DVC metrics for each name, and no others: `dvc metrics show` makes each a row."""
    shutil.rmtree(SUMMARY, ignore_errors=True)
    SUMMARY.mkdir(parents=True)
    write({SUMMARY / f"{name}.json": as_json(values) for name, values in numbers.items()})


def require_diagnostics(folder: Path) -> Path:
    """The folder of an experiment's diagnostics; ConfigError where there are none."""
    for name in (DIAGNOSTICS_TABLE, PORTRAIT):
        if not (folder / name).exists():
            raise ConfigError(f"{folder / name} is missing; run `dvc repro diagnose@{folder.name}` first")
    return folder


def sweep_reports(catalogue: Catalogue, name: str) -> Path:
    """The folder of a sweep's page: that of the default study, or that of the long studies."""
    default = name in catalogue.names("sweeps", file=FILES[0])
    return SWEEP_REPORTS if default else COMPARISONS / "sweeps"


def swept(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """The numbers of the sweeps of the default study whose page was made."""
    files = {name: SWEEP_REPORTS / f"{name}.json" for name in catalogue.names("sweeps", file=FILES[0])}
    return {name: read_json(file) for name, file in files.items() if file.exists()}
