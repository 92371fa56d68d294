"""Which equations are for training: a boolean mask per split seed; the others are for validation.

Every split applies to the pairs (a, b) that the table has, and its training share is the nearest to
`train_fraction` that its shape permits.
"""

# E equations, k tokens

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, Fraction


@dataclass(frozen=True, config=STRICT)
class FractionSplitConfig:
    name: Literal["random", "mirror_closed", "quadrant", "difference_classes", "rows"]
    train_fraction: Fraction  # share of all equations that is trained on; the rest is validation


@dataclass(frozen=True, config=STRICT)
class FixedSplitConfig:
    name: Literal["triangle", "two_differences"]


SplitConfig = Annotated[FractionSplitConfig | FixedSplitConfig, Field(discriminator="name")]


def random_split(equations: pd.DataFrame, config: FractionSplitConfig, seed: int) -> np.ndarray:
    """A uniformly random training set of round(train_fraction · E) equations."""
    order = np.random.default_rng(seed).permutation(len(equations))
    mask = np.zeros(len(equations), dtype=bool)
    mask[order[: round(config.train_fraction * len(equations))]] = True
    return mask


def mirror_closed(equations: pd.DataFrame, config: FractionSplitConfig, seed: int) -> np.ndarray:
    """Equations at random together with their mirrors: (a, b) is trained on if and only if (b, a) is.

    No operand-symmetric model is handed a validation answer by its mirror.
    """
    operands = equations[["a", "b"]]
    pair_E = operands.min(axis=1) * token_count(equations) + operands.max(axis=1)
    return _whole_groups(pair_E.to_numpy(), config.train_fraction, seed)


def difference_classes(equations: pd.DataFrame, config: FractionSplitConfig, seed: int) -> np.ndarray:
    """Random classes of a - b mod k are trained on, the others held out."""
    return _whole_groups(_differences(equations), config.train_fraction, seed)


def rows(equations: pd.DataFrame, config: FractionSplitConfig, seed: int) -> np.ndarray:
    """Random first operands are trained on, with all their equations; the others are never first."""
    return _whole_groups(equations["a"].to_numpy(), config.train_fraction, seed)


def _whole_groups(group_E: np.ndarray, train_fraction: float, seed: int) -> np.ndarray:
    """Whole groups in random order, up to where the training share is nearest to the asked one."""
    _, group_E, sizes = np.unique(group_E, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    shares = np.cumsum([0, *sizes[order]]) / len(group_E)
    return np.isin(group_E, order[: abs(shares - train_fraction).argmin()])


def quadrant(equations: pd.DataFrame, config: FractionSplitConfig, seed: int) -> np.ndarray:
    """All pairs of S x T are held out, two random sets of as many tokens, neither of them all.

    Every token is trained on as either operand, but never one of S with one of T.
    """
    random = np.random.default_rng(seed)
    first, second = (_random_ranks(equations[operand], random) for operand in "ab")
    # with S the first n of the first operands and T of the second, S x T is where both ranks are below n
    corner_E = np.maximum(first, second)
    sizes = np.arange(1 + min(first.max(), second.max()))
    shares = np.array([(corner_E >= size).mean() for size in sizes])
    return corner_E >= sizes[abs(shares - config.train_fraction).argmin()]


def _random_ranks(operand: pd.Series, random: np.random.Generator) -> np.ndarray:
    """Each equation's place of its operand in a random order of the operands there are."""
    values, index_E = np.unique(operand.to_numpy(), return_inverse=True)
    return random.permutation(len(values))[index_E]


def triangle(equations: pd.DataFrame, config: FixedSplitConfig, seed: int) -> np.ndarray:
    """a <= b is trained on, whatever the seed: validation asks for commutativity."""
    return (equations["a"] <= equations["b"]).to_numpy()


def two_differences(equations: pd.DataFrame, config: FixedSplitConfig, seed: int) -> np.ndarray:
    """Two adjacent classes of a - b mod k are trained on, the first of them `seed` mod k: 2k pairs."""
    classes = np.array([seed, seed + 1]) % token_count(equations)
    return np.isin(_differences(equations), classes)


def _differences(equations: pd.DataFrame) -> np.ndarray:
    return ((equations["a"] - equations["b"]) % token_count(equations)).to_numpy()


def token_count(equations: pd.DataFrame) -> int:
    return 1 + int(equations[["a", "b"]].to_numpy().max())


SPLITS: dict[str, Callable[[pd.DataFrame, Any, int], np.ndarray]] = {
    "random": random_split,
    "mirror_closed": mirror_closed,
    "quadrant": quadrant,
    "difference_classes": difference_classes,
    "rows": rows,
    "triangle": triangle,
    "two_differences": two_differences,
}
