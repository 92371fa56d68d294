"""A PostgreSQL server of its own for the tests that need one."""

import glob
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def server_binary(name: str) -> str | None:
    """A program of PostgreSQL's server: where Debian puts it, or on the path."""
    return next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[::-1]), shutil.which(name))


@pytest.fixture
def postgres():
    """A private server on a socket in a folder of its own; its URL. It refuses to run as root."""
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

    data = str(folder / "data")
    try:
        call(initdb, "-D", data, "-U", "tester", "--auth=trust", "--no-sync", "--encoding=UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        call(pg_ctl, "start", "-w", "-D", data, "-l", str(folder / "log"), "-o", options)
        try:
            yield f"postgresql+psycopg2://tester@/postgres?host={folder}"
        finally:
            call(pg_ctl, "stop", "-m", "immediate", "-D", data)
    finally:
        shutil.rmtree(folder)
