"""A random Latin square that is no group's table: as regular as one to the eye, with no law to find."""

# n rows, columns and symbols

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, Seed, whole_number
from grokking.data.table import Table, all_pairs

Cell = tuple[int, int, int]  # row, column, symbol

SMALLEST = 5  # every smaller Latin square is isotopic to a group's table
LARGEST = 150  # the walk takes size³ steps, ten seconds


@dataclass(frozen=True, config=STRICT)
class LatinSquareConfig:
    name: Literal["latin_square"]
    size: Annotated[int, whole_number(SMALLEST, LARGEST)]
    seed: Seed  # of the random walk


def latin_square_table(config: LatinSquareConfig) -> Table:
    """All n² equations c = square[a, b], ordered by a, then b; no additive form, as that is a group's."""
    a, b = all_pairs(config.size)
    equations = pd.DataFrame({"a": a, "b": b, "c": random_square(config.size, config.seed)[a, b]})
    return Table(f"a random Latin square of size {config.size}", equations, None)


def random_square(size: int, seed: int) -> np.ndarray:
    """A nearly uniform Latin square (n, n) among those that are not isotopic to a group's table."""
    walk = Walk(size, np.random.default_rng(seed))
    while is_group_table(square_nn := np.array(walk.symbol)):  # as it is where the walk begins
        walk.run(size**3)
    return square_nn


def is_group_table(square_nn: np.ndarray) -> bool:
    """Is the Latin square a group's table after some renaming of rows, columns and symbols?

    Renamed such that row 0 and column 0 read as the identity, it is a loop. All loops isotopic to a group
    are isomorphic to it (Albert 1943, Quasigroups I), so this loop is associative or there is no such group.
    """
    loop_nn = np.empty_like(square_nn)
    loop_nn[square_nn[:, :1], square_nn[:1, :]] = square_nn
    return bool((loop_nn[loop_nn] == loop_nn[:, loop_nn]).all())


class Walk:
    """Steps at random from Latin square to Latin square (Jacobson and Matthews 1996, J. Comb. Des. 4, 405).

    A square is a set of cells (row, column, symbol) with one cell in every line: given two of the three,
    the tables tell the third. A step puts in a cell that was out and takes out the one cell there was in
    each of its three lines; to mend these, it puts in three more and takes out one more. That last one may
    not be there to take out: it is then owed, its three lines hold two cells each, and the square is
    improper. The next step puts in the cell that is owed.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        self.size, self.random = size, random
        index = np.arange(size)
        self.symbol = ((index[:, None] + index) % size).tolist()  # [row][column], the cyclic group's table
        self.column = ((index - index[:, None]) % size).tolist()  # [row][symbol]
        self.row = ((index - index[:, None]) % size).tolist()  # [column][symbol]
        self.owed: Cell | None = None
        self.spare = (0, 0, 0)  # row, column and symbol of the second cell in each line of the owed one

    def run(self, count: int) -> None:
        """Make `count` steps, and then go on to the next proper square."""
        for coins in self.random.integers(2, size=(count, 3)).tolist():
            self.step(coins)
        while self.owed is not None:
            self.step(self.random.integers(2, size=3).tolist())

    def step(self, coins: list[int]) -> None:
        """One step; the coins choose which of the two cells leaves each line of an owed one."""
        if self.owed is None:  # of a proper square a uniformly random cell that is out, which is to stay
            r, c, shift = self.random.integers([0, 0, 1], self.size).tolist()
            self.owed = self.spare = r, c, (self.symbol[r][c] + shift) % self.size
            coins = [0, 0, 0]
        r, c, s = self.owed
        (r1, c1, s1), (r2, c2, s2) = (self.row[c][s], self.column[r][s], self.symbol[r][c]), self.spare
        i, j, k = coins
        leaves = (r2 if i else r1, c2 if j else c1, s2 if k else s1)
        stays = (r1 if i else r2, c1 if j else c2, s1 if k else s2)
        self._exchange((r, c, s), leaves, stays)

    def _exchange(self, cell: Cell, leaves: Cell, stays: Cell) -> None:
        """Exchange the corners of the cube between `cell` and `leaves`, four in and four out."""
        (r, c, s), (r2, c2, s2) = cell, leaves
        self.row[c][s], self.column[r][s], self.symbol[r][c] = stays
        self.symbol[r][c2] = self.symbol[r2][c] = s2
        self.column[r][s2] = self.column[r2][s] = c2
        self.row[c][s2] = self.row[c2][s] = r2
        if self.symbol[r2][c2] == s2:
            self.symbol[r2][c2], self.column[r2][s2], self.row[c2][s2] = s, c, r
            self.owed = None
        else:
            self.owed, self.spare = leaves, (r, c, s)
