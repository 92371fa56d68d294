"""A table: every equation a ∘ b = c of one binary operation over tokens 0..k-1."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Additive:
    """The operation is z(c) = x(a) + y(b) mod `order`, where x, y and z give tokens whole coordinates."""

    order: int
    operand_sign: int  # y = operand_sign · x where both operands share one set of coordinates: 1 or -1
    labels_zero: bool  # False: token 0 has no coordinate, as 0 has no logarithm; its equations are left out


@dataclass(frozen=True)
class Table:
    """How people write the operation, its equations (columns a, b, c) and its additive form if it has one."""

    formula: str
    equations: pd.DataFrame
    additive: Additive | None


def all_pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """All operands (a, b) of a table of this size, ordered by a, then b."""
    first, second = np.divmod(np.arange(size**2), size)
    return first, second
