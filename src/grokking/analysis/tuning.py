"""Which point of a grid generalizes first."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def best_point(replicas: pd.DataFrame, grid: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Values of the grid's keys at the best point, as they are written: numbers, words, lists or sections.

    `replicas` are in the order of `expand`: point by point, as many of each.
    """
    points = list(itertools.product(*grid.values()))
    number = pd.Series(np.arange(len(replicas)) * len(points) // len(replicas), replicas.index)
    return dict(zip(grid, points[_best(replicas, number)], strict=True))


def best_replicas(replicas: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """Those of the best point; replicas of one point have equal values in these columns."""
    number = replicas.groupby(axes, dropna=False).ngroup()
    return replicas[number == _best(replicas, number)]


def _best(replicas: pd.DataFrame, number: pd.Series) -> int:
    """Of points by number, the one where most generalized, and of such the one with the least mean log step.

    Where nothing generalized anywhere, what came nearest: the best final validation accuracy.
    """
    observed = replicas["observed"].astype(bool)
    step = replicas["generalization_step"].where(observed, replicas["budget"]).astype(float)
    error = 1 - replicas["final_validation_accuracy"]
    scored = replicas.assign(missed=~observed, log_step=np.log(step), error=error)
    ranking = ["missed", "log_step", "error"]
    return int(scored.groupby(number)[ranking].mean().sort_values(ranking).index[0])
