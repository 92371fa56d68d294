"""Everything that `publish` shows in MLflow: trained experiments of either file, tuned methods, studies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grokking import figures
from grokking.analysis.nested import flat
from grokking.catalogue import Catalogue
from grokking.data import tasks
from grokking.search.results import read_key
from grokking.storage import runs
from grokking.tracking import store
from grokking.tracking.publish import Trained, split_digest
from grokking.tracking.studies import Searched
from pipelines.common import describing
from pipelines.common.paths import CONFIRMED, DIAGNOSTICS, RUNS, SEARCHES, SPLITS, TUNED
from pipelines.common.reports import DIAGNOSTICS_TABLE, DRAWN, NETWORK, SEARCH_REPORTS
from pipelines.common.studies import find_study

LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))
CURVES = Path("artifacts/figures")  # of runs that no report draws


def trained_runs(catalogue: Catalogue) -> Iterator[Trained]:
    """Every run of an entry of params.yaml or extended/params.yaml that is on disk."""
    for name in catalogue.names("experiments"):
        group = catalogue.group(name)
        drawn = DRAWN / name / "curves.png" if group == "systems" else CURVES / group / f"{name}.png"
        yield from _trained(catalogue, name, name, group, RUNS / group / name, drawn)
    for name in catalogue.names("tuning"):
        for run, part in ((f"{name}_tuning", "tuning"), (name, "confirmed")):
            figure = CURVES / "tuning" / f"{run}.png"
            yield from _trained(catalogue, run, name, "tuning", TUNED / name / part, figure)


def confirmed_arms(catalogue: Catalogue, study: str) -> Iterator[Trained]:
    """Every confirmed arm of a study that is on disk."""
    for folder in sorted((CONFIRMED / study).glob("*")):
        arm, figure = folder.name, SEARCH_REPORTS / study / f"{folder.name}.png"
        yield from _trained(catalogue, f"{study}_{arm}", study, "studies", folder, figure)


def _trained(
    catalogue: Catalogue, name: str, entry: str, group: str, folder: Path, figure: Path
) -> Iterator[Trained]:
    """The run of an entry, where it is on disk."""
    if not runs.exists(folder):
        return
    run = runs.read(folder)
    if not figure.exists():
        figures.curves(run.history, run.replicas, name, figure)
    task = str(run.replicas["task"].iloc[0])
    meta = tasks.read_meta(SPLITS / task)
    split = store.Split(task, SPLITS / task, split_digest(task, LOCKS), int(meta["equations"]))
    beside = describing.published(name, run)
    about = describing.about(
        catalogue, entry, group, name, run.replicas, str(meta["formula"]), beside.verdict
    )
    diagnosed = DIAGNOSTICS / group / name
    yield Trained(
        name, group, folder, split, figure, diagnosed / DIAGNOSTICS_TABLE, diagnosed / NETWORK, about,
        _data(catalogue, task, beside.text), beside.numbers, {"study": entry} if group == "studies" else {},
    )  # fmt: skip


def _data(catalogue: Catalogue, task: str, published: str) -> dict[str, Any]:
    """A task's operation, labels and split as parameters, so that runs can be compared by them.

    So is the published number, as text: as a metric it would lose that it is a bound.
    """
    entry = catalogue.entry("tasks", task)
    data = {f"data.{key}": value for key, value in flat(entry).items() if key != "split_seeds"}
    return data | ({"published": published} if published else {})


def searched_studies(catalogue: Catalogue) -> Iterator[Searched]:
    """Every study that was searched and confirmed."""
    for name in catalogue.names("studies"):
        study = find_study(catalogue, name)
        if study is not None:
            folder, drawn = SEARCHES / name, SEARCH_REPORTS / name
            yield Searched(study, read_key(folder), folder, drawn, SEARCH_REPORTS / f"{name}.md")
