"""The search: ask for trials, train their seeds on every lane, tell what became of them.

A trial begins with one seed. Where that one came near the best so far, the other seeds follow; so the best
trials rest on all seeds and most of the others cost one. The study's first trial has the lanes to itself and
begins with all its seeds: the others are raced against it.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from optuna.trial import Trial, TrialState

from grokking.experiment import ExperimentConfig, Replica
from grokking.search.config import StudyPlan
from grokking.search.follower import BUDGET, DIVERGED, GENERALISED, Job, Outcome
from grokking.search.lanes import Lanes
from grokking.search.pruning import Circumstances, slack
from grokking.search.space import suggest
from grokking.search.study import Trials, keep_outcome, outcomes, tell

DECOUPLED = ("adamw", "sgd", "nesterov")  # whose weights shrink at a rate that is known in advance
ADAPTED = ("mean_squared_error",)  # losses that pin the scale of the logits whatever the norm
OWN = (GENERALISED, BUDGET, DIVERGED)  # ends that no rule brought about


class Candidate:
    """A trial of this process and what is known of its seeds."""

    def __init__(self, trial: Trial, plan: StudyPlan) -> None:
        self.trial = trial
        self.replicas = plan.replicas(suggest(trial, plan.config.space), plan.config.search)
        self.outcomes = {outcome.seed_number: outcome for outcome in outcomes(trial.user_attrs)}
        self.submitted = set(self.outcomes)

    def next_seeds(self, limit: float) -> list[int]:
        """Seeds to train now: the first, then all others if the first cost less than the limit."""
        if self.is_first():
            wanted = list(range(len(self.replicas)))
        elif not self.outcomes:
            wanted = [0]
        elif self.outcomes[0].cost is not None and self.outcomes[0].cost <= limit:
            wanted = list(range(len(self.replicas)))
        else:
            wanted = []
        return [number for number in wanted if number not in self.submitted]

    def is_first(self) -> bool:
        """Of the study."""
        return self.trial.number == 0

    def done(self) -> bool:
        return self.submitted == set(self.outcomes)

    def value(self) -> float:
        return float(np.median([outcome.value for outcome in self.outcomes.values()]))

    def gap(self) -> float:
        return float(np.median([outcome.gap for outcome in self.outcomes.values()]))

    def reason(self) -> str:
        """Why the trial ended as it did: that of the seed in the middle."""
        ordered = sorted(self.outcomes.values(), key=lambda outcome: outcome.value)
        return ordered[len(ordered) // 2].reason


class Search:
    """One process's part in a study."""

    def __init__(
        self, plan: StudyPlan, trials: Trials, lanes: Lanes, show: Callable[["Search"], None]
    ) -> None:
        self.plan, self.trials, self.lanes, self.show = plan, trials, lanes, show
        self.candidates: dict[int, Candidate] = {}  # by trial number
        self.queue: deque[Job] = deque()
        self.exhausted = False

    def run(self) -> None:
        """Until there are no more trials to ask for and this process's own have ended."""
        while True:
            self._fill()
            self.show(self)
            if not self.candidates:
                return
            for outcome in self.lanes.wait():
                self._take(outcome)

    def _fill(self) -> None:
        while self.lanes.free > 0:
            while not self.queue and self._may_begin():
                self._begin()
            if not self.queue:
                return
            self.lanes.submit(self.queue.popleft())

    def _may_begin(self) -> bool:
        return not self.exhausted and not any(candidate.is_first() for candidate in self.candidates.values())

    def _begin(self) -> None:
        trial = self.trials.ask()
        if trial is None:
            self.exhausted = True
            return
        candidate = Candidate(trial, self.plan)
        self.candidates[trial.number] = candidate
        self._go_on(candidate)

    def _take(self, outcome: Outcome) -> None:
        candidate = self.candidates[outcome.trial]
        keep_outcome(candidate.trial, outcome)
        candidate.outcomes[outcome.seed_number] = outcome
        self._go_on(candidate)

    def _go_on(self, candidate: Candidate) -> None:
        """Queue the seeds that should follow, or end the trial."""
        for number in candidate.next_seeds(self._limit()):
            self.queue.append(self._job(candidate, number))
            candidate.submitted.add(number)
        if candidate.done():
            reason = candidate.reason()
            value, gap = candidate.value(), candidate.gap()
            tell(self.trials.study, candidate.trial, value, reason, gap, pruned=reason not in OWN)
            del self.candidates[candidate.trial.number]

    def _job(self, candidate: Candidate, number: int) -> Job:
        trial, pruner = candidate.trial.number, self.plan.config.pruner
        exempt = pruner.name == "none" or is_exempt(trial, pruner.unpruned, pruner.exempt_every)
        index = trial * len(candidate.replicas) + number  # one of its own for each replica of a study
        replica = replace(candidate.replicas[number], index=index)
        objective = self.plan.config.objective
        return Job(trial, number, replica, objective, self._circumstances(replica), exempt)

    def _limit(self) -> float:
        """The cost beyond which a replica is too far from the best trial; infinite before there is one."""
        best = best_value(self.trials, len(self.plan.config.search.seeds))
        return math.inf if best is None else self.plan.config.pruner.racing * 10**best

    def _circumstances(self, replica: Replica) -> Circumstances:
        earlier = [o for trial in self.trials.ended() for o in outcomes(trial.user_attrs)]
        return Circumstances(
            replica.config.budget,
            self._limit(),
            decay_rate(replica.config),
            decay_driven(replica.config),
            _median([o.memorization_step for o in earlier]),
            _median([o.generalization_norm for o in earlier]),
            slack([o.forecast_error for o in earlier if o.forecast_error is not None]),
        )


def is_exempt(trial: int, unpruned: int, exempt_every: int) -> bool:
    """Whether a trial is never stopped: the first ones, and a fixed share of the others."""
    return trial < unpruned or trial % exempt_every == exempt_every - 1


def best_value(trials: Trials, seeds: int) -> float | None:
    """The best value of a trial all of whose seeds generalised."""
    values = [
        trial.value
        for trial in trials.ended()
        if trial.state == TrialState.COMPLETE and all_generalised(outcomes(trial.user_attrs), seeds)
    ]
    return min((value for value in values if value is not None), default=None)


def all_generalised(of_trial: list[Outcome], seeds: int) -> bool:
    return len(of_trial) == seeds and all(outcome.cost is not None for outcome in of_trial)


def decay_rate(config: ExperimentConfig) -> float:
    """Share of the weights that decay takes away per update."""
    optimizer = config.optimizer
    if optimizer.name not in DECOUPLED:
        return 0.0
    return optimizer.learning_rate * optimizer.weight_decay / (1 - getattr(optimizer, "momentum", 0.0))


def decay_driven(config: ExperimentConfig) -> bool:
    """Whether the weights must shrink before the network generalises."""
    plain = config.gradient_projection == "none" and config.weight_clamp.name == "none"
    return plain and config.loss not in ADAPTED and config.optimizer.name in DECOUPLED


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
