"""At which steps a replica is evaluated, and at which its parameters are kept."""

from collections.abc import Iterator
from itertools import takewhile

import numpy as np


def evaluation_steps(budget: int, share: int = 50) -> Iterator[int]:
    """0, every step up to 2·share, and then steps at most step / share apart: 2 % by default.

    The budget itself is among them. They go on after it without an end, for crossings on trial there.
    """
    step = 0
    while True:
        yield step
        following = step + max(1, step // share)
        step = budget if step < budget < following else following


def steps_within(budget: int, share: int = 50) -> list[int]:
    """The evaluation steps up to the budget."""
    return list(takewhile(lambda step: step <= budget, evaluation_steps(budget, share)))


def snapshot_steps(budget: int) -> set[int]:
    """Evaluation steps at which parameters are kept: 0, 1, 2, 4, 8, then about √2 times the last.

    Before its tenth step a network has hardly memorized anything.
    """
    grid = np.array(steps_within(budget))
    exponents = [*range(4), *np.arange(4, budget.bit_length(), 0.5)]
    return {0} | {int(grid[i]) for i in np.searchsorted(grid, np.exp2(exponents)) if i < len(grid)}
