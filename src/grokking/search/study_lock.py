"""One process at a time changes a study: on one host by a file, across hosts by what they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from grokking.search.host_lock import HostLock, NoHostLock
from grokking.search.postgres_lock import PostgresLock
from grokking.search.served_lock import ServedLock
from grokking.search.server_address import scheme

# By the scheme of the storage's URL. Any other server keeps no lock: searches there run in one shared folder
HOST_LOCKS: dict[str, Callable[[str, str], HostLock]] = {"postgresql": PostgresLock, "grpc": ServedLock}


class StudyLock:
    """Held within `with`; the same process may enter it again while it holds it.

    Hosts that share a journal share its folder, so the file is enough. Hosts that share a server may have no
    folder in common: there the lock is one of the server, too. Both end with the process that holds them.
    """

    def __init__(self, file: Path, url: str | None) -> None:
        self.file = FileLock(file)
        self.across_hosts = _host_lock(url, file.name)

    def __enter__(self) -> None:
        self.file.acquire()
        try:
            if self.file.lock_counter == 1:
                self.across_hosts.acquire()
        except BaseException:  # the server is gone, or Ctrl-C: nothing is held
            self.file.release()
            raise

    def __exit__(self, *error: Any) -> None:
        try:
            if self.file.lock_counter == 1:
                self.across_hosts.release()
        finally:
            self.file.release()


def _host_lock(url: str | None, name: str) -> HostLock:
    if url is None:
        return NoHostLock()
    kind = scheme(url)
    return HOST_LOCKS[kind](url, name) if kind in HOST_LOCKS else NoHostLock()
