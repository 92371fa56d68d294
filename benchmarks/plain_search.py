"""The search as one would write it with Optuna: one trial at a time, one network at a time, MedianPruner."""

from collections.abc import Callable
from statistics import median
from typing import Any

import optuna
from optuna.trial import Trial

from benchmarks.cases import Case
from benchmarks.plain_tuned import TunedLoop
from grokking.data.tasks import Task
from grokking.engine.events import ACCURACY_THRESHOLD, SUSTAINED_ABOVE, hold_end
from grokking.search.config import SEARCH_HOLD_STEPS, StudyPlan
from grokking.search.space import suggest

EVERY = 10  # steps from one evaluation to the next

Report = Callable[[int, float], None]  # takes step and accuracy; may raise TrialPruned


class PlainSearch:
    """Tries points of a study's space; counts the steps it trains."""

    def __init__(self, plan: StudyPlan, task: Task, device: str) -> None:
        self.plan, self.task, self.device = plan, task, device
        self.steps = 0

    def run(self, points: list[dict[str, Any]]) -> optuna.Study:
        """A trial for each point, in this order."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
        for point in points:
            study.enqueue_trial(point)
        study.optimize(self.objective, n_trials=len(points))
        return study

    def objective(self, trial: Trial) -> float:
        """The median over the seeds of time-to-grok, the budget where it was not reached."""
        replicas = self.plan.replicas(suggest(trial, self.plan.config.space), self.plan.config.search)
        times = []
        for number, replica in enumerate(replicas):
            loop = TunedLoop(Case(self.plan.name, replica, self.task), self.device)
            times.append(time_to_grok(loop, self._report(trial, number * self.plan.budget)))
        return median(times)

    def _report(self, trial: Trial, before: int) -> Report:
        """Report the error, as the study minimizes; steps of one seed follow those of the seed before."""

        def report(step: int, accuracy: float) -> None:
            self.steps += EVERY
            trial.report(1 - accuracy, before + step)
            if trial.should_prune():
                raise optuna.TrialPruned

        return report


def time_to_grok(loop: TunedLoop, report: Report) -> int:
    """The step at which accuracy on the monitored equations crosses the threshold and stays, as in ours."""
    crossing, budget = None, loop.config.budget
    for step in range(EVERY, budget + 1, EVERY):
        loop.update(EVERY)
        accuracy = loop.accuracy()
        report(step, accuracy)
        if not loop.last_loss.isfinite():
            return budget
        if accuracy < SUSTAINED_ABOVE:
            crossing = None
        elif crossing is None and accuracy >= ACCURACY_THRESHOLD:
            crossing = step
        if crossing is not None and step >= hold_end(crossing, SEARCH_HOLD_STEPS):
            break
    return budget if crossing is None else crossing
