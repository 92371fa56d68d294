"""Studies in a file with a line per change."""

import copy
import json
import os
from collections import defaultdict
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from grokking.search.journal_sum import JournalSum


class Journal(JournalStorage):
    """Optuna's storage in a file. A trial is looked up until it has ended: then it does not change any more.

    Optuna's own looks each trial up every time, which takes 10 ms where there are ten thousand.
    """

    def __init__(self, backend: "_SummedBackend") -> None:
        super().__init__(backend)
        self.batch = backend.batch
        self._trials: defaultdict[int, list[FrozenTrial]] = defaultdict(list)  # by study: all, by number
        self._open: defaultdict[int, list[int]] = defaultdict(list)  # by study: numbers of those not ended

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As in Optuna."""
        with self._thread_lock:
            self._sync_with_backend()
            self._look_up(study_id)
            found = self._in_states(study_id, states)
        return copy.deepcopy(found) if deepcopy else found

    def _look_up(self, study_id: int) -> None:
        trials, ids = self._trials[study_id], self._replay_result._study_id_to_trial_ids[study_id]
        looked_up = [*self._open[study_id], *range(len(trials), len(ids))]
        trials.extend(self._replay_result.get_trial(trial_id) for trial_id in ids[len(trials) :])
        for number in self._open[study_id]:
            trials[number] = self._replay_result.get_trial(ids[number])
        self._open[study_id] = [n for n in looked_up if not trials[n].state.is_finished()]

    def _in_states(self, study_id: int, states: Container[TrialState] | None) -> list[FrozenTrial]:
        trials = self._trials[study_id]
        if states is None:
            return list(trials)
        if any(state in states for state in TrialState if state.is_finished()):
            return [trial for trial in trials if trial.state in states]
        return [trials[number] for number in self._open[study_id] if trials[number].state in states]


def open_journal(file: Path) -> Journal:
    """Created where there is none; a line that a killed process left unfinished is cut off."""
    lock = _JournalLock(FileLock(file.with_suffix(".writing")))
    with lock.lock:
        kept = JournalSum(file)
        kept.require_whole()
        backend = _SummedBackend(str(file), lock)
        _cut_unfinished(file)
        kept.update()
    return Journal(backend)


def trials_begun(file: Path) -> int:
    """How many trials the latest study in a journal has begun."""
    summaries = optuna.get_all_study_summaries(open_journal(file))
    return summaries[-1].n_trials if summaries else 0


def _cut_unfinished(file: Path) -> None:
    written = file.read_bytes()
    if not written.endswith(b"\n"):
        os.truncate(file, written.rfind(b"\n") + 1)


class _SummedBackend(JournalFileBackend):
    """Optuna's file, which keeps the sum of what it has written, and may write several changes at once."""

    def __init__(self, file: str, lock: "_JournalLock") -> None:
        super().__init__(file, lock)
        self.file, self.lock, self.sum = Path(file), lock.lock, JournalSum(Path(file))
        self.batches = 0  # within one another
        self.journal: BinaryIO | None = None  # within a batch that has written

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold the lock, and wait for the disk at the end only; lines are in the file at once."""
        if self.batches == 0:
            self.lock.acquire()
        self.batches += 1
        try:
            yield
        finally:
            self.batches -= 1
            if self.batches == 0:
                self._leave()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.batch():
            self.journal = self.journal or self.file.open("ab")
            self.journal.writelines(f"{json.dumps(log, separators=(',', ':'))}\n".encode() for log in logs)
            self.journal.flush()

    def _leave(self) -> None:
        written, self.journal = self.journal, None
        try:
            if written:
                with written:
                    os.fsync(written.fileno())
                self.sum.update()
        finally:
            self.lock.release()


class _JournalLock(JournalFileOpenLock):
    """A lock that ends with its process. Optuna's own outlives it, and under a relative path for ever."""

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()
