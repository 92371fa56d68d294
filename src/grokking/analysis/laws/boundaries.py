"""Laws of where grokking begins and ends: boundaries of the weight decay."""

import numpy as np
import pandas as pd

from grokking.analysis.laws.delays import DECAY, FRACTION, RATE, REGIMES
from grokking.analysis.laws.law import Found, Law
from grokking.analysis.logistic import logistic
from grokking.analysis.survival import share_with_interval

GOLDILOCKS = "https://arxiv.org/abs/2603.25009"
LARGEST = 1.0  # weight decay up to which more of it helps, for the lower boundary


def decay_boundary(table: pd.DataFrame) -> Found:
    """Weight decay at which half of the networks generalize, by logistic regression on log λ."""
    own = table[table[DECAY].between(1e-9, LARGEST)]
    return half(own, DECAY, "networks of every learning rate and train fraction; λ up to 1")


def half(own: pd.DataFrame, axis: str, note: str) -> Found:
    """The value of an axis at which half of the networks generalize; the interval is Fieller's."""
    observed = own["observed"].to_numpy(float)
    counted = {"cells": own[axis].nunique(), "networks": len(own), "censored": int((observed == 0).sum())}
    if observed.min() == observed.max():
        return Found(np.nan, np.nan, np.nan, **counted, note="all alike")
    fit = logistic(np.log(own[axis].to_numpy(float)), observed)
    low, high = fit.half_interval()
    return Found(float(np.exp(fit.half)), float(np.exp(low)), float(np.exp(high)), **counted, note=note)


def share_at_ten(table: pd.DataFrame) -> Found:
    """Share of networks that generalize with a weight decay of 10."""
    return _share(table[table[DECAY] == 10.0], "at λ = 10")


def share_from_tenth(table: pd.DataFrame) -> Found:
    """Share of networks that generalize with a weight decay from 0.1 to 2."""
    return _share(table[table[DECAY].between(0.1, 2.0)], "at λ from 0.1 to 2, within the budget")


def _share(own: pd.DataFrame, note: str) -> Found:
    if own.empty:
        return Found(np.nan, np.nan, np.nan, 0, 0, 0, "no network " + note)
    count = int(own["observed"].sum())
    cells = own.groupby([FRACTION, RATE, DECAY]).ngroups
    return Found(*share_with_interval(count, len(own)), cells, len(own), len(own) - count, note)


def windows(table: pd.DataFrame) -> Found:
    """Share of the rows of a map in which neither the least nor the most weight decay generalizes.

    A row has one train fraction and one learning rate; only rows count in which some network generalized.
    """
    rows = [row for _, row in table.groupby([FRACTION, RATE]) if row["observed"].any()]
    closed = [_is_closed(row) for row in rows]
    if not rows:
        return Found(np.nan, np.nan, np.nan, 0, len(table), 0)
    return Found(*share_with_interval(sum(closed), len(rows)), len(rows), len(table), 0, "of rows of the map")


def _is_closed(row: pd.DataFrame) -> bool:
    ends = row[row[DECAY].isin([row[DECAY].min(), row[DECAY].max()])]
    return not ends["observed"].any()


MAPS = ("phases_mlp", "phases_transformer")
LAWS = (
    Law("least weight decay", "below λ = 0.0158 (0.0109 to 0.02) a transformer hardly ever groks", REGIMES,
        "weight_decay_boundary", (0.0109, 0.02), ("phases_transformer",), decay_boundary,
        "falls"),
    Law("every network from λ = 0.1 on", "a transformer always groks from about 0.1 to 2", REGIMES,
        "share_from_tenth", (0.95, 1.0), ("phases_transformer",), share_from_tenth,
        "rises"),
    Law("collapse at λ = 10", "with a weight decay of 10 nothing generalizes", REGIMES, "share_at_ten",
        (0.0, 0.05), MAPS, share_at_ten),
    Law("a window of weight decay", "both too little and too much weight decay prevent generalization",
        GOLDILOCKS,
        "closed_windows", (0.95, 1.0), MAPS, windows),
)  # fmt: skip
