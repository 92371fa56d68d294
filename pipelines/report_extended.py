"""Stage `report_extended`: tables and figures of the long studies, as far as they were run."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from grokking import figures
from grokking.analysis import pages
from grokking.analysis.controls import control_table
from grokking.analysis.operations import operation_table
from grokking.analysis.optimizers import Method, by_speed, optimizer_table
from grokking.analysis.records import record_table
from grokking.analysis.results import summary
from grokking.config import read_params
from grokking.data import tasks
from pipelines.stage import PARAMS, README, REPORTS, RUNS, SPLITS, TUNED, run

FOLDER = REPORTS / "extended"
Params = dict[str, dict[str, Any]]


def main() -> None:
    params = read_params(PARAMS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    records, controls, operations = (trained(params, s) for s in ("records", "controls", "operations"))
    formulas = {task: tasks.read_meta(SPLITS / task)["formula"] for task in map(task_of, operations.values())}
    methods = list(tuned(params))
    table = record_table(records)
    README.write_text(pages.with_table(README.read_text(), pages.plain(table), pages.RECORDS))
    write("records", params, table)
    write("controls", params, control_table(controls))
    write("operations", params, operation_table(operations, formulas))
    write("optimizers", params, optimizer_table(methods), "optimizers.png")
    points = {method.name: (method.times, method.observed) for method in by_speed(methods)}
    figures.strips(points, "Steps to generalise, tuned methods on fresh seeds", FOLDER / "optimizers.png")
    confirmed = {method.name: method.confirmed for method in methods}
    write_results(records=records, controls=controls, operations=operations, optimizers=confirmed)


def task_of(replicas: pd.DataFrame) -> str:
    return str(replicas["task"].iloc[0])


def trained(params: Params, section: str) -> dict[str, pd.DataFrame]:
    """The replica tables of a section's experiments that were run."""
    files = {name: RUNS[section] / name / "replicas.parquet" for name in params[section]}
    return {name: pd.read_parquet(file) for name, file in files.items() if file.exists()}


def tuned(params: Params) -> Iterable[Method]:
    """The methods of the comparison that were run."""
    for name, mapping in params["optimizers"].items():
        tables = [TUNED / name / part / "replicas.parquet" for part in ("tuning", "confirmed")]
        if all(table.exists() for table in tables):
            yield Method(name, mapping["replicas"]["grid"], *map(pd.read_parquet, tables))


def write(section: str, params: Params, table: pd.DataFrame, figure: str = "") -> None:
    """One page of a section, with its parameters."""
    (FOLDER / f"{section}.md").write_text(pages.study(section, table, params[section], figure))


def write_results(**sections: dict[str, pd.DataFrame]) -> None:
    """The summaries of all replicas as one file of numbers."""
    found = {section: {n: summary(t) for n, t in tables.items()} for section, tables in sections.items()}
    (FOLDER / "results.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
