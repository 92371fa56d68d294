"""Which point of a grid generalizes first."""

from typing import Any

import numpy as np
import pandas as pd


def best_point(replicas: pd.DataFrame, axes: list[str]) -> dict[str, Any]:
    """Values of the axes at the best point."""
    best = best_replicas(replicas, axes)
    return {axis: best[axis].tolist()[0] for axis in axes}


def best_replicas(replicas: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """Those of the point where most generalized, and of such points where the mean log step is least.

    Where nothing generalized anywhere, what came nearest: the best final validation accuracy.
    """
    observed = replicas["observed"].astype(bool)
    step = replicas["generalization_step"].where(observed, replicas["budget"]).astype(float)
    error = 1 - replicas["final_validation_accuracy"]
    point = replicas.groupby(axes, dropna=False).ngroup()
    scored = replicas.assign(missed=~observed, log_step=np.log(step), error=error)
    ranking = ["missed", "log_step", "error"]
    scores = scored.groupby(point)[ranking].mean().sort_values(ranking)
    return replicas[point == scores.index[0]]


def at_edge(grid: dict[str, list[float]], point: dict[str, float]) -> list[str]:
    """Axes on which the point is the first or last value of those that were tried."""
    return [axis for axis, values in grid.items() if point[axis] in (min(values), max(values))]
