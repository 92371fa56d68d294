"""Memorisation and generalisation: when an accuracy crosses the threshold and stays there."""

from dataclasses import dataclass

import numpy as np

ACCURACY_THRESHOLD = 0.99
SUSTAINED_ABOVE = 0.985  # a crossing does not count if accuracy falls below this while it is on trial


def trial_end(step: int) -> float:
    """Until which step a crossing at `step` must hold."""
    return max(1.2 * step, step + 500)


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
class Watch:
    """Follows one replica's validation accuracy and tells when its generalisation is sustained."""

    candidate: int | None = None

    def sustained(self, step: int, accuracy: float) -> bool:
        """Take one more evaluation; True once a crossing has held through its trial."""
        if self.candidate is not None and step > trial_end(self.candidate):
            return True
        if accuracy < SUSTAINED_ABOVE:
            self.candidate = None
        elif self.candidate is None and accuracy >= ACCURACY_THRESHOLD:
            self.candidate = step
        return self.candidate is not None and step == trial_end(self.candidate)


def evaluation_steps(budget: int) -> list[int]:
    """Steps at which to evaluate: each one to 50, then never more than 2 % of the step apart."""
    steps = [0]
    while steps[-1] < budget:
        steps.append(min(budget, steps[-1] + max(1, steps[-1] // 50)))
    return steps
