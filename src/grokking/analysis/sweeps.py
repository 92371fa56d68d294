"""What a sweep has found, a line per cell: its phase, the share that generalized, time-to-grok."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.phases import PHASES, phases
from grokking.analysis.results import median_with_censored, short, value_text, varying
from grokking.analysis.survival import median, median_interval, share_with_interval

NOT_AXES = ("task", "task.classes")  # they follow from the keys of the task
PHASE_ORDER = list(PHASES)


def axes_of(networks: pd.DataFrame) -> list[str]:
    """The keys in which the cells of a sweep differ, those of the task first."""
    keys = [key for key in varying(networks) if key not in NOT_AXES]
    return sorted(keys, key=lambda key: not key.startswith("task."))


def cell_table(networks: pd.DataFrame) -> pd.DataFrame:
    """A row per cell: the value of each axis, then what became of its networks.

    `median_step` and its 95 % interval are Kaplan-Meier's, `share` has Wilson's interval.
    """
    axes = axes_of(networks)
    networks = networks.assign(phase=phases(networks))
    rows = [dict(zip(axes, _tuple(point), strict=True)) | cell(own) for point, own in networks.groupby(axes)]
    return pd.DataFrame(rows)


def cell(networks: pd.DataFrame) -> dict[str, Any]:
    """What became of the networks of one cell; they have a column `phase`."""
    observed = networks["observed"].to_numpy(bool)
    times = networks["generalization_step"].where(observed, networks["budget"]).to_numpy(float)
    low, high = median_interval(times, observed)
    _, share_low, share_high = share_with_interval(int(observed.sum()), len(observed))
    memorized, counts = networks["memorization_step"].astype(float), networks["phase"].value_counts()
    phase = max(counts.index, key=lambda name: (counts[name], PHASE_ORDER.index(name)))
    return {
        "phase": phase,
        "n": len(networks),
        "generalized": int(observed.sum()),
        "share_low": round(share_low, 3),
        "share_high": round(share_high, 3),
        "median_step": median(times, observed),
        "low": low,
        "high": high,
        "memorization_step": median_with_censored(memorized, networks["budget"]),
    }


def phase_counts(cells: pd.DataFrame) -> dict[str, int]:
    """The number of cells in each phase."""
    counts = cells["phase"].value_counts()
    return {name: int(counts.get(name, 0)) for name in PHASES}


def described(networks: pd.DataFrame) -> dict[str, Any]:
    """What a page says of a sweep: how many networks of what family on what task, how long, and where."""
    cells = cell_table(networks)
    return {
        "networks": len(networks),
        "family": str(networks["model.family"].iloc[0]).replace("_", " ").replace("mlp", "MLP"),
        "task": task_text(networks),
        "n": int(cells["n"].iloc[0]),
        "budget": int(networks["budget"].max()),
        "processor": ", ".join(sorted(networks["processor"].unique())),
        "phases": phase_counts(cells),
    }


def records(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """The cells as lists of JSON, where a missing number is null."""
    found: list[dict[str, Any]] = json.loads(cells.to_json(orient="records"))
    return found


def as_text(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of cells as a page shows it."""
    axes = list(cells.columns[: cells.columns.get_loc("phase")])
    return pd.DataFrame(
        [{short(axis): value_text(row[axis]) for axis in axes} | _found(row) for row in _rows(cells)]
    )


def _found(row: Mapping[str, Any]) -> dict[str, str]:
    step, memorized = row["median_step"], row["memorization_step"]
    ends = (f"{row[end]:,.0f}" if pd.notna(row[end]) else "∞" for end in ("low", "high"))
    return {
        "phase": row["phase"],
        "generalized": f"{row['generalized']} of {row['n']} ({row['share_low']:.0%}–{row['share_high']:.0%})",
        "step (95 %)": f"{step:,.0f} ({'–'.join(ends)})" if pd.notna(step) else "—",
        "memorized": f"{memorized:,.0f}" if pd.notna(memorized) else "—",
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _tuple(point: Any) -> tuple[Any, ...]:
    return point if isinstance(point, tuple) else (point,)


def task_text(networks: pd.DataFrame) -> str:
    """The operation and modulus of a sweep's task, where all its cells share them."""
    keys = ("task.operation.name", "task.operation.modulus")
    values = [networks[key].unique() for key in keys if key in networks]
    return " mod ".join("/".join(map(str, np.sort(each))) for each in values)
