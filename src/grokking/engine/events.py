"""Memorisation and generalisation: when an accuracy crosses the threshold and stays there."""

from dataclasses import dataclass

import numpy as np

ACCURACY_THRESHOLD = 0.99
SUSTAINED_ABOVE = 0.985  # a crossing does not count if accuracy falls below this while it is on trial
HOLD_SHARE, HOLD_STEPS = 1.2, 500  # how long a crossing is on trial
UNDECIDED_ABOVE = 0.96  # a sample's accuracy from here on does not rule out a crossing


def trial_end(step: int, hold_steps: int = HOLD_STEPS) -> float:
    """Until which step a crossing at `step` must hold."""
    return max(HOLD_SHARE * step, step + hold_steps)


def first_crossing(steps: np.ndarray, accuracy: np.ndarray) -> int | None:
    """The first evaluated step at or above the threshold, sustained or not."""
    crossed = np.flatnonzero(accuracy >= ACCURACY_THRESHOLD)
    return int(steps[crossed[0]]) if len(crossed) else None


def sustained_crossing(steps: np.ndarray, accuracy: np.ndarray) -> int | None:
    """The first crossing with no evaluation below 0.985 until max(1.2 t, t + 500) or the end of training."""
    for at in np.flatnonzero(accuracy >= ACCURACY_THRESHOLD):
        on_trial = (steps >= steps[at]) & (steps <= trial_end(steps[at]))
        if (accuracy[on_trial] >= SUSTAINED_ABOVE).all():
            return int(steps[at])
    return None


@dataclass
class CrossingDetector:
    """Follows one accuracy of a replica and tells when a crossing is sustained."""

    candidate: int | None = None  # the crossing on trial
    settled: bool = False  # a crossing has held through its trial

    def take(self, step: int, accuracy: float) -> None:
        """Take one more evaluation, on all equations unless `undecided` was false of the sample."""
        if self.settled or (self.candidate is not None and step > trial_end(self.candidate)):
            self.settled = True
            return
        if accuracy < SUSTAINED_ABOVE:
            self.candidate = None
        elif self.candidate is None and accuracy >= ACCURACY_THRESHOLD:
            self.candidate = step
        self.settled = self.ends_by(step)

    def ends_by(self, step: int) -> bool:
        """Whether the trial of the crossing, if there is one, is over at this step."""
        return self.candidate is not None and step >= trial_end(self.candidate)

    def undecided(self, accuracy: float) -> bool:
        """Whether the accuracy on a sample leaves open what all equations would say.

        A crossing is never taken from a sample, and a crossing on trial is never failed by one that is
        near the threshold. With 256 equations, an accuracy of 0.99 on all gives less than 0.96 on the
        sample once in 15,000 samples (binomial).
        """
        accepted = self.candidate is not None and accuracy >= ACCURACY_THRESHOLD
        return not self.settled and accuracy >= UNDECIDED_ABOVE and not accepted


def evaluation_steps(budget: int, share: int = 50) -> list[int]:
    """Steps at which to evaluate: never more than a `share`-th of the step apart, 2 % by default.

    To 2 · share, with which the gaps begin to be longer than a step, that is each one.
    """
    steps = [0]
    while steps[-1] < budget:
        steps.append(min(budget, steps[-1] + max(1, steps[-1] // share)))
    return steps


def snapshot_steps(budget: int) -> set[int]:
    """Steps of the evaluation grid at which parameters are kept: 0, 1, 2, 4, 8, then about √2 times the last.

    Before its tenth step a network has hardly memorised anything.
    """
    grid = np.array(evaluation_steps(budget))
    exponents = [*range(4), *np.arange(4, budget.bit_length(), 0.5)]
    return {0} | {int(grid[at]) for at in np.searchsorted(grid, np.exp2(exponents)) if at < len(grid)}
