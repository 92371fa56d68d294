"""What metrics are called in MLflow, the same on every run, and which of their points are sent.

The chart page sorts metrics by name and groups them by what stands before the last "/". So accuracy comes
first and loss second, then what was measured in the networks; numbers that are no curves have the prefix
`result`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.results import GROKKING_RATIO, median_with_censored, summary
from grokking.engine.evaluation_steps import steps_within
from grokking.tracking.store import Points, present

# column of history.parquet -> metric; what is in none of these is in the file only
ACCURACIES = {
    "train_accuracy": "accuracy/train",
    "validation_accuracy": "accuracy/validation",
}
LOSSES = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
}
OTHERS = {
    "validation_accuracy/mirrored": "accuracy/validation_mirrored",
    "weight_norm": "network/weight_norm",
}
CURVES = ACCURACIES | LOSSES
REPEATED = ("accuracy/", "loss/", "norm/total")  # of the diagnostics: what curves show already
EVENTS = ("memorization_step", "first_crossing_step", "generalization_step")
# two points are at most this part of a step apart; a transition of accuracy is seen where it was
ACCURACIES_SHARE, LOSSES_SHARE, OTHERS_SHARE = 6, 2, 1
TRIALS_SHARE = 3  # of the curves of a trial, which is one of hundreds


def curve_points(history: pd.DataFrame, row: Mapping[str, Any]) -> Points:
    """The curves of one replica, thinned: `history` is indexed by step. The whole history is an artifact.

    A chart asks for 320 points at most, and MLflow takes 0.2 ms for each.
    """
    events = [row[name] for name in EVENTS if present(row[name])]
    return [
        *_curves(history, ACCURACIES, ACCURACIES_SHARE, events),
        *_curves(history, LOSSES, LOSSES_SHARE),
        *_curves(history, OTHERS, OTHERS_SHARE),
    ]


def median_points(history: pd.DataFrame) -> Points:
    """The median over replicas at each step; one that has finished keeps its last value."""
    wide = history.pivot(index="step", columns="replica", values=list(CURVES)).ffill()
    median = wide.T.groupby(level=0).median().T
    return [*_curves(median, ACCURACIES, ACCURACIES_SHARE), *_curves(median, LOSSES, LOSSES_SHARE)]


def trial_points(curves: pd.DataFrame) -> Points:
    """The curves of a trial's first seed; none where it was not evaluated."""
    return [] if curves.empty else _curves(curves.set_index("step"), CURVES, TRIALS_SHARE)


def _curves(
    history: pd.DataFrame, names: Mapping[str, str], share: int, events: Sequence[Any] = ()
) -> Points:
    """Columns of a history, which is indexed by step, as curves by these names.

    Where a curve is flat, as accuracies are in the end, only the ends of the flat stretch are kept.
    """
    there = [column for column in names if column in history]
    thin = thinned(history[there], share, events)
    bent = {names[column]: bends(thin[column]) for column in there}
    return [
        (step, {name: value})
        for name, curve in bent.items()
        for step, value in zip(curve.index.tolist(), curve.tolist(), strict=True)
    ]


def measure_points(diagnostics: pd.DataFrame) -> Points:
    """What the snapshots of one replica were measured to be, indexed by step."""
    shown = diagnostics[[column for column in diagnostics if not str(column).startswith(REPEATED)]]
    rows = shown.add_prefix("measure/").to_dict("records")
    return [
        (int(step), {str(key): value for key, value in row.items()})
        for step, row in zip(shown.index, rows, strict=True)
    ]


def thinned(history: pd.DataFrame, share: int, events: Sequence[Any] = ()) -> pd.DataFrame:
    """Every step at first, then steps a part of the step apart, the events and the last."""
    steps = history.index.to_numpy()
    wanted = [*steps_within(int(steps[-1]), share), *events]
    return history.iloc[np.unique(np.searchsorted(steps, wanted))]


def bends(values: pd.Series) -> pd.Series:
    """A curve without the points between two of the same value: a chart draws the same line."""
    numbers = values.to_numpy()
    kept = np.ones(len(numbers), dtype=bool)
    kept[1:-1] = (numbers[1:-1] != numbers[:-2]) | (numbers[1:-1] != numbers[2:])
    return values[kept]


def of_evaluation(values: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of one evaluation by their name in MLflow."""
    return {name: values[column] for column, name in (CURVES | OTHERS).items() if column in values}


def replica_results(row: Mapping[str, Any]) -> dict[str, Any]:
    """What became of one replica, of a row of replicas.parquet."""
    ratio = row["generalization_step"] / row["memorization_step"] if memorized(row) else None
    found = {
        "time_to_grok": row["generalization_step"] if grokked(ratio) else None,
        "ratio": None if ratio is None else round(ratio, 2),
        **{name: row[name] for name in EVENTS},
        "final_train_accuracy": row["final_train_accuracy"],
        "final_validation_accuracy": row["final_validation_accuracy"],
        **{name: row[name] for name in ("steps_run", "examples", "flops", "seconds")},
    }
    return prefixed(found)


def parent_results(replicas: pd.DataFrame) -> dict[str, Any]:
    """The medians over replicas by the same names, and how many there are of what.

    Time to grok is only of those that grokked, so that no run without it wins a sort.
    """
    found = summary(replicas)
    numbers = {
        "time_to_grok": found["median_step"] if grokked(found["median_ratio"]) else None,
        "ratio": found["median_ratio"],
        "lowest_ratio": found["lowest_ratio"],
        "generalization_step": found["median_step"],
        "memorization_step": found["median_memorization_step"],
        "examples": found["median_examples"],
        "flops": found["median_flops"],
        "first_crossing_step": median_with_censored(
            replicas["first_crossing_step"].astype(float), replicas["budget"]
        ),
        **{name: replicas[name].median() for name in ("final_train_accuracy", "final_validation_accuracy")},
        "seconds": replicas["seconds"].median(),
    }
    return prefixed(numbers) | counts(found)


def grid_results(replicas: pd.DataFrame) -> dict[str, Any]:
    """A grid has no median, as its replicas are of different points; each of them has its own numbers."""
    return counts(summary(replicas))


def counts(found: Mapping[str, Any]) -> dict[str, Any]:
    """How many replicas there are, and the shares that generalized, grokked and diverged."""
    n = found["n"]
    return prefixed(
        {
            "replicas": n,
            "share_generalized": found["generalized"] / n,
            "share_grokked": found["grokked"] / n,
            "share_diverged": found["diverged"] / n,
        }
    )


def memorized(row: Mapping[str, Any]) -> bool:
    """Whether both events are known, and so their ratio."""
    return present(row["generalization_step"]) and present(row["memorization_step"])


def grokked(ratio: float | None) -> bool:
    return ratio is not None and ratio >= GROKKING_RATIO


def prefixed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"result/{name}": value for name, value in values.items()}
