"""Runs a study: asks for trials, trains their seeds on every worker, reports how they ended.

A trial begins with one seed. Only where that one comes near the best so far do the other seeds follow; so
the best trials rest on all seeds and most others cost one. The study's first trial has all its seeds, and the
process that runs it begins no other meanwhile: the others are raced against it.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from optuna.trial import Trial

from grokking.search.config import StudyPlan
from grokking.search.executor import ReplicaExecutor
from grokking.search.leases import RENEW_SECONDS
from grokking.search.pruning_context import context_of
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.space import suggest
from grokking.search.study import SharedStudy, end_trial, read
from grokking.search.trial_outcomes import save_outcome, seed_outcomes


class ActiveTrial:
    """A trial that this process runs, and what is known of its seeds."""

    def __init__(self, trial: Trial, plan: StudyPlan) -> None:
        self.trial = trial
        self.replicas = plan.replicas(suggest(trial, plan.config.space), plan.config.search)
        self.outcomes = {outcome.seed_number: outcome for outcome in seed_outcomes(read(trial))}
        self.submitted = set(self.outcomes)

    @property
    def is_first(self) -> bool:
        """Whether it is the study's first."""
        return self.trial.number == 0

    @property
    def is_done(self) -> bool:
        return self.submitted == set(self.outcomes)

    def next_seeds(self, limit: float) -> list[int]:
        """Seeds to train now: the first one, then all others if it cost no more than the limit."""
        wanted = len(self.replicas) if self.is_first or self._first_seed_is_near(limit) else 1
        return [number for number in range(wanted) if number not in self.submitted]

    def _first_seed_is_near(self, limit: float) -> bool:
        first = self.outcomes.get(0)
        return first is not None and first.cost is not None and first.cost <= limit

    def value(self) -> float:
        return float(np.median([outcome.value for outcome in self.outcomes.values()]))

    def gap(self) -> float:
        return float(np.median([outcome.gap for outcome in self.outcomes.values()]))

    def reason(self) -> str:
        """Why the trial ended: the reason of the seed with the middle value."""
        ordered = sorted(self.outcomes.values(), key=lambda outcome: outcome.value)
        return ordered[len(ordered) // 2].reason


class Scheduler:
    """One process's part in a study."""

    def __init__(
        self,
        plan: StudyPlan,
        study: SharedStudy,
        executor: ReplicaExecutor,
        show: Callable[[SharedStudy], None] = lambda study: None,
    ) -> None:
        self.plan, self.study, self.executor, self.show = plan, study, executor, show
        self.active: dict[int, ActiveTrial] = {}  # by trial number
        self.queue: deque[SeedJob] = deque()
        self.exhausted = False  # there are no more trials to ask for

    def run(self) -> None:
        """Run until there are no more trials to ask for and this process's own have ended."""
        outcomes: deque[SeedOutcome] = deque()
        while True:
            self._step(outcomes)
            if outcomes or self._may_begin():
                continue
            if not self.active:
                return
            outcomes.extend(self.executor.wait(RENEW_SECONDS))

    def _step(self, outcomes: deque[SeedOutcome]) -> None:
        """Record one outcome and begin one trial: so a worker waits for one, where many end together."""
        with self.study.alone():  # nobody takes a trial over meanwhile, and all is written at once
            self._give_up_lost()
            if outcomes:
                self._record(outcomes.popleft())
            if self._may_begin():
                self._begin_trial()
        self._submit_jobs()
        self.show(self.study)

    def _give_up_lost(self) -> None:
        """Leave trials to those that took them over, after this process was held up for minutes."""
        for number in self.study.renew_leases([active.trial for active in self.active.values()]):
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        del self.active[number]
        self.queue = deque(job for job in self.queue if job.trial != number)

    def _submit_jobs(self) -> None:
        while self.queue and self.executor.free > 0:
            self.executor.submit(self.queue.popleft())

    def _may_begin(self) -> bool:
        """Whether there is a worker for a further trial, and the first one has ended."""
        first = any(trial.is_first for trial in self.active.values())
        return not self.exhausted and not first and len(self.queue) < self.executor.free

    def _begin_trial(self) -> None:
        trial = self.study.ask()
        if trial is None:
            self.exhausted = True
            return
        self.active[trial.number] = ActiveTrial(trial, self.plan)
        self._continue(self.active[trial.number])

    def _record(self, outcome: SeedOutcome) -> None:
        trial = self.active.get(outcome.trial)
        if trial is None:
            return  # given up
        save_outcome(trial.trial, outcome)
        trial.outcomes[outcome.seed_number] = outcome
        self._continue(trial)

    def _continue(self, trial: ActiveTrial) -> None:
        """Queue the seeds that should follow, or end the trial."""
        for number in trial.next_seeds(self._limit()):
            self.queue.append(self._job(trial, number))
            trial.submitted.add(number)
        if trial.is_done:
            end_trial(self.study.optuna, trial.trial, trial.value(), trial.reason(), trial.gap())
            self.study.look()
            del self.active[trial.trial.number]

    def _job(self, trial: ActiveTrial, seed_number: int) -> SeedJob:
        number = trial.trial.number
        index = number * len(trial.replicas) + seed_number  # unique within the study
        replica = replace(trial.replicas[seed_number], index=index)
        return SeedJob(
            trial=number,
            seed_number=seed_number,
            replica=replica,
            objective=self.plan.config.objective,
            context=context_of(replica.config, self.study.known, self._limit()),
            exempt=self.plan.config.pruner.is_exempt(number),
            leads_below=self._best() if seed_number == 0 else 0.0,  # one seed proves it
            leader_hold_steps=self.plan.config.leader_hold_steps,
        )

    def _best(self) -> float:
        """The cost of the best trial so far; infinite before there is one."""
        best = self.study.known.best
        return math.inf if best is None else float(10**best)

    def _limit(self) -> float:
        """The cost beyond which a replica is too far from the best trial; infinite before there is one."""
        return self.plan.config.pruner.racing_factor * self._best()
