"""Stage `report_sweep`: what became of the networks of a sweep, a page with a line per cell and a figure."""

from grokking import figures
from grokking.analysis import pages, sweeps
from grokking.catalogue import read_catalogue
from grokking.storage.runs import read_table
from pipelines.common.paths import SWEEPS
from pipelines.common.reports import as_json, sweep_reports, write
from pipelines.common.stage import entry_parser, run


def main() -> None:
    name, catalogue = entry_parser(__doc__).parse_args().name, read_catalogue()
    entry = catalogue.entry("sweeps", name)
    folder = sweep_reports(catalogue, name)
    networks = read_table(SWEEPS / name / "networks.parquet")
    axes, cells = sweeps.axes_of(networks), sweeps.cell_table(networks)
    title = f"{name}, {sweeps.task_text(networks)}"
    figure = folder / f"{name}.png"
    if is_map(axes):
        figures.phase_map(cells, axes, title, figure)
    else:
        figures.over_axis(networks, axes, title, figure)
    numbers = sweeps.described(networks) | {"axes": axes, "cells": sweeps.records(cells)}
    page = pages.sweep(name, networks, entry)
    write({folder / f"{name}.md": page, folder / f"{name}.json": as_json(numbers)})


def is_map(axes: list[str]) -> bool:
    """Whether the cells are squares of learning rate and weight decay."""
    return {"optimizer.learning_rate", "optimizer.weight_decay"} <= set(axes)


if __name__ == "__main__":
    run(main)
