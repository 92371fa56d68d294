"""Stage `report_studies`: the page of all studies that have one of their own, and the long ones as numbers.

It reads what `report_search` wrote, so a study that is run again needs none of the others' trials.
"""

import json

import pandas as pd

from grokking.analysis import study_pages
from grokking.catalogue import FILES, read_catalogue
from grokking.config import ConfigError
from grokking.search import pruner_audit
from pipelines.common.reports import JUDGEMENTS, NUMBERS, OVERVIEW, REPORTS, SEARCH_REPORTS, as_json, write
from pipelines.common.stage import run


def main() -> None:
    catalogue = read_catalogue()
    found = [name for name in catalogue.names("studies") if (SEARCH_REPORTS / name / OVERVIEW).exists()]
    if not found:
        raise ConfigError("no study has a page yet; run `dvc repro report_search@quick` first")
    rows = pd.DataFrame([read(f"{name}/{OVERVIEW}") for name in found])
    judgements = pd.concat([pd.read_csv(SEARCH_REPORTS / name / JUDGEMENTS) for name in found])
    rules = pruner_audit.comparison(judgements)
    page = study_pages.overview(rows, rules, pruner_audit.by_rule(judgements))
    of_rules = json.loads(rules.set_index("pruner").to_json(orient="index"))  # which writes NaN as null
    long = catalogue.names("studies", file=FILES[1])
    numbers = {name: read(f"{name}/{NUMBERS}") for name in found if name in long}
    texts = {"searches.md": page, "searches_table.md": study_pages.short_table(rows)}
    texts["searches.json"] = as_json({"studies": numbers, "pruners": of_rules})
    write({REPORTS / name: text for name, text in texts.items()})


def read(file: str) -> dict:
    return dict(json.loads((SEARCH_REPORTS / file).read_text(encoding="utf-8")))


if __name__ == "__main__":
    run(main)
