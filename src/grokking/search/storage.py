"""Where Optuna keeps studies: a journal file, or any storage URL."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from grokking.config import ConfigError
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


def _journal(file: Path) -> JournalStorage:
    """A file with a line per change; a line that a killed process left unfinished is cut off."""
    lock = _JournalLock(FileLock(file.with_suffix(".writing")))
    with lock.lock:
        kept = JournalSum(file)
        kept.require_whole()
        backend = _SummedBackend(str(file), lock)
        _cut_unfinished(file)
        kept.update()
    return JournalStorage(backend)


def _cut_unfinished(file: Path) -> None:
    written = file.read_bytes()
    if not written.endswith(b"\n"):
        os.truncate(file, written.rfind(b"\n") + 1)


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
    """Optuna's journal, which keeps the sum of what it has written."""

    def __init__(self, file: str, lock: "_JournalLock") -> None:
        super().__init__(file, lock)
        self.lock, self.sum = lock, JournalSum(Path(file))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.lock.lock:
            super().append_logs(logs)
            self.sum.update()


class _JournalLock(JournalFileOpenLock):
    """A lock that ends with its process. Optuna's own outlives it, and under a relative path for ever."""

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()
