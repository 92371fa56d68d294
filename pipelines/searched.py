"""Where the reports of studies are, and the studies as they were run; apart from `stage`, see `diagnosed`."""

import json
from typing import Any

from grokking.analysis import studies
from grokking.analysis.studies import Study
from grokking.search.pruner_audit import SearchTables
from pipelines.stage import CONFIRMED, REPORTS, SEARCHES

SEARCH_REPORTS = REPORTS / "search"
# In each study's folder there: its row of the page of all studies, what rules would have done to exempt ones
OVERVIEW, JUDGEMENTS = "overview.json", "judgements.csv"


def read_study(params: dict[str, dict[str, Any]], section: str, name: str) -> Study | None:
    """A study with its trials and confirmed arms; None where it was not run."""
    return studies.read(name, section, params, SEARCHES / name, CONFIRMED / name)


def tables(study: Study) -> SearchTables:
    """The search's own tables, for what its rules were worth."""
    return SearchTables.read(SEARCHES / study.name, int(study.config["experiment"]["budget"]))


def machine(study: Study) -> dict[str, Any]:
    """What the winner was confirmed on."""
    run = json.loads((CONFIRMED / study.name / "winner" / "run.json").read_text())
    return dict(run["machine"])
