"""How long it takes to confirm what a search has found: kept back from the time that it has."""

from optuna.trial import FrozenTrial

from grokking.engine.events import trial_end
from grokking.search.config import StudyPlan
from grokking.search.study import SharedStudy
from grokking.search.trial_outcomes import all_generalized, seed_outcomes

START_SECONDS = 10.0  # of the processes that train, which are started three times
MARGIN = 1.5  # evaluations take time, too, and some seeds need more steps than those that were searched
MOST = 0.5  # of the time, where even that is too little


class ConfirmationTime:
    """Seconds that the best trial so far needs on the further and the fresh seeds."""

    def __init__(self, plan: StudyPlan, workers: int, available: float) -> None:
        """`available` are the seconds of search and confirmation together."""
        self.seeds = len(plan.config.search.seeds)
        parts = (plan.config.search, plan.config.sustain_seeds, plan.config.confirm)
        self.replicas_each = sum(len(part.seeds) for part in parts) / workers
        self.most = MOST * available
        self.best: float | None = None  # value of the trial that was last looked at
        self.needed = 0.0

    def seconds(self, study: SharedStudy) -> float:
        """0 before any trial has generalized with all its seeds."""
        if study.known.best != self.best:
            self.best = study.known.best
            self.needed = self._needed_by(self._trial(study))
        return min(self.needed, self.most)

    def _trial(self, study: SharedStudy) -> FrozenTrial:
        """The best trial."""
        ended = [trial for trial in study.ended() if all_generalized(seed_outcomes(trial), self.seeds)]
        return min(ended, key=lambda trial: trial.values[0])

    def _needed_by(self, trial: FrozenTrial) -> float:
        outcomes = seed_outcomes(trial)
        seconds_per_step = max(outcome.seconds / outcome.steps_run for outcome in outcomes)
        steps = trial_end(max(outcome.step or 0 for outcome in outcomes))
        return START_SECONDS + MARGIN * self.replicas_each * steps * seconds_per_step
