"""Does a training set determine the operation? Counted for operations z(c) = x(a) + y(b).

The labels x, y and z of the tokens are unknown and every equation is linear in them, so the ranks over
GF(q) tell how many labels the training set leaves free that the whole table does not. Where a network
keeps one table of tokens for both operands, y is x up to sign: the labels are tied, and fewer are unknown.
"""

# E equations, S training sets, k tokens, U labels of operands: 2k untied, k tied

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from grokking.data.primes import prime_factors
from grokking.data.table import Additive


def deficits(equations: pd.DataFrame, additive: Additive, train_SE: np.ndarray, tied: bool) -> np.ndarray:
    """Labels that each training set leaves free (S,); 0 where it determines the operation.

    The largest over the fields GF(q), q prime and dividing the group's order, as labels of Z_n have a part
    in each of these.
    """
    if not additive.labels_zero:
        nonzero = (equations[["a", "b"]] > 0).all(axis=1).to_numpy()
        equations, train_SE = equations[nonzero], train_SE[:, nonzero]
    operands_EU, answers_E = system(equations, additive, tied), equations["c"].to_numpy()
    free_S = np.zeros(len(train_SE), dtype=int)
    for q in prime_factors(additive.order):
        trained = [rank(operands_EU[train_E], answers_E[train_E], q) for train_E in train_SE]
        free_S = np.maximum(free_S, rank(operands_EU, answers_E, q) - np.array(trained))
    return free_S


def system(equations: pd.DataFrame, additive: Additive, tied: bool) -> np.ndarray:
    """Coefficients of the operands' labels (E, U)."""
    one_hot = np.eye(1 + equations[["a", "b"]].to_numpy().max(), dtype=int)
    first, second = one_hot[equations["a"]], one_hot[equations["b"]]
    return first + additive.operand_sign * second if tied else np.hstack([first, second])


def rank(operands_EU: np.ndarray, answers_E: np.ndarray, q: int) -> int:
    """Rank over GF(q) of the equations: operands times labels = z of the answer.

    The first equation of each answer defines its z; the others minus it say what operands' labels obey.
    """
    _, first, answer = np.unique(answers_E, return_index=True, return_inverse=True)
    rest = (operands_EU - operands_EU[first][answer]) % q
    return len(first) + _matrix_rank(rest, q)


def _matrix_rank(rows: np.ndarray, q: int) -> int:
    """Rank over GF(q) of an integer matrix (E, U).

    A block of rows is eliminated one pivot at a time, the rows below it by all its pivots in one product.
    Mixed, the first block spans nearly all, and few rows are left for another.
    """
    rows, found = np.random.default_rng(0).permutation(rows), 0
    while len(rows := rows[rows.any(axis=1)]):
        block, rows = np.split(rows, [rows.shape[1]])
        basis, pivots = _reduced(block, q)
        # in float64, where products are fast and integers below 2^53 exact
        known = rows[:, pivots].astype(float) @ basis.astype(float)
        rows = (rows - known.astype(int)) % q
        found += len(pivots)
    return found


def _reduced(rows: np.ndarray, q: int) -> tuple[np.ndarray, list[int]]:
    """The reduced row echelon form over GF(q) without its zero rows, and its pivot columns."""
    rows, pivots = rows.copy(), list[int]()
    for column in range(rows.shape[1]):
        top = len(pivots)
        candidates = top + np.flatnonzero(rows[top:, column])
        if len(candidates) == 0:
            continue
        rows[[top, candidates[0]]] = rows[[candidates[0], top]]
        rows[top] = rows[top] * pow(int(rows[top, column]), -1, q) % q
        factors = rows[:, column].copy()
        factors[top] = 0
        hit = np.flatnonzero(factors)
        rows[hit] = (rows[hit] - np.outer(factors[hit], rows[top])) % q
        pivots.append(column)
    return rows[: len(pivots)], pivots


def warning(meta: dict[str, Any]) -> str | None:
    """What to tell of splits that do not determine the operation; `meta` is the content of meta.json."""
    known = {seed: split["deficit"] for seed, split in meta["splits"].items() if split["deficit"]}
    untied, tied = ({s: d[tie] for s, d in known.items() if d[tie] > 0} for tie in ("untied", "tied"))
    if not untied:
        return None
    text = (
        f"{_named(untied)}: the training set does not determine the operation (up to {max(untied.values())} "
        f"untied, {max(tied.values(), default=0)} tied labels are free): networks without shared operand "
        "tables cannot generalise"
    )
    return f"{text}, and with {_named(tied)} no network can" if tied else text


def _named(seeds: Iterable[str]) -> str:
    seeds = list(seeds)
    return f"split seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
