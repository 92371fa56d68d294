"""Stage `laws`: published laws of time-to-grok, tested on the sweeps that were run."""

from grokking import figures
from grokking.analysis import law_pages, laws
from grokking.analysis.laws import fractions
from grokking.catalogue import FILES, read_catalogue
from grokking.storage.runs import read_table
from pipelines.common.paths import SWEEPS
from pipelines.common.reports import REPORTS, as_json, write
from pipelines.common.stage import run


def main() -> None:
    catalogue = read_catalogue()
    long = catalogue.names("sweeps", file=FILES[1])
    names = [name for name in long if (SWEEPS / name / "run.json").exists()]
    tables = {name: read_table(SWEEPS / name / "networks.parquet") for name in names}
    predicted = {name: catalogue.entry("sweeps", name)["predicted"] for name in names}
    rows = laws.judged(tables, predicted)
    over_fractions = {name: tables[name] for name in fractions.NETWORKS if name in tables}
    fits = {name: fractions.compared(table) for name, table in over_fractions.items()}
    (REPORTS / "laws").mkdir(parents=True, exist_ok=True)
    if fits:
        curves = {name: fractions.curves(table) for name, table in over_fractions.items()}
        figures.fraction_laws(over_fractions, curves, REPORTS / "laws/fractions.png")
    found = {"laws": rows, "counts": laws.counts(rows), "fractions": fits}
    page = law_pages.page(rows, fits, tables)
    write({REPORTS / "laws.md": page, REPORTS / "laws.json": as_json(found)})


if __name__ == "__main__":
    run(main)
