"""Which learning rates and weight decays are good at each training fraction of a sweep, and at others."""

import itertools
import math

import numpy as np
import pandas as pd

from grokking.analysis.good_trials import GOOD, with_range
from grokking.analysis.sweeps import axes_of, cell_table

FRACTION = "task.split.train_fraction"
RATES = {"optimizer.learning_rate": "learning rate", "optimizer.weight_decay": "weight decay"}


def is_a_map(networks: pd.DataFrame) -> bool:
    """Whether a sweep varies the training fraction, the learning rate and the weight decay, nothing else."""
    return set(axes_of(networks)) == {FRACTION, *RATES}


def fraction_table(networks: pd.DataFrame) -> pd.DataFrame:
    """A row per training fraction: the best cell, and what cells within GOOD of it have."""
    rows = []
    for fraction, cells in cell_table(networks).groupby(FRACTION):
        reached = cells.dropna(subset=["median_step"])
        row = {"fraction": f"{fraction:g}", "cells that generalize": f"{len(reached)} of {len(cells)}"}
        if len(reached):
            ranked = reached.sort_values("median_step")
            good = ranked[ranked["median_step"] <= GOOD * ranked["median_step"].min()]
            row |= {"steps of the best": f"{ranked['median_step'].min():,.0f}"}
            row |= {title: _starred(good[key], cells[key]) for key, title in RATES.items()}
        rows.append(row)
    return pd.DataFrame(rows).fillna("—")


def _starred(good: pd.Series, tried: pd.Series) -> str:
    """The best cell's value and the range of the good ones; * where it is at an end of those tried."""
    best = good.iloc[0]
    return with_range(best, good) + (" *" if best in (tried.min(), tried.max()) else "")


def moved(networks: pd.DataFrame) -> dict[str, str]:
    """What the best cell of one training fraction is worth at another, over all pairs of fractions."""
    cells = cell_table(networks).pivot_table(index=[*RATES], columns=FRACTION, values="median_step")
    steps = cells.fillna(math.inf).to_numpy().T  # a row per fraction, without those where no cell is good
    pairs = itertools.permutations(steps, 2)
    times = np.array([there[here.argmin()] / there.min() for here, there in pairs])
    middle = np.median(times)
    return {
        "pairs of fractions": str(len(times)),
        f"within {GOOD:g} times the best there": str(int((times <= GOOD).sum())),
        "does not generalize there": str(int(np.isinf(times).sum())),
        "times the best there, median": "∞" if np.isinf(middle) else f"{middle:.2f}",
    }
