"""The Optuna study behind a search: opened, resumed, asked and told; every trial exactly once.

A trial belongs to the process that asked for it, named in its attributes. The trial of a process that is
gone is taken over as it is: same number, same parameters, the seeds that were finished kept.
"""

import hashlib
import json
import math
import os
import socket
import warnings
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
from filelock import FileLock
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from grokking.config import ConfigError
from grokking.search.config import SamplerConfig, StudyPlan
from grokking.search.follower import Outcome

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
AFTERWARDS = ("trials", "proof", "confirm")  # what a study may go on with under other values
OWNER, OUTCOME, REASON = "owner", "outcome", "reason"


class Trials:
    """The trials of one study, shared with any other process that opened it."""

    def __init__(self, study: Study, lock: FileLock, enough: "Enough", take_over: bool = False) -> None:
        self.study, self.lock, self.enough, self.take_over = study, lock, enough, take_over

    def ask(self) -> Trial | None:
        """A dead process's trial, the next one, or None where there are as many as there should be."""
        with self.lock:
            trial = self._orphan() or self._new()
            if trial is not None:
                trial.set_user_attr(OWNER, _own())
            return trial

    def ended(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=ENDED)

    def running(self) -> list[FrozenTrial]:
        """Trials that some process is at, or left unfinished."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _orphan(self) -> Trial | None:
        for trial in self.running():
            owner = trial.user_attrs.get(OWNER)
            if owner is None or self._is_gone(owner):
                return Trial(self.study, trial._trial_id)
        return None

    def _is_gone(self, owner: dict[str, Any]) -> bool:
        """Whether a process is gone; of another host's nothing is known but what the user says."""
        return not _alive(owner) if owner["host"] == socket.gethostname() else self.take_over

    def _new(self) -> Trial | None:
        begun = [t for t in self.study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
        return None if self.enough(begun) else self.study.ask()


Enough = Callable[[list[FrozenTrial]], bool]  # of the trials that have begun


def so_many(trials: int) -> Enough:
    """A study of so many trials."""
    return lambda begun: len(begun) >= trials


def so_much(flops: float) -> Enough:
    """A study that has cost so much training."""
    return lambda begun: sum(o.flops for trial in begun for o in outcomes(trial.user_attrs)) >= flops


@dataclass(frozen=True)
class Storage:
    """Where studies are kept."""

    folder: Path  # of journals and locks
    url: str | None = None  # any Optuna storage; None: a file in the folder
    take_over: bool = False  # also what other hosts have begun: for when none of them is at work


def opened(plan: StudyPlan, key: str, storage: Storage, enough: Enough) -> Trials:
    """The study's trials, created where there are none.

    `key` is of all that decides the outcome of a trial: a study under another key is another study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(storage.folder / f"{plan.name}.lock")
    with lock:
        study = optuna.create_study(
            storage=_storage(plan.name, storage),
            study_name=f"{plan.name}-{key[:12]}",
            sampler=sampler(plan.config.sampler),
            load_if_exists=True,
        )
        if all(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
            for point in plan.config.first:
                study.enqueue_trial(point, skip_if_exists=True)
    return Trials(study, lock, enough, storage.take_over)


def _storage(name: str, storage: Storage) -> BaseStorage:
    url = storage.url
    if url is None:
        return _journal(storage.folder / f"{name}.journal")
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"`--storage` {url} cannot be opened: {first}") from None


def _journal(file: Path) -> JournalStorage:
    """A file of one line per change; what a process killed while it wrote has left of a line is cut off."""
    lock = _JournalLock(FileLock(file.with_suffix(".writing")))
    backend = JournalFileBackend(str(file), lock)
    with lock.lock:
        written = file.read_bytes()
        if not written.endswith(b"\n"):
            os.truncate(file, written.rfind(b"\n") + 1)
    return JournalStorage(backend)


class _JournalLock(JournalFileOpenLock):
    """A lock that ends with its process. Optuna's own outlives it, and under a relative path for ever."""

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


def study_key(plan: StudyPlan, core: str) -> str:
    """Hash of what decides the outcome of a trial: the study's configuration and what trains it (`core`)."""
    config = {name: value for name, value in asdict(plan.config).items() if name not in AFTERWARDS}
    return hashlib.sha256((json.dumps(config, sort_keys=True, default=str) + core).encode()).hexdigest()


def sampler(config: SamplerConfig) -> BaseSampler:
    """The sampler of the study."""
    if config.name == "qmc":  # its place in the sequence is kept in the storage
        return QMCSampler(seed=config.seed, scramble=True, warn_independent_sampling=False)
    return Reseeded(config)


class Reseeded(BaseSampler):
    """A sampler seeded anew for each trial by its number: what a trial is asked does not depend on how often
    the search was interrupted, and processes that share a study do not draw the same points."""

    def __init__(self, config: SamplerConfig) -> None:
        self.config = config
        self.inner = self._seeded(0)

    def _seeded(self, *numbers: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.config.seed, *numbers]).generate_state(1)[0])
        if self.config.name == "random":
            return RandomSampler(seed=seed)
        return TPESampler(
            seed=seed, n_startup_trials=self.config.startup_trials, multivariate=True, group=True
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner = self._seeded(trial.number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        # by its name: the parameters before it may have been drawn by a process that is gone
        own = self._seeded(trial.number, zlib.crc32(param_name.encode()))
        return own.sample_independent(study, trial, param_name, param_distribution)


def keep_outcome(trial: Trial, outcome: Outcome) -> None:
    """Write one seed's outcome to the trial, so that it need not be trained again."""
    trial.set_user_attr(f"{OUTCOME}/{outcome.seed_number}", asdict(outcome))


def outcomes(attributes: dict[str, Any]) -> list[Outcome]:
    """A trial's outcomes so far, by seed."""
    kept = [Outcome(**value) for key, value in attributes.items() if key.startswith(f"{OUTCOME}/")]
    return sorted(kept, key=lambda outcome: outcome.seed_number)


def tell(study: Study, trial: Trial, value: float, reason: str, gap: float, pruned: bool) -> None:
    """End a trial. `gap` is above 0 where the trial did not generalise, the more the further it was."""
    trial.set_user_attr(REASON, reason)
    if "gap" not in trial.constraints:
        trial.set_constraint("gap", gap)
    if pruned:
        if not study.get_trials(deepcopy=False)[trial.number].intermediate_values:  # else killed just here
            trial.report(value, 0)  # Optuna's own value of a pruned trial; the step is the same for all
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, value)


def _own() -> dict[str, Any]:
    """This process, as others can look for it."""
    process = psutil.Process()
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}


def _alive(owner: dict[str, Any]) -> bool:
    """Whether it still runs; a zombie does not, and may never be looked after."""
    try:
        process = psutil.Process(owner["pid"])
        same = math.isclose(process.create_time(), owner["started"], abs_tol=1.0)
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
