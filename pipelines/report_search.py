"""Stage `report_search`: the page, figures and numbers of one study."""

from dataclasses import asdict

from grokking import figures
from grokking.analysis import results, studies, study_pages
from grokking.catalogue import read_catalogue
from grokking.config import ConfigError
from grokking.search import config, importance, pruner_audit
from grokking.search.monitored_task import MONITOR_SHARE
from grokking.storage import runs
from pipelines.common.claims import require_claims
from pipelines.common.paths import CONFIRMED
from pipelines.common.reports import JUDGEMENTS, NUMBERS, OVERVIEW, SEARCH_REPORTS, as_json, write
from pipelines.common.stage import entry_parser, run
from pipelines.common.studies import find_study, machine, search_tables


def main() -> None:
    name, catalogue = entry_parser(__doc__).parse_args().name, read_catalogue()
    plan = config.read_study(catalogue.entry("studies", name), name, f"studies.{name}")
    study, folder = find_study(catalogue, name), SEARCH_REPORTS / name
    if study is None:
        raise ConfigError(f"study `{name}` was not confirmed; run `dvc repro confirm@{name}` first")

    numbers = results.key_numbers(results.summary(study.confirmed["winner"]))
    found = {folder.with_suffix(".json"): as_json(numbers), folder / NUMBERS: as_json(studies.results(study))}
    require_claims(found)
    importances = importance.importances(study.trials, plan.config.space)
    histories = {arm: runs.read(CONFIRMED / name / arm).history for arm in study.confirmed}
    figures.draw_study(study, importances, histories, folder)
    judgements = pruner_audit.judgements(search_tables(study))
    rules, confirm = pruner_audit.comparison(judgements), asdict(plan.config.confirm)
    page = study_pages.page(study, machine(study), rules, MONITOR_SHARE, confirm)
    texts = {folder.with_suffix(".md"): page, folder / OVERVIEW: as_json(studies.overview(study))}
    write(texts | found | {folder / JUDGEMENTS: judgements.to_csv(index=False)})


if __name__ == "__main__":
    run(main)
