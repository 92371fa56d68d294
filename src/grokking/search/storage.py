"""Where Optuna keeps studies: a journal file, or any storage URL."""

import os
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from grokking.config import ConfigError
from grokking.storage.addresses import without_passwords


@dataclass(frozen=True)
class Storage:
    """Where studies are kept."""

    folder: Path  # of journals and locks
    url: str | None = None  # any Optuna storage; None: a file in the folder
    take_over: bool = False  # also trials of other hosts: for when none of those is at work

    def open(self, name: str) -> BaseStorage:
        """Optuna's storage of the study of this name."""
        if self.url is None:
            return _journal(self.folder / f"{name}.journal")
        try:
            return optuna.storages.get_storage(self.url)
        except Exception as error:
            message = str(error).strip().splitlines()[0]
            told = without_passwords(f"`--storage` {self.url} cannot be opened: {message}")
            raise ConfigError(told) from None


def trials_begun(journal: Path) -> int:
    """How many trials the latest study in a journal has begun."""
    summaries = optuna.get_all_study_summaries(_journal(journal))
    return summaries[-1].n_trials if summaries else 0


def _journal(file: Path) -> JournalStorage:
    """A file with a line per change; a line that a killed process left unfinished is cut off."""
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
