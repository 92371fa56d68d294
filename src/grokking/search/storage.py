"""Where Optuna keeps studies: a journal file, or any storage URL."""

import json
import os
import zlib
from collections import defaultdict
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from grokking.config import ConfigError
from grokking.search.ended import ENDED
from grokking.search.grpc_library import reason
from grokking.search.served_storage import is_failure, open_served
from grokking.search.server_address import SCHEME, scheme
from grokking.search.study_lock import StudyLock
from grokking.storage.addresses import without_passwords


@dataclass(frozen=True)
class Storage:
    """Where studies are kept."""

    folder: Path  # of journals and locks
    url: str | None = None  # any Optuna storage; None: a file in the folder

    def open(self, name: str) -> BaseStorage:
        """Optuna's storage of the study of this name."""
        if self.url is None:
            return _journal(self.folder / f"{name}.journal")
        with self._told_in_one_line():
            served = scheme(self.url) == SCHEME
            return open_served(self.url) if served else optuna.storages.get_storage(self.url)

    def lock(self, name: str) -> StudyLock:
        """The lock of the study of this name."""
        with self._told_in_one_line():
            lock = StudyLock(self.folder / f"{name}.lock", self.url)
            with lock:  # so that a server that cannot be reached is told here
                return lock

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Tell in one line that a study server failed, which it may at any moment of a search."""
        try:
            yield
        except Exception as error:
            if self.url is None or scheme(self.url) != SCHEME or not is_failure(error):
                raise
            told = f"`--storage` {self.url} failed: {_first_line(error)}"
            raise ConfigError(f"{told}; mend it, and the same command goes on from here") from None

    @contextmanager
    def _told_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            told = without_passwords(f"`--storage` {self.url} cannot be opened: {_first_line(error)}")
            raise ConfigError(told) from None


def _first_line(error: Exception) -> str:
    return reason(error).strip().partition("\n")[0]


def trials_begun(journal: Path) -> int:
    """How many trials the latest study in a journal has begun."""
    summaries = optuna.get_all_study_summaries(_journal(journal))
    return summaries[-1].n_trials if summaries else 0


def _journal(file: Path) -> "Journal":
    """A file with a line per change; a line that a killed process left unfinished is cut off."""
    lock = _JournalLock(FileLock(file.with_suffix(".writing")))
    with lock.lock:
        kept = JournalSum(file)
        kept.require_whole()
        backend = _SummedBackend(str(file), lock)
        _cut_unfinished(file)
        kept.update()
    return Journal(backend)


def _cut_unfinished(file: Path) -> None:
    written = file.read_bytes()
    if not written.endswith(b"\n"):
        os.truncate(file, written.rfind(b"\n") + 1)


class Journal(JournalStorage):
    """Studies in a file with a line per change."""

    def __init__(self, backend: "_SummedBackend") -> None:
        super().__init__(backend)
        self.batch = backend.batch
        self._ended: defaultdict[int, int] = defaultdict(int)  # by study: how many of its first trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As in Optuna, which asks for waiting trials at each new one, and would look at every trial."""
        if deepcopy or states is None or any(state in states for state in ENDED):
            return super().get_all_trials(study_id, deepcopy, states)
        with self._thread_lock:
            self._sync_with_backend()
            return [trial for trial in self._later(study_id) if trial.state in states]

    def _later(self, study_id: int) -> list[FrozenTrial]:
        """All but the first trials, which have ended. From Optuna's private tables: all take it 10 ms."""
        tables, first = self._replay_result, self._ended[study_id]
        later = [tables._trials[number] for number in tables._study_id_to_trial_ids[study_id][first:]]
        self._ended[study_id] += next((i for i, t in enumerate(later) if t.state not in ENDED), len(later))
        return later


class JournalSum:
    """The length and the checksum of a journal as it was last written, in a file beside it.

    What lies behind this length was written by others: by a process that was killed, or by the dashboard.
    """

    def __init__(self, journal: Path) -> None:
        self.journal, self.file = journal, journal.with_name(f"{journal.name}.sum")

    def require_whole(self) -> None:
        """Raise ConfigError where the journal is not what was written; one without a sum is taken as is."""
        if not self.file.exists():
            return
        written = self.journal.read_bytes() if self.journal.exists() else b""
        length, checksum = self._known()
        if len(written) < length or zlib.crc32(written[:length]) != checksum:
            raise ConfigError(
                f"{self.journal} is damaged: it is not what was written; restore it and {self.file} from a "
                "copy, or remove both and search again"
            )

    def update(self) -> None:
        """Add what was written since."""
        length, checksum = self._known()
        with self.journal.open("rb") as journal:
            journal.seek(length)
            added = journal.read()
        fresh = self.file.with_suffix(".fresh")
        fresh.write_text(f"{length + len(added)} {zlib.crc32(added, checksum)}\n", encoding="utf-8")
        fresh.replace(self.file)

    def _known(self) -> tuple[int, int]:
        """Length and checksum; a file that holds neither fits no journal."""
        found = (
            self.file.read_text(encoding="utf-8", errors="replace").split()
            if self.file.exists()
            else ["0", "0"]
        )
        if len(found) == 2 and all(word.isdecimal() for word in found):
            return int(found[0]), int(found[1])
        return 0, -1


class _SummedBackend(JournalFileBackend):
    """Optuna's journal, which keeps the sum of what it has written, and may write several changes at once."""

    def __init__(self, file: str, lock: "_JournalLock") -> None:
        super().__init__(file, lock)
        self.file, self.lock, self.sum = Path(file), lock, JournalSum(Path(file))
        self.written = False  # since the disk had everything

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold the lock, and wait for the disk at the end only; lines are in the file at once."""
        with self.lock.lock:
            try:
                yield
            finally:
                if self.written and self.lock.lock.lock_counter == 1:  # the outermost batch
                    self._reach_disk()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.batch(), self.file.open("ab") as journal:
            self.written = True
            journal.writelines(f"{json.dumps(log, separators=(',', ':'))}\n".encode() for log in logs)

    def _reach_disk(self) -> None:
        with self.file.open("r+b") as journal:
            os.fsync(journal.fileno())
        self.sum.update()
        self.written = False


class _JournalLock(JournalFileOpenLock):
    """A lock that ends with its process. Optuna's own outlives it, and under a relative path for ever."""

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()
