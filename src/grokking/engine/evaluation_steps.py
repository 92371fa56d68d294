"""At which steps a replica is evaluated, and at which its parameters are kept."""

from collections.abc import Iterator
from itertools import takewhile

import numpy as np


def evaluation_steps(budget: int, steps_per_gap: int = 50) -> Iterator[int]:
    """0, 1, 2, ... with gaps of step // steps_per_gap, at least 1: at most 2 % of the step by default.

    The budget itself is among them. They go on after it without an end, for crossings that are pending there.
    """
    step = 0
    while True:
        yield step
        following = step + max(1, step // steps_per_gap)
        step = budget if step < budget < following else following


def steps_within(budget: int, steps_per_gap: int = 50) -> list[int]:
    """The evaluation steps up to the budget."""
    return list(takewhile(lambda step: step <= budget, evaluation_steps(budget, steps_per_gap)))


def snapshot_steps(budget: int) -> set[int]:
    """Evaluation steps at which parameters are kept: 0, 1, 2, 4, 8, then each about 1.4 times the last."""
    within = np.array(steps_within(budget))
    exponents = [*range(4), *np.arange(4, budget.bit_length(), 0.5)]
    return {0} | {int(within[i]) for i in np.searchsorted(within, np.exp2(exponents)) if i < len(within)}
