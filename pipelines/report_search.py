"""Stage `report_search`: the page, figures and numbers of one study."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grokking import figures
from grokking.analysis import studies, study_pages
from grokking.analysis.studies import Study
from grokking.config import ConfigError, entry, read_params
from grokking.search import config, importance, pruner_audit
from pipelines import searched
from pipelines.searched import JUDGEMENTS, OVERVIEW, SEARCH_REPORTS
from pipelines.stage import CONFIRMED, PARAMS, STUDY_SECTIONS, named, run


def main() -> None:
    arguments = named(__doc__, STUDY_SECTIONS).parse_args()
    name, section = arguments.name, arguments.section

    params = read_params(PARAMS)
    plan = config.read_study(entry(params, section, name), name, f"{section}.{name}")
    study = searched.read_study(params, section, name)
    if study is None:
        raise ConfigError(f"study `{name}` was not confirmed; run `dvc repro confirm@{name}` first")

    draw(study, importance.importances(study.trials, plan.config.space), SEARCH_REPORTS / name)
    judgements = pruner_audit.judgements(searched.tables(study))
    page = study_pages.page(study, searched.machine(study), pruner_audit.comparison(judgements))
    (SEARCH_REPORTS / f"{name}.md").write_text(page)
    write(studies.results(study), SEARCH_REPORTS / f"{name}.json")
    write(studies.overview(study), SEARCH_REPORTS / name / OVERVIEW)
    judgements.to_csv(SEARCH_REPORTS / name / JUDGEMENTS, index=False)


def write(content: Mapping[str, Any], file: Path) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(study: Study, importances: pd.DataFrame, folder: Path) -> None:
    """The figures of the page, and the curves of each confirmed arm."""
    budget = study.config["experiment"]["budget"] if study.objective == "steps" else None
    figures.trial_history(study.trials, study.unit, budget, folder / "history.png")
    figures.parallel(study.trials, study.axes, study.unit, folder / "parallel.png")
    figures.slices(study.trials, study.axes, study.unit, folder / "slices.png")
    figures.importances(importances, folder / "importances.png")
    arms = {arm: studies.times(replicas, study.objective) for arm, replicas in study.confirmed.items()}
    figures.survival(arms, study.unit, folder / "survival.png")
    for arm, replicas in study.confirmed.items():
        history = pd.read_parquet(CONFIRMED / study.name / arm / "history.parquet")
        figures.curves(history, replicas, f"{study.name}_{arm}", folder / f"{arm}.png")


if __name__ == "__main__":
    run(main)
