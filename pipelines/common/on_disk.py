"""What is on disk to be published: runs of entries, studies, own runs; figures are drawn where they miss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grokking.catalogue import Catalogue
from grokking.search.results import read_key
from grokking.storage import runs
from grokking.tracking.publish import Trained
from grokking.tracking.registry import Model
from grokking.tracking.studies import Searched
from grokking.tracking.sweeps import Swept
from pipelines.common.models import best_models
from pipelines.common.own import own_runs
from pipelines.common.paths import CONFIRMED, RUNS, SEARCHES, SWEEPS, TUNED
from pipelines.common.reports import DRAWN, SEARCH_REPORTS, sweep_reports
from pipelines.common.studies import find_study

CURVES = Path("artifacts/figures")  # of runs that no report draws


@dataclass(frozen=True)
class RunOnDisk:
    """A trained run of an entry of params.yaml or extended/params.yaml."""

    name: str
    entry: str
    group: str  # of experiments, or the section of params.yaml
    folder: Path
    figure: Path

    @property
    def fingerprint(self) -> str:
        return str(runs.read_facts(self.folder / "run.json")["fingerprint"])


@dataclass(frozen=True)
class OnDisk:
    """All there is, in the order in which it is published."""

    runs: Sequence[RunOnDisk]
    studies: Sequence[tuple[Searched, Sequence[RunOnDisk]]]  # each with its confirmed arms
    own: Sequence[Trained]
    models: Sequence[Model]
    sweeps: Sequence[Swept]

    @property
    def all_runs(self) -> list[RunOnDisk]:
        return [*self.runs, *(arm for _, arms in self.studies for arm in arms)]

    def __len__(self) -> int:
        return len(self.all_runs) + len(self.studies) + len(self.own) + len(self.models) + len(self.sweeps)

    def fingerprints(self) -> dict[str, str]:
        """By group and name; own runs have none, as DVC does not know them."""
        of_runs = {f"{run.group}/{run.name}": run.fingerprint for run in self.all_runs}
        of_studies = {f"studies/{searched.study.name}": searched.key for searched, _ in self.studies}
        return of_runs | of_studies | {f"sweeps/{swept.name}": swept.fingerprint for swept in self.sweeps}


def find(catalogue: Catalogue) -> OnDisk:
    found = [*_experiments(catalogue), *_tuned_methods(catalogue)]
    studies = [(searched, _arms(searched.study.name)) for searched in searched_studies(catalogue)]
    trained = [run for run in found if runs.exists(run.folder)]
    return OnDisk(trained, studies, list(own_runs()), list(best_models()), list(_sweeps(catalogue)))


def _experiments(catalogue: Catalogue) -> Iterator[RunOnDisk]:
    for name in catalogue.names("experiments"):
        group = catalogue.group(name)
        drawn = DRAWN / name / "curves.png" if group == "systems" else CURVES / group / f"{name}.png"
        yield RunOnDisk(name, name, group, RUNS / group / name, drawn)


def _tuned_methods(catalogue: Catalogue) -> Iterator[RunOnDisk]:
    for name in catalogue.names("tuning"):
        for run, part in ((f"{name}_tuning", "tuning"), (name, "confirmed")):
            yield RunOnDisk(run, name, "tuning", TUNED / name / part, CURVES / "tuning" / f"{run}.png")


def _sweeps(catalogue: Catalogue) -> Iterator[Swept]:
    """Every sweep that was run to its end."""
    for name in catalogue.names("sweeps"):
        if (SWEEPS / name / "run.json").exists():
            yield Swept(name, SWEEPS / name, sweep_reports(catalogue, name) / f"{name}.md")


def _arms(study: str) -> list[RunOnDisk]:
    """The confirmed arms of a study."""
    folders = [folder for folder in sorted((CONFIRMED / study).glob("*")) if runs.exists(folder)]
    return [
        RunOnDisk(f"{study}_{arm.name}", study, "studies", arm, SEARCH_REPORTS / study / f"{arm.name}.png")
        for arm in folders
    ]


def searched_studies(catalogue: Catalogue) -> Iterator[Searched]:
    """Every study that was searched and confirmed."""
    for name in catalogue.names("studies"):
        study = find_study(catalogue, name)
        if study is not None:
            folder, drawn = SEARCHES / name, SEARCH_REPORTS / name
            yield Searched(study, read_key(folder), folder, drawn, SEARCH_REPORTS / f"{name}.md")


def draw(run: RunOnDisk) -> None:
    """The curves of all its replicas."""
    from grokking import figures  # takes a second, and most often nothing is missing

    read = runs.read(run.folder)
    figures.curves(read.history, read.replicas, run.name, run.figure)
