"""What happened in a run, in a sentence, by the definitions of docs/architecture.md."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.analysis.results import (
    GROKKING_RATIO,
    diverged_text,
    in_steps,
    median_and_range,
    point_text,
    summary,
    varying,
    without_sections,
)  # fmt: skip


def sentence(replica: Mapping[str, Any]) -> str:
    """Of one row of replicas.parquet."""
    memorized, generalized = (_step(replica[f"{event}_step"]) for event in ("memorization", "generalization"))
    first = "never memorized" if memorized is None else f"memorized at {memorized:,}"
    if generalized is None:
        if replica["diverged"]:
            return f"{first}, diverged at {replica['steps_run']:,}: its loss is no number any more"
        accuracy = replica["final_validation_accuracy"]
        return f"{first}, did not generalize within {replica['budget']:,} steps ({accuracy:.1%} at the end)"
    if memorized is None:
        return f"{first}, generalized at {generalized:,}: no grokking"
    ratio = generalized / memorized
    if ratio >= GROKKING_RATIO:
        return f"{first}, generalized at {generalized:,}, ratio {ratio:.1f}: this is grokking"
    below = min(round(ratio, 1), GROKKING_RATIO - 0.1)  # 2.99 is not shown as 3.0
    no = f"generalized without delay, as grokking begins at {GROKKING_RATIO}"
    return f"{first}, generalized at {generalized:,}, ratio {below:.1f}: {no}"


def sentences(replicas: pd.DataFrame) -> list[str]:
    """A sentence per replica, and one of all where there are several."""
    rows: list[Any] = replicas.to_dict("records")
    if len(rows) == 1:
        return [sentence(rows[0])]
    axes = varying(replicas)
    if axes:  # of different points, which have nothing in common
        return [f"{_place(axes, row)}, seed {row['seed']}: {sentence(row)}" for row in rows]
    return [f"seed {row['seed']}: {sentence(row)}" for row in rows] + [overall(replicas)]


def _place(axes: list[str], row: Mapping[str, Any]) -> str:
    return without_sections(point_text(axes, [row[axis] for axis in axes]))


def overall(replicas: pd.DataFrame) -> str:
    """All replicas of a run together."""
    return of_summary(summary(replicas))


def of_summary(found: Mapping[str, Any]) -> str:
    """What `results.summary` has found; its medians count replicas that did not generalize."""
    memorized, ratio = found["median_memorization_step"], found["median_ratio"]
    first = "none memorized" if memorized is None else f"memorized at {in_steps(memorized)}"
    second = f"generalized at {median_and_range(found)}"
    if not found["generalized"]:
        second = f"none generalized within {in_steps(found['budget'])} steps"
    last = "" if ratio is None else f", ratio {ratio:.1f}"
    return (
        f"{found['grokked']} of {found['n']} grokked: {first}, {second}{last} (medians){diverged_text(found)}"
    )


def _step(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)
