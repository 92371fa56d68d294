"""Stage `report_studies`: the page of all studies that have one of their own, and the long ones as numbers.

It reads what `report_search` wrote, so a study that is run again needs none of the others' trials.
"""

import json
from typing import Any

import pandas as pd

from grokking.analysis import study_pages
from grokking.catalogue import FILES, read_catalogue
from grokking.search import pruner_audit
from pipelines.common import reports
from pipelines.common.claims import require_claims
from pipelines.common.reports import JUDGEMENTS, NUMBERS, OVERVIEW, REPORTS, SEARCH_REPORTS
from pipelines.common.stage import run

NONE = "No study here was searched and confirmed.\n"


def main() -> None:
    catalogue = read_catalogue()
    found = [name for name in catalogue.names("studies") if (SEARCH_REPORTS / name / OVERVIEW).exists()]
    long = catalogue.names("studies", file=FILES[1])
    numbers = {name: reports.read_json(SEARCH_REPORTS / name / NUMBERS) for name in found if name in long}
    page, table, rules = tables(found) if found else (f"# Searches\n\n{NONE}", NONE, {})
    texts = {"searches.md": page, "searches_table.md": table}
    texts["searches.json"] = reports.as_json({"studies": numbers, "pruners": rules})
    require_claims({REPORTS / "searches.json": texts["searches.json"]})
    reports.write({REPORTS / name: text for name, text in texts.items()})


def tables(found: list[str]) -> tuple[str, str, dict[str, Any]]:
    """The page of these studies, its short table, and what each pruner would have done."""
    rows = pd.DataFrame([reports.read_json(SEARCH_REPORTS / name / OVERVIEW) for name in found])
    judgements = pd.concat([reports.read_judgements(SEARCH_REPORTS / name / JUDGEMENTS) for name in found])
    rules = pruner_audit.comparison(judgements)
    page = study_pages.overview(rows, rules, pruner_audit.by_rule(judgements))
    of_rules = json.loads(rules.set_index("pruner").to_json(orient="index"))  # which writes NaN as null
    return page, study_pages.short_table(rows), of_rules


if __name__ == "__main__":
    run(main)
