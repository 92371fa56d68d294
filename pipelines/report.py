"""Stage `report`: results.json, figures, the table and the pages of the default study."""

import json

import pandas as pd
from safetensors.numpy import load_file

from grokking import figures
from grokking.analysis import early_warning, pages, results
from grokking.analysis.circuits import circuits
from grokking.catalogue import read_catalogue
from grokking.storage import runs
from pipelines.common.paths import DIAGNOSTICS, RUNS
from pipelines.common.reports import DIAGNOSTICS_TABLE, FIGURES, PORTRAIT, REPORTS
from pipelines.common.stage import run

GROUP = "systems"
ON_TOP = ("grokking.png", "systems.png")  # beside those of single experiments


def main() -> None:
    catalogue = read_catalogue()
    names = catalogue.names("experiments", GROUP)
    trained = {name: runs.read(RUNS / GROUP / name) for name in names}
    tables = {name: run.replicas for name, run in trained.items()}
    histories = {name: run.history for name, run in trained.items()}
    learned = {name: DIAGNOSTICS / GROUP / name for name in names}
    diagnosed = {name: pd.read_parquet(folder / DIAGNOSTICS_TABLE) for name, folder in learned.items()}
    portraits = {name: load_file(folder / PORTRAIT) for name, folder in learned.items()}
    machine = next(iter(trained.values())).facts["machine"]

    warning = early_warning.warning_table(early_warning.labelled(diagnosed, tables))
    formed = circuits(diagnosed, tables)
    rows = json.loads(formed.to_json(orient="records"))  # which writes NaN as null
    answers = results.by_published_criterion(trained)
    summary = results.results(tables, machine) | {"by_published_criterion": answers, "circuits": rows}
    comparison = results.comparison(summary)
    drawn = figures.draw_report(tables, histories, FIGURES)
    shown = figures.draw_learned(tables, diagnosed, portraits, warning, FIGURES)
    for stale in set(FIGURES.glob("*.png")) - {FIGURES / name for name in (*drawn, *shown, *ON_TOP)}:
        stale.unlink()
    (REPORTS / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    (REPORTS / "table.md").write_text(pages.markdown(comparison))
    (REPORTS / "index.html").write_text(pages.html(summary, comparison, shown, drawn))
    (REPORTS / "diagnostics.md").write_text(pages.diagnostics(warning, formed))


if __name__ == "__main__":
    run(main)
