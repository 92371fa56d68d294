"""Time to generalise for one network on many operations, a column per optimizer."""

import pandas as pd

from grokking.analysis.results import median_and_range, summary


def operation_table(tables: dict[str, pd.DataFrame], formulas: dict[str, str]) -> pd.DataFrame:
    """A row per task in the order of the experiments, a column per optimizer; `formulas` are by task."""
    cells = [
        {
            "operation": formulas[replicas["task"].iloc[0]],
            "task": f"`{replicas['task'].iloc[0]}`",
            "optimizer": replicas["optimizer.name"].iloc[0],
            "cell": _cell(replicas),
        }
        for replicas in tables.values()
    ]
    long = pd.DataFrame(cells)
    wide = long.pivot(index=["operation", "task"], columns="optimizer", values="cell")
    return wide.loc[list(dict.fromkeys(zip(long["operation"], long["task"], strict=True)))].reset_index()


def _cell(replicas: pd.DataFrame) -> str:
    """Median and range, how many generalised, and how far the best came where none did."""
    found = summary(replicas)
    if found["generalized"]:
        return f"{median_and_range(found)}, {found['generalized']} of {found['n']}"
    best = found["final_validation_accuracy_max"]
    return f"{median_and_range(found)}, 0 of {found['n']}, best accuracy {best:.2f}"
