"""Stage `report`: the page of the default study, its numbers, table and figures that compare."""

import json

from grokking import figures
from grokking.analysis import early_warning, pages, report_page, results
from grokking.analysis.circuits import circuits
from grokking.catalogue import read_catalogue
from grokking.storage import runs
from pipelines.common.paths import DIAGNOSTICS, RUNS
from pipelines.common.reports import DIAGNOSTICS_TABLE, FIGURES, REPORTS, write_metrics
from pipelines.common.stage import run

GROUP = "systems"


def main() -> None:
    names = read_catalogue().names("experiments", GROUP)
    trained = {name: runs.read(RUNS / GROUP / name) for name in names}
    tables = {name: run.replicas for name, run in trained.items()}
    diagnosed = {name: runs.read_table(DIAGNOSTICS / GROUP / name / DIAGNOSTICS_TABLE) for name in names}
    warning = early_warning.warning_table(early_warning.labelled(diagnosed, tables))
    formed = circuits(diagnosed, tables)

    machine = next(iter(trained.values())).facts["machine"]
    circuit_rows = json.loads(formed.to_json(orient="records"))  # which writes NaN as null
    more = {"by_published_criterion": results.by_published_criterion(trained), "circuits": circuit_rows}
    summary = results.results(tables, machine) | more
    comparison = results.comparison(summary)
    figures.draw_comparisons(trained, warning, FIGURES)
    write_metrics(results.key_numbers_of_all(tables))
    (REPORTS / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    (REPORTS / "table.md").write_text(pages.markdown(comparison))
    (REPORTS / "index.html").write_text(report_page.html(summary, comparison, trained, REPORTS))
    (REPORTS / "diagnostics.md").write_text(pages.diagnostics(warning, formed))


if __name__ == "__main__":
    run(main)
