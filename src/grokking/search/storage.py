"""Where Optuna keeps studies: a journal file, or any storage URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage

from grokking.config import ConfigError
from grokking.search.grpc_library import reason
from grokking.search.journal import open_journal
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
            return open_journal(self.folder / f"{name}.journal")
        with self._errors_in_one_line():
            served = scheme(self.url) == SCHEME
            return open_served(self.url) if served else optuna.storages.get_storage(self.url)

    def lock(self, name: str) -> StudyLock:
        """The lock of the study of this name."""
        with self._errors_in_one_line():
            lock = StudyLock(self.folder / f"{name}.lock", self.url)
            with lock:  # so that a server that cannot be reached is an error here
                return lock

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Tell in one line that a study server failed, which it may at any moment of a search."""
        try:
            yield
        except Exception as error:
            if self.url is None or scheme(self.url) != SCHEME or not is_failure(error):
                raise
            message = f"`--storage` {self.url} failed: {_first_line(error)}"
            raise ConfigError(f"{message}; mend it, and the same command goes on from here") from None

    @contextmanager
    def _errors_in_one_line(self) -> Iterator[None]:
        """Errors of a server; those of a file are told elsewhere, by their kind."""
        try:
            yield
        except Exception as error:
            if self.url is None:
                raise
            message = without_passwords(f"`--storage` {self.url} cannot be opened: {_first_line(error)}")
            raise ConfigError(message) from None


def _first_line(error: Exception) -> str:
    return reason(error).strip().partition("\n")[0]
