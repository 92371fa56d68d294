"""The check of a search's best trials for crossings that are sustained, in the time that is left."""

import time
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from grokking.data.tasks import Task
from grokking.search.config import StudyPlan
from grokking.search.confirmation_time import FEWEST_SEEDS, ConfirmationTime
from grokking.search.sustain import check_in_order


class TimedCheck:
    """Checks trials that can be checked and then confirmed before a deadline, best first."""

    def __init__(
        self,
        plan: StudyPlan,
        task: Task,
        ranking: Sequence[FrozenTrial],
        needs: ConfirmationTime,
        deadline: float,  # of the monotonic clock
    ) -> None:
        self.plan, self.task, self.ranking, self.needs, self.deadline = plan, task, ranking, needs, deadline
        self.found: dict[int, float | None] = {}  # by trial, its `sustained_median`

    def run(self) -> dict[int, float | None]:
        """Check by all seeds, if a trial can be in time, else by those of the search.

        A second trial is checked where that leaves time to confirm the first on all fresh seeds.
        """
        all_seeds, own_seeds = self.needs.checks
        if self._finds_one(all_seeds, FEWEST_SEEDS):
            self._finds_one(all_seeds, len(self.plan.config.confirm.seeds))
        else:
            self._finds_one(own_seeds, FEWEST_SEEDS)
        return self.found

    def _finds_one(self, seeds: int, fresh: int) -> bool:
        """Check by this number of seeds until a trial is sustained; keep time for `fresh` ones."""
        new = (trial for trial in self.ranking if trial.number not in self.found)
        fit = (trial for trial in new if self._fits(trial, seeds, fresh))
        found = check_in_order(fit, 1, self.plan, self.task, seeds)
        self.found |= found
        return any(median is not None for median in found.values())

    def _fits(self, trial: FrozenTrial, seeds: int, fresh: int) -> bool:
        return time.monotonic() + self.needs.seconds_to_confirm(trial, seeds, fresh) < self.deadline
