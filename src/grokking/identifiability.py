"""Does a training set determine the operation? Counted for operations z(c) = x(a) + y(b).

The coordinates x, y and z of the tokens are unknown and every equation is linear in them, so the ranks over
GF(q) tell how many coordinates the training set leaves free that the whole table does not. Where a network
keeps one table of tokens for both operands, y is x up to sign: the coordinates are tied, fewer are unknown.
"""

# E equations, S training sets, k tokens, V answers, U unknown coordinates: 2k + V untied, k + V tied

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from grokking.data.primes import prime_factors
from grokking.data.table import Additive


def deficits(equations: pd.DataFrame, additive: Additive, train_SE: np.ndarray, tied: bool) -> np.ndarray:
    """Coordinates that each training set leaves free (S,); 0 where it determines the operation.

    The largest over the fields GF(q), q prime and dividing the group's order: coordinates of Z_n have a
    part in each of these.
    """
    if not additive.labels_zero:
        nonzero = (equations[["a", "b"]] > 0).all(axis=1).to_numpy()
        equations, train_SE = equations[nonzero], train_SE[:, nonzero]
    whole, free_S = System.of(equations, additive, tied), np.zeros(len(train_SE), dtype=int)
    for q in prime_factors(additive.order):
        trained = [solutions(whole.part(train_E), q).shape[1] for train_E in train_SE]
        free_S = np.maximum(free_S, np.array(trained) - solutions(whole, q).shape[1])
    return free_S


@dataclass(frozen=True)
class System:
    """Equations z(c) - x(a) - y(b) = 0 in U unknown coordinates: three in each, and their coefficients."""

    coordinate_E3: np.ndarray
    coefficient_3: np.ndarray
    unknown: int

    @classmethod
    def of(cls, equations: pd.DataFrame, additive: Additive, tied: bool) -> "System":
        tokens = 1 + int(equations.to_numpy().max())
        columns = [equations["c"], equations["a"] + tokens, equations["b"] + (1 if tied else 2) * tokens]
        signs = [1, -1, -additive.operand_sign if tied else -1]
        return cls(np.stack(columns, axis=1), np.array(signs), (2 if tied else 3) * tokens)

    def part(self, which: np.ndarray) -> "System":
        """Some of the equations, by mask or position, in the same unknowns."""
        return replace(self, coordinate_E3=self.coordinate_E3[which])

    def rows(self) -> np.ndarray:
        """Coefficients (E, U)."""
        rows_EU = np.zeros((len(self.coordinate_E3), self.unknown), dtype=np.int64)
        equation_E = np.arange(len(rows_EU))
        for coordinate_E, coefficient in zip(self.coordinate_E3.T, self.coefficient_3, strict=True):
            rows_EU[equation_E, coordinate_E] += coefficient  # a token may be both operands
        return rows_EU

    def broken(self, coordinate_UD: np.ndarray, q: int) -> np.ndarray:
        """Positions of the equations that one of these assignments does not satisfy."""
        is_broken_E = np.zeros(len(self.coordinate_E3), dtype=bool)
        for coordinate_U in coordinate_UD.T:
            is_broken_E |= coordinate_U[self.coordinate_E3] @ self.coefficient_3 % q != 0
        return np.flatnonzero(is_broken_E)


def solutions(system: System, q: int) -> np.ndarray:
    """A basis (U, D) of the assignments over GF(q) that satisfy every equation.

    They are found from some equations, and more of them are taken until no other one is broken: a table has
    many more equations than unknown coordinates.
    """
    some = spread(np.arange(len(system.coordinate_E3)), 2 * system.unknown)
    while True:
        basis_UD = null_space(system.part(some).rows(), q)
        broken = system.broken(basis_UD, q)
        if not len(broken):
            return basis_UD
        some = np.concatenate([some, spread(broken, system.unknown)])


def spread(positions: np.ndarray, count: int) -> np.ndarray:
    """At most this many of them, at random but the same each time."""
    return np.random.default_rng(0).permutation(positions)[:count]


def null_space(rows_EU: np.ndarray, q: int) -> np.ndarray:
    """A basis (U, D) of what an integer matrix maps to 0 over GF(q)."""
    reduced_EU, pivots = echelon(rows_EU, q)
    free = np.setdiff1d(np.arange(rows_EU.shape[1]), pivots)
    basis_UD = np.zeros((rows_EU.shape[1], len(free)), dtype=np.int64)
    basis_UD[free, np.arange(len(free))] = 1
    basis_UD[pivots] = -reduced_EU[: len(pivots), free] % q
    return basis_UD


def echelon(rows_EU: np.ndarray, q: int) -> tuple[np.ndarray, list[int]]:
    """The reduced row echelon form over GF(q), and the columns of the leading ones: as many as the rank.

    In floats, which are exact here and several times as fast as integers.
    """
    rows_EU = (rows_EU % q).astype(np.float64)
    pivots: list[int] = []
    for column in range(rows_EU.shape[1]):
        row = len(pivots)
        hit = np.flatnonzero(rows_EU[:, column])
        below = hit[hit >= row]
        if len(below):
            rows_EU[[row, below[0]]] = rows_EU[[below[0], row]]
            rows_EU[row] = modulo(rows_EU[row] * pow(int(rows_EU[row, column]), -1, q), q)
            others = np.setdiff1d(np.flatnonzero(rows_EU[:, column]), row)
            own = np.flatnonzero(rows_EU[row])
            block = np.ix_(others, own)
            rows_EU[block] = modulo(rows_EU[block] - np.outer(rows_EU[others, column], rows_EU[row, own]), q)
            pivots.append(column)
    return rows_EU.astype(np.int64), pivots


def modulo(values: np.ndarray, q: int) -> np.ndarray:
    return values - q * np.floor(values / q)


def warning(meta: dict[str, Any]) -> str | None:
    """What to tell of splits that do not determine the operation; `meta` is the content of meta.json."""
    known = {seed: split["deficit"] for seed, split in meta["splits"].items() if split["deficit"]}
    untied, tied = ({s: d[tie] for s, d in known.items() if d[tie] > 0} for tie in ("untied", "tied"))
    if not untied:
        return None
    text = (
        f"{_named(untied)}: the training set does not determine the operation (up to {max(untied.values())} "
        f"untied, {max(tied.values(), default=0)} tied coordinates are free): networks without shared "
        "operand tables cannot generalize"
    )
    return f"{text}, and with {_named(tied)} no network can" if tied else text


def _named(seeds: Iterable[str]) -> str:
    seeds = list(seeds)
    return f"split seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
