"""Which equations are for training: a boolean mask per split seed."""

import numpy as np
import pandas as pd


def random_split(equations: pd.DataFrame, train_fraction: float, seed: int) -> np.ndarray:
    """A uniformly random training set of round(train_fraction · n) equations, as a mask of length n."""
    order = np.random.default_rng(seed).permutation(len(equations))
    mask = np.zeros(len(equations), dtype=bool)
    mask[order[: round(train_fraction * len(equations))]] = True
    return mask


def mirrored(equations: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    """Mask of validation equations (a, b) whose mirror (b, a) is in the training set.

    A model that treats its operands alike answers these without having learned the operation.
    """
    pairs = pd.MultiIndex.from_frame(equations[["a", "b"]])
    mirrors = pd.MultiIndex.from_frame(equations.loc[train, ["b", "a"]])
    return ~train & pairs.isin(mirrors)


SPLITS = {"random": random_split}
