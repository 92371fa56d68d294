"""Studies that were searched and confirmed, as they lie on disk."""

from typing import Any

from grokking.analysis import studies
from grokking.analysis.studies import Study
from grokking.catalogue import Catalogue
from grokking.search.pruner_audit import SearchTables
from grokking.storage import runs
from pipelines.common.paths import CONFIRMED, SEARCHES


def find_study(catalogue: Catalogue, name: str) -> Study | None:
    """A study with its trials and confirmed arms; None where it was not run."""
    config = catalogue.entry("studies", name)
    task = catalogue.entry("tasks", config["experiment"]["task"])
    return studies.read(name, config, task, SEARCHES / name, CONFIRMED / name)


def search_tables(study: Study) -> SearchTables:
    """The search's own tables, for what its rules were worth."""
    budget, objective = int(study.config["experiment"]["budget"]), str(study.config["objective"])
    return SearchTables.read(SEARCHES / study.name, budget, objective)


def machine(study: Study) -> dict[str, Any]:
    """What the winner was confirmed on."""
    return dict(runs.read(CONFIRMED / study.name / "winner").facts["machine"])
