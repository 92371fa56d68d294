"""Which point of a grid generalizes first."""

from typing import Any

import numpy as np
import pandas as pd


def best_point(replicas: pd.DataFrame, axes: list[str]) -> dict[str, Any]:
    """Values of the axes where most replicas generalized, and of those where the mean log step is least.

    Where nothing generalized anywhere, what came nearest: the best final validation accuracy.
    """
    observed = replicas["observed"].astype(bool)
    step = replicas["generalization_step"].where(observed, replicas["budget"]).astype(float)
    error = 1 - replicas["final_validation_accuracy"]
    scored = replicas.assign(missed=~observed, log_step=np.log(step), error=error)
    ranking = ["missed", "log_step", "error"]
    scores = scored.groupby(axes)[ranking].mean().sort_values(ranking)
    best = scores.index[0]
    values = best if isinstance(best, tuple) else (best,)
    return dict(zip(axes, values, strict=True))


def at_edge(grid: dict[str, list[float]], point: dict[str, float]) -> list[str]:
    """Axes on which the point is the first or last value of those that were tried."""
    return [axis for axis, values in grid.items() if point[axis] in (min(values), max(values))]
