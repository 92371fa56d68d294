"""A task as a search sees it: judged by a small part of the validation equations, the rest kept closed."""

from dataclasses import dataclass

import numpy as np

from grokking.data.tasks import Task

MONITOR_SHARE = 0.1  # of all equations
MONITOR = 1  # the stream of a split seed from which the monitor part is drawn; the split itself is another


@dataclass(frozen=True)
class Monitored(Task):
    """The same task, whose validation is a random tenth of all equations, none of them trained on.

    What a search chooses by these is measured on all validation equations only once, by `confirm`.
    """

    def validation_mask(self, split_seed: int) -> np.ndarray:
        closed = np.flatnonzero(~self.train_mask(split_seed))
        drawn = np.random.default_rng([split_seed, MONITOR]).permutation(closed)
        mask = np.zeros(len(self.equations), dtype=bool)
        mask[drawn[: round(MONITOR_SHARE * len(mask))]] = True
        return mask


def monitored(task: Task) -> Monitored:
    """The task with validation on its monitor part."""
    return Monitored(task.table, task.splits)
