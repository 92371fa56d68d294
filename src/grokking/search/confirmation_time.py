"""How long it takes to check and to confirm what a search has found, kept back from the time that it has."""

import math

from optuna.trial import FrozenTrial

from grokking.data.tasks import Task
from grokking.engine.evaluation_steps import steps_within
from grokking.engine.events import hold_end
from grokking.search.config import StudyPlan
from grokking.search.objective import price
from grokking.search.study import SharedStudy
from grokking.search.tables import as_chosen
from grokking.search.trial_outcomes import all_seeds_generalized, seed_outcomes

START_SECONDS = 3.0  # of the processes that train
MARGIN = 1.2  # some seeds need more steps than those that were searched
FORWARD = 1 / 3  # of the time of an update is its forward pass, which is all that an evaluation takes
LARGEST_SHARE = 0.5  # of the time is kept back, where even that is too little
TRIALS_CHECKED = 2  # whose crossings are found to be sustained, before one of them is confirmed
FEWEST_SEEDS = 3  # fresh ones, on which something is confirmed whatever the time


class ConfirmationTime:
    """Seconds that a trial needs on the seeds that the search did not train it on to the full definition."""

    def __init__(self, plan: StudyPlan, task: Task, workers: int, available: float) -> None:
        """`available` are the seconds of search and confirmation together."""
        self.plan, self.config, self.task = plan, plan.config, task
        self.workers, self.most = workers, LARGEST_SHARE * available
        self.best: float | None = None  # value of the trial that was last looked at
        self.needed = 0.0

    def kept_back(self, study: SharedStudy) -> float:
        """Seconds for the best trial so far; 0 before any has generalized with all its seeds."""
        if study.known.best != self.best:
            self.best = study.known.best
            best = min(self._complete(study), key=lambda trial: trial.values[0])
            check, fresh = self.checks[0], len(self.config.confirm.seeds)
            others = (TRIALS_CHECKED - 1) * self.seconds_to_check(best, check)
            self.needed = others + self.seconds_to_confirm(best, check, fresh)
        return min(self.needed, self.most)

    @property
    def checks(self) -> tuple[int, int]:
        """Numbers of seeds by which a trial can be checked: all, or those of the search."""
        own = len(self.config.search.seeds)
        return own + len(self.config.sustain_seeds.seeds), own

    def seconds_to_confirm(self, trial: FrozenTrial, check: int, fresh: int) -> float:
        """To check it by this number of seeds and to train it on this number of fresh ones."""
        return self.seconds_to_check(trial, check) + self.seconds_to_train(trial, fresh)

    def seconds_to_check(self, trial: FrozenTrial, seeds: int) -> float:
        """To find out whether its crossings are sustained: its first seed, its others, and further ones."""
        own = min(seeds, len(self.config.search.seeds))
        parts = (1, own - 1, seeds - own)
        return sum(self.seconds_to_train(trial, replicas) for replicas in parts if replicas)

    def seconds_to_train(self, trial: FrozenTrial, replicas: int) -> float:
        """To train this many replicas of it, each on one worker."""
        rounds = math.ceil(replicas / self.workers)
        return START_SECONDS + MARGIN * rounds * self._replica_seconds(trial)

    def fresh_seeds(self, trial: FrozenTrial, seconds: float) -> int:
        """On how many fresh seeds it can be trained in this time."""
        rounds = int((seconds - START_SECONDS) / (MARGIN * self._replica_seconds(trial)))
        return min(max(rounds * self.workers, FEWEST_SEEDS), len(self.config.confirm.seeds))

    def _complete(self, study: SharedStudy) -> list[FrozenTrial]:
        seeds = len(self.config.search.seeds)
        return [trial for trial in study.ended() if all_seeds_generalized(trial, seeds)]

    def _replica_seconds(self, trial: FrozenTrial) -> float:
        """Of updates and evaluations of one of its replicas, until its crossing has held."""
        outcomes = seed_outcomes(trial)
        steps = math.ceil(hold_end(max(outcome.step or 0 for outcome in outcomes)))
        step_seconds = max(outcome.seconds / outcome.steps_run for outcome in outcomes)
        return step_seconds * (steps + self._evaluation(trial) * len(steps_within(steps)))

    def _evaluation(self, trial: FrozenTrial) -> float:
        """What an evaluation of all equations takes, in updates."""
        values = as_chosen(trial, self.plan)["values"]
        replica = self.plan.replicas(values, self.config.search)[0]
        return FORWARD * len(self.task.equations) / price(replica, self.task).examples
