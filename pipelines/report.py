"""Stage `report`: the page of the default study, its numbers, table and figures that compare."""

import json
from pathlib import Path

from grokking import figures
from grokking.analysis import early_warning, pages, report_page, results
from grokking.analysis.circuits import circuits
from grokking.catalogue import read_catalogue
from grokking.storage import runs
from pipelines.common import reports
from pipelines.common.claims import require_claims
from pipelines.common.paths import DIAGNOSTICS, RUNS
from pipelines.common.stage import run

GROUP = "systems"


def main() -> None:
    catalogue = read_catalogue()
    names = catalogue.names("experiments", GROUP)
    trained = {name: runs.read(RUNS / GROUP / name) for name in names}
    tables = {name: run.replicas for name, run in trained.items()}
    diagnosed = {name: runs.read_table(diagnostics(name)) for name in names}
    warning = early_warning.warning_table(early_warning.labelled(diagnosed, tables))
    formed = circuits(diagnosed, tables)
    machine = next((run.facts["machine"] for run in trained.values()), None)
    summary = results.results(tables, machine)
    summary |= {"by_published_criterion": results.by_published_criterion(trained)}
    summary |= {"circuits": json.loads(formed.to_json(orient="records"))}  # which writes NaN as null
    require_claims({reports.REPORTS / "results.json": reports.as_json(summary)})
    comparison = results.comparison(summary)
    figures.draw_comparisons(trained, warning, reports.FIGURES)  # the page shows those that are there
    page = report_page.html(summary, comparison, trained, reports.swept(catalogue), reports.REPORTS)
    texts = {
        "results.json": reports.as_json(summary),
        "table.md": pages.markdown(comparison),
        "index.html": page,
        "diagnostics.md": pages.diagnostics(warning, formed, results.diverged(tables)),
    }
    reports.write({reports.REPORTS / name: text for name, text in texts.items()})
    reports.write_metrics(results.key_numbers_of_all(tables))


def diagnostics(name: str) -> Path:
    return reports.require_diagnostics(DIAGNOSTICS / GROUP / name) / reports.DIAGNOSTICS_TABLE


if __name__ == "__main__":
    run(main)
