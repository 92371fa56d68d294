"""A PostgreSQL server of its own for the tests that need one."""

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# as Debian sets it up: its administrator needs no password on the machine, all others need one
AS_DEBIAN = ("--auth-local=trust", "--auth-host=scram-sha-256")


def server_binary(name: str) -> str | None:
    """A program of PostgreSQL's server: where Debian puts it, or on the path."""
    return next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[::-1]), shutil.which(name))


@pytest.fixture
def postgres():
    """A private server on a socket in a folder of its own; its URL. It refuses to run as root."""
    with running(["--auth=trust"], "listen_addresses=''") as folder:
        yield f"postgresql+psycopg2://tester@/postgres?host={folder}"


@pytest.fixture(scope="module")
def postgres_with_passwords():
    """A private server that asks for passwords, on loopback; the environment of its administrator."""
    port = str(free_port())
    with running(AS_DEBIAN, "listen_addresses=127.0.0.1", f"port={port}") as folder:
        yield {"PGHOST": str(folder), "PGPORT": port, "PGUSER": "tester"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(auth: list[str] | tuple[str, ...], *settings: str) -> Iterator[Path]:
    """A server with these settings; the folder of its socket."""
    initdb, pg_ctl = server_binary("initdb"), server_binary("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("needs initdb and pg_ctl of PostgreSQL, which are not installed (postgresql-15)")
    pytest.importorskip("psycopg2", reason="needs psycopg2-binary, which is not installed")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # sockets have short paths
    if user:
        shutil.chown(folder, user)

    def call(*command: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
        with (folder / "told").open("w+") as told:  # not a pipe, which the server would keep open
            done = subprocess.run(command, cwd=folder, user=user, env=environment, stdout=told, stderr=told)
            told.seek(0)
            assert done.returncode == 0, told.read()

    data, password = str(folder / "data"), folder / "password"
    password.write_text("of the tester\n")
    try:
        call(
            initdb, "-D", data, "-U", "tester", *auth, f"--pwfile={password}", "--no-sync", "--encoding=UTF8"
        )
        given = [f"unix_socket_directories='{folder}'", "fsync=off", *settings]
        options = " ".join(f"-c {setting}" for setting in given)
        call(pg_ctl, "start", "-w", "-D", data, "-l", str(folder / "log"), "-o", options)
        try:
            yield folder
        finally:
            call(pg_ctl, "stop", "-m", "immediate", "-D", data)
    finally:
        shutil.rmtree(folder)
