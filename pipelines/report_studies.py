"""Stage `report_studies`: the page of all studies that have one of their own, and the long ones as numbers.

It reads what `report_search` wrote, so a study that is run again needs none of the others' trials.
"""

import json

import pandas as pd

from grokking.analysis import pages, study_pages
from grokking.config import ConfigError, read_params
from grokking.search import pruner_audit
from pipelines.searched import JUDGEMENTS, OVERVIEW, SEARCH_REPORTS
from pipelines.stage import PARAMS, README, STUDY_SECTIONS, run


def main() -> None:
    params = read_params(PARAMS)
    named = [name for section in STUDY_SECTIONS for name in params[section]]
    found = [name for name in named if (SEARCH_REPORTS / name / OVERVIEW).exists()]
    if not found:
        raise ConfigError("no study has a page yet; run `dvc repro report_search@quick` first")
    rows = pd.DataFrame([read(f"{name}/{OVERVIEW}") for name in found])
    judgements = pd.concat([pd.read_csv(SEARCH_REPORTS / name / JUDGEMENTS) for name in found])
    rules = pruner_audit.comparison(judgements)
    page = study_pages.overview(rows, rules, pruner_audit.by_rule(judgements))
    README.write_text(pages.with_table(README.read_text(), study_pages.readme_table(rows), pages.SEARCHES))
    (SEARCH_REPORTS / "README.md").write_text(page)
    of_rules = json.loads(rules.set_index("pruner").to_json(orient="index"))  # which writes NaN as null
    numbers = {name: read(f"{name}.json") for name in found if name in params["extended_studies"]}
    written = json.dumps({"studies": numbers, "pruners": of_rules}, indent=2)
    (SEARCH_REPORTS / "extended.json").write_text(written + "\n")


def read(file: str) -> dict:
    return dict(json.loads((SEARCH_REPORTS / file).read_text(encoding="utf-8")))


if __name__ == "__main__":
    run(main)
