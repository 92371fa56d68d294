"""What the trials of a study that have ended came to: the best of them, and what pruning rules learn."""

import bisect
from collections.abc import Sequence
from typing import Self

from optuna.trial import FrozenTrial, TrialState

from grokking.search.config import StudyPlan
from grokking.search.ended import ENDED, EndedPrefix
from grokking.search.seed_job import SeedOutcome
from grokking.search.study import SharedStudy, seed_outcomes


class EndedTrials:
    """Each trial is read once, when it has ended: a long study has ten thousand of them."""

    def __init__(self, plan: StudyPlan) -> None:
        self.seeds = len(plan.config.search.seeds)
        self.best: float | None = None  # the lowest value of a trial all of whose seeds generalized
        self.memorization_steps: list[float] = []  # these three in ascending order
        self.generalization_norms: list[float] = []
        self.forecast_errors: list[float] = []
        self._read: set[int] = set()
        self._prefix = EndedPrefix()

    def read(self, trials: Sequence[FrozenTrial]) -> Self:
        """Add those of a study's trials, by number, that have ended since the last call."""
        for trial in self._prefix.rest(trials):
            if trial.state in ENDED:
                self.add(trial)
        return self

    def add(self, trial: FrozenTrial) -> None:
        """Add one trial that has ended, if it was not there."""
        if trial.number in self._read:
            return
        self._read.add(trial.number)
        outcomes = seed_outcomes(trial)
        if trial.state == TrialState.COMPLETE and all_generalized(outcomes, self.seeds):
            value = trial.values[0]
            self.best = value if self.best is None else min(self.best, value)
        for outcome in outcomes:
            _insert(self.memorization_steps, outcome.memorization_step)
            _insert(self.generalization_norms, outcome.generalization_norm)
            _insert(self.forecast_errors, outcome.forecast_error)


def best_value(study: SharedStudy, plan: StudyPlan) -> float | None:
    """The best value of a trial all of whose seeds generalized."""
    return EndedTrials(plan).read(study.trials()).best


def all_generalized(outcomes: list[SeedOutcome], seeds: int) -> bool:
    return len(outcomes) == seeds and all(outcome.cost is not None for outcome in outcomes)


def _insert(numbers: list[float], number: float | None) -> None:
    if number is not None:
        bisect.insort(numbers, number)
