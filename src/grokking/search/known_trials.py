"""What a process knows of a study's trials: which run, and what those came to that have ended."""

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import Self

from optuna.trial import FrozenTrial, TrialState

from grokking.search.trial_outcomes import all_seeds_generalized, seed_outcomes


class KnownTrials:
    """A trial that has ended is read once: it does not change any more, and a long study has ten thousand."""

    def __init__(self, seeds: int) -> None:
        self.seeds = seeds  # of a trial that was trained with all of them
        self.total = 0
        self.open: list[FrozenTrial] = []  # those that have not ended, by number
        self.stopped = 0  # by a rule
        self.generalized = 0  # with each of the seeds they were trained with
        self.best: float | None = None  # the lowest value of a trial all of whose seeds generalized
        self.memorization_steps: list[float] = []  # of all seeds of ended trials; these three ascend
        self.generalization_norms: list[float] = []
        self.forecast_errors: list[float] = []
        self._flops_of_ended = 0.0

    def update(self, trials: Sequence[FrozenTrial]) -> Self:
        """Read what has changed; `trials` are all of the study, by number."""
        changed = [*(trials[trial.number] for trial in self.open), *trials[self.total :]]
        self.total = len(trials)
        self.open = [trial for trial in changed if not trial.state.is_finished()]
        for trial in changed:
            if trial.state.is_finished():
                self._add(trial)
        return self

    @property
    def running(self) -> list[FrozenTrial]:
        """Those that some process runs, or left unfinished."""
        return [trial for trial in self.open if trial.state == TrialState.RUNNING]

    @property
    def ended(self) -> int:
        return self.total - len(self.open)

    @property
    def begun(self) -> int:
        return self.ended + len(self.running)

    @property
    def flops(self) -> float:
        """What training has cost so far."""
        return self._flops_of_ended + sum(_flops(trial) for trial in self.running)

    def _add(self, trial: FrozenTrial) -> None:
        outcomes = seed_outcomes(trial)
        if all_seeds_generalized(trial, self.seeds):
            self.best = min(trial.values[0], trial.values[0] if self.best is None else self.best)
        self.stopped += trial.state == TrialState.PRUNED
        self.generalized += all_seeds_generalized(trial, max(1, len(outcomes)))
        self._flops_of_ended += _flops(trial)
        _insert(self.memorization_steps, (outcome.memorization_step for outcome in outcomes))
        _insert(self.generalization_norms, (outcome.generalization_norm for outcome in outcomes))
        _insert(self.forecast_errors, (outcome.forecast_error for outcome in outcomes))


def _flops(trial: FrozenTrial) -> float:
    return sum(outcome.flops for outcome in seed_outcomes(trial))


def _insert(ascending: list[float], numbers: Iterable[float | None]) -> None:
    for number in numbers:
        if number is not None:
            insort(ascending, number)
