"""One process at a time changes a study: on one host by a file, across hosts by the database itself."""

import zlib
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, func, make_url, select

# After a minute of silence the server gives up the connection of a host that is gone, and its lock with it
SILENCE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class StudyLock:
    """Held within `with`; the same process may enter it again while it holds it.

    Hosts that share a journal share its folder, so the file is enough. Hosts that share a PostgreSQL server
    may have no folder in common: there the lock is an advisory lock of the server, too. Both end with the
    process that holds them. Any other server keeps no lock: searches there must run in one shared folder.
    """

    def __init__(self, file: Path, url: str | None) -> None:
        self.file = FileLock(file)
        self.engine = _engine(url) if url and make_url(url).get_backend_name() == "postgresql" else None
        self.key = zlib.crc32(file.name.encode())  # of the same study on every host
        self.connection: Connection | None = None

    def __enter__(self) -> None:
        self.file.acquire()
        try:
            if self.engine and self.file.lock_counter == 1:
                self.connection = self.engine.connect()
                self.connection.execute(select(func.pg_advisory_lock(self.key)))
        except BaseException:  # the server is gone, or Ctrl-C: nothing is held
            self.file.release()
            raise

    def __exit__(self, *error: Any) -> None:
        try:
            if self.connection and self.file.lock_counter == 1:
                self.connection.execute(select(func.pg_advisory_unlock(self.key)))
                self.connection.close()
                self.connection = None
        finally:
            self.file.release()


def _engine(url: str) -> Engine:
    """A connection that is tried before each use: the server may have been started again meanwhile."""
    return create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True, connect_args={"options": SILENCE}
    )
