"""Memorization and generalization: when an accuracy crosses the threshold and stays there."""

from dataclasses import dataclass

import numpy as np

ACCURACY_THRESHOLD = 0.99
SUSTAINED_ABOVE = 0.985  # a pending crossing fails if accuracy falls below this
POSSIBLE_ABOVE = 0.96  # a sample's accuracy from here on does not rule out a crossing
HOLD_FACTOR, HOLD_STEPS = 1.2, 500  # how long a crossing must hold; until then it is pending


def hold_end(step: int, hold_steps: int = HOLD_STEPS) -> float:
    """The step until which a crossing at `step` must hold: max(1.2 step, step + hold_steps)."""
    return max(HOLD_FACTOR * step, step + hold_steps)


def first_crossing(steps: np.ndarray, accuracy: np.ndarray, budget: int) -> int | None:
    """The first evaluated step within the budget at or above the threshold, sustained or not."""
    crossed = np.flatnonzero((accuracy >= ACCURACY_THRESHOLD) & (steps <= budget))
    return int(steps[crossed[0]]) if len(crossed) else None


def sustained_crossing(steps: np.ndarray, accuracy: np.ndarray, budget: int) -> int | None:
    """The first crossing within the budget that no evaluation contradicts for as long as it must hold.

    One that is still pending at the last evaluation does not count.
    """
    for i in np.flatnonzero((accuracy >= ACCURACY_THRESHOLD) & (steps <= budget)):
        end = hold_end(steps[i])
        must_hold = (steps >= steps[i]) & (steps <= end)
        if steps[-1] >= end and (accuracy[must_hold] >= SUSTAINED_ABOVE).all():
            return int(steps[i])
    return None


@dataclass
class CrossingDetector:
    """Follows one accuracy of a replica and finds out when a crossing is sustained."""

    budget: int  # a crossing must begin by this step
    hold_steps: int = HOLD_STEPS
    candidate: int | None = None  # step of a crossing that is pending or sustained
    sustained: bool = False  # the candidate has held for as long as it must

    @property
    def is_pending(self) -> bool:
        """Whether there is a crossing that may still fail."""
        return self.candidate is not None and not self.sustained

    def update(self, step: int, accuracy: float) -> None:
        """Add one evaluation; where a sample's accuracy `is_undecided`, pass that of all equations."""
        if self.candidate is None:
            if accuracy >= ACCURACY_THRESHOLD and step <= self.budget:
                self.candidate = step
        elif accuracy < SUSTAINED_ABOVE and step <= hold_end(self.candidate, self.hold_steps):
            self.candidate = None
        self.sustained = self.hold_is_over(step)  # a candidate that is still there has held

    def hold_is_over(self, step: int) -> bool:
        """Whether the time for which the candidate must hold is over at this step; it may have failed."""
        return self.candidate is not None and step >= hold_end(self.candidate, self.hold_steps)

    def is_undecided(self, accuracy: float) -> bool:
        """Whether a sample with this accuracy cannot tell, so that all equations must be measured.

        No crossing yet: from 0.96 on, since it may be one. Pending: from 0.96 to 0.99, since above it holds
        and below it fails. Sustained: never. On a sample of 256 an accuracy of 0.99 on all equations gives
        less than 0.96 once in 15,000 samples, one of 0.985 once in 500 (binomial).
        """
        if self.sustained or accuracy < POSSIBLE_ABOVE:
            return False
        return self.candidate is None or accuracy < ACCURACY_THRESHOLD
