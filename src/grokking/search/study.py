"""The Optuna study behind a search: created, resumed, shared between processes; every trial exactly once.

A trial belongs to the process that asked for it, named in its attributes. The trial of a process that is
gone is taken over as it is: same number, same parameters, the seeds that were finished kept. Of this host the
system knows which processes are gone. Those of other hosts hold their trials by leases, which they renew.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from grokking.search.config import StudyPlan
from grokking.search.dashboard import describe_trial, name_objective, report_curve
from grokking.search.known_trials import KnownTrials
from grokking.search.leases import Leases
from grokking.search.owner import OWNER, same, this_process
from grokking.search.pruning import RULES
from grokking.search.sampler import make_sampler
from grokking.search.storage import Storage
from grokking.search.study_lock import StudyLock
from grokking.search.trial_outcomes import seed_outcomes

REASON = "reason"  # attribute of a trial that has ended

Batch = Callable[[], AbstractContextManager[None]]
StopCondition = Callable[[KnownTrials], bool]


def max_trials(trials: int) -> StopCondition:
    """Stop asking at this many trials."""
    return lambda known: known.begun >= trials


def max_flops(flops: float) -> StopCondition:
    """Stop asking once training has cost this much."""
    return lambda known: known.flops >= flops


class SharedStudy:
    """A study and its trials, shared with every other process that opened it."""

    def __init__(
        self, study: Study, key: str, seeds: int, lock: StudyLock, batch: Batch, stop: StopCondition
    ) -> None:
        """Within `lock` no other process changes the study; within `batch` what is written is gathered."""
        self.optuna, self.key, self.lock, self.batch, self.stop = study, key, lock, batch, stop
        self.leases, self.known = Leases(), KnownTrials(seeds)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the study; what is written meanwhile is on the disk at the end."""
        with self.lock, self.batch():
            yield

    def look(self) -> KnownTrials:
        """What is known after a look at all trials."""
        return self.known.update(self.trials())

    def ask(self) -> Trial | None:
        """The trial of a dead process, or a new one; None once the stop condition holds."""
        with self.alone():
            known = self.look()
            trial = self._orphan(known) or (None if self.stop(known) else self.optuna.ask())
            if trial is not None:
                trial.set_user_attr(OWNER, this_process())
            return trial

    def renew_leases(self, trials: Sequence[Trial]) -> list[int]:
        """Renew the leases of these trials; returns the numbers of those that others have taken over."""
        with self.alone():
            now, this = self.trials(), this_process()
            mine = [trial for trial in trials if _belongs_to(this, now[trial.number])]
            for trial in mine:
                if self.leases.is_due(trial.number):
                    trial.set_user_attr(OWNER, this)
        return [trial.number for trial in trials if trial not in mine]

    def trials(self) -> list[FrozenTrial]:
        """All, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def ended(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def running(self) -> list[FrozenTrial]:
        """Trials that some process runs, or left unfinished."""
        return self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _orphan(self, known: KnownTrials) -> Trial | None:
        for trial in known.running:
            owner = trial.user_attrs.get(OWNER)
            if owner is None or self.leases.is_gone(trial.number, owner):
                return Trial(self.optuna, trial._trial_id)  # Optuna has no public way to resume a trial
        return None


def _belongs_to(owner: dict[str, Any], trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and same(trial.user_attrs[OWNER], owner)


def read(trial: Trial) -> FrozenTrial:
    """A trial as it is kept now. Optuna's public way reads all trials of the study."""
    return trial.storage.get_trial(trial._trial_id)


def open_study(plan: StudyPlan, key: str, storage: Storage, stop: StopCondition) -> SharedStudy:
    """The study of this key, created where there is none.

    Under another `key` (`study_key`) it is another study, in the same storage.
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
    batch = getattr(opened, "batch", nullcontext)
    return SharedStudy(study, key, len(plan.config.search.seeds), lock, batch, stop)


def end_trial(study: Study, trial: Trial, value: float, reason: str, gap: float) -> None:
    """End a trial; as pruned where its reason is a rule. A `gap` above 0 marks it as infeasible."""
    trial.set_user_attr(REASON, reason)
    if "gap" not in trial.constraints:
        trial.set_constraint("gap", gap)
    kept = read(trial)
    reported, outcomes = kept.intermediate_values, seed_outcomes(kept)
    describe_trial(trial, outcomes)
    if reason not in RULES:
        report_curve(trial, list(reported), outcomes)
        study.tell(trial, value)
        return
    if not reported:  # reported already if this process was killed between these two lines
        trial.report(value, 0)  # Optuna takes a pruned trial's value from its reports
    study.tell(trial, state=TrialState.PRUNED)
