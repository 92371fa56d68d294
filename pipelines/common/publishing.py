"""Everything that `publish` shows in MLflow: trained experiments of either file, tuned methods, studies."""

from collections.abc import Iterator
from pathlib import Path

from grokking import figures
from grokking.catalogue import Catalogue
from grokking.search.results import read_key
from grokking.storage import runs
from grokking.tracking import store
from grokking.tracking.publish import Trained, split_digest
from grokking.tracking.studies import Searched
from pipelines.common.paths import CONFIRMED, DIAGNOSTICS, RUNS, SEARCHES, SPLITS, TUNED
from pipelines.common.reports import DIAGNOSTICS_TABLE, DRAWN, SEARCH_REPORTS
from pipelines.common.studies import find_study

LOCKS = (Path("extended/dvc.lock"), Path("dvc.lock"))
CURVES = Path("artifacts/figures")  # of runs that no report draws


def trained_runs(catalogue: Catalogue) -> Iterator[Trained]:
    """Every run of an entry of params.yaml or extended/params.yaml that is on disk."""
    for name, group, folder, figure in _runs(catalogue):
        if runs.exists(folder):
            yield _trained(name, group, folder, figure)


def _runs(catalogue: Catalogue) -> Iterator[tuple[str, str, Path, Path]]:
    """Name, group and folder of whatever may have been trained, and where its curves are drawn."""
    for name in catalogue.names("experiments"):
        group = catalogue.group(name)
        drawn = DRAWN / name / "curves.png" if group == "systems" else CURVES / group / f"{name}.png"
        yield name, group, RUNS / group / name, drawn
    for name in catalogue.names("tuning"):
        for run, part in ((f"{name}_tuning", "tuning"), (name, "confirmed")):
            yield run, "tuning", TUNED / name / part, CURVES / "tuning" / f"{run}.png"
    for name in catalogue.names("studies"):
        for folder in sorted((CONFIRMED / name).glob("*")):
            arm = folder.name
            yield f"{name}_{arm}", "studies", folder, SEARCH_REPORTS / name / f"{arm}.png"


def _trained(name: str, group: str, folder: Path, figure: Path) -> Trained:
    run = runs.read(folder)
    if not figure.exists():
        figures.curves(run.history, run.replicas, name, figure)
    task = str(run.replicas["task"].iloc[0])
    split = store.Split(task, SPLITS / task, split_digest(task, LOCKS))
    return Trained(name, group, folder, split, figure, DIAGNOSTICS / group / name / DIAGNOSTICS_TABLE)


def searched_studies(catalogue: Catalogue) -> Iterator[Searched]:
    """Every study that was searched and confirmed."""
    for name in catalogue.names("studies"):
        study = find_study(catalogue, name)
        if study is not None:
            yield Searched(study, read_key(SEARCHES / name), SEARCHES / name, SEARCH_REPORTS / name)
