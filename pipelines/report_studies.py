"""Stage `report_studies`: the page of all studies, as far as they were run, and the long ones as numbers."""

import json

from grokking.analysis import pages, studies, study_pages
from grokking.config import ConfigError, read_params
from grokking.search import calibration
from pipelines import searched
from pipelines.searched import SEARCH_REPORTS
from pipelines.stage import PARAMS, README, STUDY_SECTIONS, run


def main() -> None:
    params = read_params(PARAMS)
    every = [
        searched.read_study(params, section, name) for section in STUDY_SECTIONS for name in params[section]
    ]
    found = [study for study in every if study is not None]
    if not found:
        raise ConfigError("no study was confirmed yet; run `dvc repro confirm@quick` first")
    numbers = {study.name: studies.results(study) for study in found if study.section == "extended_studies"}
    SEARCH_REPORTS.mkdir(parents=True, exist_ok=True)
    tables = [searched.tables(study) for study in found]
    rules = calibration.comparison(tables)
    page = study_pages.overview(found, rules, calibration.by_rule(tables))
    README.write_text(pages.with_table(README.read_text(), study_pages.readme_table(found), pages.SEARCHES))
    (SEARCH_REPORTS / "README.md").write_text(page)
    of_rules = json.loads(rules.set_index("pruner").to_json(orient="index"))  # which writes NaN as null
    written = json.dumps({"studies": numbers, "pruners": of_rules}, indent=2)
    (SEARCH_REPORTS / "extended.json").write_text(written + "\n")


if __name__ == "__main__":
    run(main)
