"""The Optuna study behind a search: created, resumed, shared between processes; every trial exactly once.

A trial belongs to the process that asked for it, named in its attributes. The trial of a process that is
gone is taken over as it is: same number, same parameters, the seeds that were finished kept. Of this host the
system knows which processes are gone. Those of other hosts hold their trials by leases, which they renew.
"""

import hashlib
import json
import math
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from functools import cache
from typing import Any

import optuna
import psutil
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from grokking.search.config import StudyPlan
from grokking.search.dashboard import describe_trial, name_objective, report_curve
from grokking.search.ended import ENDED, EndedPrefix
from grokking.search.pruning import RULES, SPARING_RULES
from grokking.search.sampler import make_sampler
from grokking.search.seed_job import SeedOutcome
from grokking.search.storage import Storage
from grokking.search.study_lock import StudyLock

MAY_CHANGE = ("trials", "sustain_seeds", "confirm")  # keys under other values of which a study goes on
RENEW_SECONDS, LEASE_SECONDS = (
    60.0,
    300.0,
)  # a trial of another host that is not renewed so long is taken over
OWNER, OUTCOME, REASON = "owner", "outcome", "reason"  # attributes of a trial

Batch = Callable[[], AbstractContextManager[None]]
StopCondition = Callable[[list[FrozenTrial]], bool]  # of the trials that have begun


def max_trials(trials: int) -> StopCondition:
    """Stop asking at this many trials."""
    return lambda begun: len(begun) >= trials


def max_flops(flops: float) -> StopCondition:
    """Stop asking once training has cost this much."""
    return lambda begun: sum(map(_flops, begun)) >= flops


def _flops(trial: FrozenTrial) -> float:
    """What a trial has cost so far."""
    return sum(value["flops"] for key, value in trial.user_attrs.items() if key.startswith(f"{OUTCOME}/"))


class TrialLost(Exception):
    """Another process has taken a trial over: this one was held up for longer than a lease."""


class Leases:
    """When trials were last renewed: own ones, and those of other hosts.

    A lease has expired when it was not renewed for `LEASE_SECONDS` by the clock of the process that watches.
    So the clocks of two hosts need not agree.
    """

    def __init__(self) -> None:
        self.renewed: dict[int, float] = {}  # of own trials, by number: when
        self.watched: dict[
            int, tuple[dict[str, Any], float]
        ] = {}  # of others: what was said last, since when

    def is_due(self, trial: int) -> bool:
        """Whether an own trial is to be renewed now."""
        now = time.monotonic()
        due = now - self.renewed.setdefault(trial, now) >= RENEW_SECONDS
        if due:
            self.renewed[trial] = now
        return due

    def has_expired(self, trial: int, owner: dict[str, Any]) -> bool:
        """Whether the owner of a trial has not been heard of for too long."""
        now = time.monotonic()
        said, since = self.watched.get(trial, (None, now))
        if said != owner:
            self.watched[trial] = (owner, now)
            return False
        return now - since >= LEASE_SECONDS


class SharedStudy:
    """A study and its trials, shared with every other process that opened it."""

    def __init__(self, study: Study, key: str, lock: StudyLock, batch: Batch, stop: StopCondition) -> None:
        """Within `lock` no other process changes the study; within `batch` what is written is gathered."""
        self.optuna, self.key, self.lock, self.batch, self.stop = study, key, lock, batch, stop
        self.leases, self.prefix = Leases(), EndedPrefix()
        self.trials_at_ask: list[FrozenTrial] = []  # all of the study, when it was asked last

    def ask(self) -> Trial | None:
        """The trial of a dead process, or a new one; None once the stop condition holds."""
        with self.alone():
            self.trials_at_ask = trials = self.trials()
            later = self.prefix.rest(trials)
            trial = self._orphan(later) or self._new(trials, later)
            if trial is not None:
                trial.set_user_attr(OWNER, this_process())
            return trial

    def lost(self, trials: Sequence[Trial]) -> list[int]:
        """Renew the leases of these trials; the numbers of those that others have taken over meanwhile."""
        with self.alone():
            mine = [trial for trial in trials if self._is_mine(trial)]
            for trial in mine:
                if self.leases.is_due(trial.number):
                    trial.set_user_attr(OWNER, this_process())
        return [trial.number for trial in trials if trial not in mine]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the study; what is written meanwhile is on the disk at the end."""
        with self.lock, self.batch():
            yield

    @contextmanager
    def writing_to(self, trial: Trial) -> Iterator[None]:
        """Keep others from taking a trial over while it is written to; TrialLost where one already has."""
        with self.alone():
            if not self._is_mine(trial):
                raise TrialLost
            yield

    def _is_mine(self, trial: Trial) -> bool:
        found = self.read(trial)
        return found.state == TrialState.RUNNING and _same(found.user_attrs[OWNER], this_process())

    def trials(self) -> list[FrozenTrial]:
        """All, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def read(self, trial: Trial) -> FrozenTrial:
        """A trial as it is kept now."""
        return trial.storage.get_trial(trial._trial_id)

    def ended(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=ENDED)

    def running(self) -> list[FrozenTrial]:
        """Trials that some process runs, or left unfinished."""
        return self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _orphan(self, trials: Sequence[FrozenTrial]) -> Trial | None:
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                continue
            owner = trial.user_attrs.get(OWNER)
            if owner is None or self._is_gone(trial.number, owner):
                return Trial(self.optuna, trial._trial_id)  # Optuna has no public way to resume a trial
        return None

    def _is_gone(self, trial: int, owner: dict[str, Any]) -> bool:
        if _same(owner, this_process()):
            return False
        if owner["host"] == socket.gethostname():
            return not _alive(owner)
        return self.leases.has_expired(trial, owner)

    def _new(self, trials: list[FrozenTrial], later: Sequence[FrozenTrial]) -> Trial | None:
        begun = trials[: len(trials) - len(later)] + [t for t in later if t.state != TrialState.WAITING]
        return None if self.stop(begun) else self.optuna.ask()


def open_study(plan: StudyPlan, key: str, storage: Storage, stop: StopCondition) -> SharedStudy:
    """The study of this key, created where there is none.

    `key` identifies all that decides the outcome of a trial: under another key it is another study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage.folder.mkdir(parents=True, exist_ok=True)
    lock = storage.lock(plan.name)
    with lock:
        opened = storage.open(plan.name)
        study = optuna.create_study(
            storage=opened,
            study_name=f"{plan.name}-{key[:12]}",
            sampler=make_sampler(plan.config.sampler),
            load_if_exists=True,
        )
        if all(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
            for point in plan.config.initial_points:
                study.enqueue_trial(point, skip_if_exists=True)
        name_objective(study, plan)
    return SharedStudy(study, key, lock, getattr(opened, "batch", nullcontext), stop)


def study_key(plan: StudyPlan, core: str) -> str:
    """Hash of what decides the outcome of a trial: the study's configuration and what trains it (`core`)."""
    config = {name: value for name, value in asdict(plan.config).items() if name not in MAY_CHANGE}
    return hashlib.sha256((json.dumps(config, sort_keys=True, default=str) + core).encode()).hexdigest()


def save_outcome(trial: Trial, outcome: SeedOutcome) -> None:
    """Write one seed's outcome to the trial, so that it need not be trained again."""
    trial.set_user_attr(f"{OUTCOME}/{outcome.seed_number}", asdict(outcome))


def seed_outcomes(trial: Trial | FrozenTrial) -> list[SeedOutcome]:
    """A trial's outcomes so far, by seed number."""
    saved = [value for key, value in trial.user_attrs.items() if key.startswith(f"{OUTCOME}/")]
    return sorted((SeedOutcome(**value) for value in saved), key=lambda outcome: outcome.seed_number)


def end_trial(study: Study, trial: Trial, value: float, reason: str, gap: float) -> None:
    """End a trial; as pruned where its reason is a rule. A `gap` above 0 marks it as infeasible."""
    trial.set_user_attr(REASON, reason)
    if "gap" not in trial.constraints:
        trial.set_constraint("gap", gap)
    reported = trial.storage.get_trial(trial._trial_id).intermediate_values
    outcomes = seed_outcomes(trial)
    describe_trial(trial, outcomes)
    if reason not in RULES | SPARING_RULES:
        report_curve(trial, list(reported), outcomes)
        study.tell(trial, value)
        return
    if not reported:  # else killed just here
        trial.report(value, 0)  # Optuna takes a pruned trial's value from its reports
    study.tell(trial, state=TrialState.PRUNED)


def this_process() -> dict[str, Any]:
    """This process, so that others can look whether it is alive, and when it said so."""
    return _process(socket.gethostname(), os.getpid()) | {"renewed": time.time()}


@cache
def _process(host: str, pid: int) -> dict[str, Any]:
    return {"host": host, "pid": pid, "started": psutil.Process(pid).create_time()}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two owners are one process."""
    return all(one[key] == other[key] for key in ("host", "pid", "started"))


def _alive(owner: dict[str, Any]) -> bool:
    """Whether a process still runs; a zombie does not, and may never be waited for."""
    try:
        process = psutil.Process(owner["pid"])
        same = math.isclose(process.create_time(), owner["started"], abs_tol=1.0)
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
