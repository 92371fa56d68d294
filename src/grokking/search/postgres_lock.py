"""A lock of hosts that share a PostgreSQL server: an advisory lock of the server."""

import zlib

from sqlalchemy import Connection, create_engine, func, select

# After a minute of silence the server gives up the connection of a host that is gone, and its lock with it
SILENCE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class PostgresLock:
    """Ends with the connection of the process that holds it."""

    def __init__(self, url: str, name: str) -> None:
        self.key = zlib.crc32(name.encode())  # of the same study on every host
        self.connection: Connection | None = None
        # a connection is tried before each use: the server may have been started again meanwhile
        self.engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            pool_pre_ping=True,
            connect_args={"options": SILENCE},
        )

    def acquire(self) -> None:
        self.connection = self.engine.connect()
        self.connection.execute(select(func.pg_advisory_lock(self.key)))

    def release(self) -> None:
        assert self.connection is not None, "`release` follows `acquire`"
        self.connection.execute(select(func.pg_advisory_unlock(self.key)))
        self.connection.close()
        self.connection = None
