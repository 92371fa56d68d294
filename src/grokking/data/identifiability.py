"""Does a training set determine the operation? Counted for operations z(c) = x(a) + y(b).

The labels x, y and z of the tokens are unknown and every equation is linear in them, so the ranks over
GF(q) tell how many labels the training set leaves free that the whole table does not. Where a network
keeps one table of tokens for both operands, y is x up to sign: the labels are tied, and fewer are unknown.
"""

# E equations, S training sets, k tokens, V answers, U unknown labels: 2k + V untied, k + V tied

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
    system_EU, free_S = system(equations, additive, tied), np.zeros(len(train_SE), dtype=int)
    for q in prime_factors(additive.order):
        trained = [rank(system_EU[train_E], q) for train_E in train_SE]
        free_S = np.maximum(free_S, rank(system_EU, q) - np.array(trained))
    return free_S


def system(equations: pd.DataFrame, additive: Additive, tied: bool) -> np.ndarray:
    """Coefficients (E, U) of z(c), x(a) and y(b) in the equations z(c) - x(a) - y(b) = 0."""
    one_hot = np.eye(1 + equations.to_numpy().max(), dtype=np.int32)
    c, a, b = (one_hot[equations[column]] for column in "cab")
    return np.hstack([c, -a - additive.operand_sign * b] if tied else [c, -a, -b])


def rank(rows: np.ndarray, q: int) -> int:
    """Rank over GF(q) of an integer matrix: column by column, one row with an entry there clears it."""
    rows, found = rows % q, 0
    while rows.size:
        hit = np.flatnonzero(rows[:, 0])
        if len(hit):
            pivot = rows[hit[0]] * pow(int(rows[hit[0], 0]), -1, q) % q
            rows[hit] = (rows[hit] - np.outer(rows[hit, 0], pivot)) % q
            found += 1
        rows = rows[rows.any(axis=1), 1:]
    return found


def warning(meta: dict[str, Any]) -> str | None:
    """What to tell of splits that do not determine the operation; `meta` is the content of meta.json."""
    known = {seed: split["deficit"] for seed, split in meta["splits"].items() if split["deficit"]}
    untied, tied = ({s: d[tie] for s, d in known.items() if d[tie] > 0} for tie in ("untied", "tied"))
    if not untied:
        return None
    text = (
        f"{_named(untied)}: the training set does not determine the operation (up to {max(untied.values())} "
        f"untied, {max(tied.values(), default=0)} tied labels are free): networks without shared operand "
        "tables cannot generalize"
    )
    return f"{text}, and with {_named(tied)} no network can" if tied else text


def _named(seeds: Iterable[str]) -> str:
    seeds = list(seeds)
    return f"split seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
