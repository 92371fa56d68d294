"""A study server of its own for the tests that need one.

Tests use gRPC in other processes only: a process that has used it cannot fork others that do.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgres_server import free_port

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class StudyServer:
    """A running server; the parent's own look at the studies goes through its database."""

    url: str
    database: str  # a URL
    process: subprocess.Popen


@contextmanager
def serving(database: str) -> Iterator[StudyServer]:
    """A server for this database, once it listens."""
    require_grpc()
    port = str(free_port())
    with command("study_server", "--storage", database, "--port", port) as process:
        told = process.stdout.readline()
        assert told, process.stderr.read()
        yield StudyServer(told.split()[-1], database, process)


@pytest.fixture
def study_server(tmp_path) -> Iterator[StudyServer]:
    """In front of a file of SQLite, which needs no other server."""
    with serving(f"sqlite:///{tmp_path}/studies.db") as server:
        yield server


def require_grpc() -> None:
    if importlib.util.find_spec("grpc") is None:
        pytest.skip("needs grpcio: pip install -r requirements-server.txt")


@contextmanager
def command(name: str, *arguments: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen]:
    """A script of pipelines/ in a process of its own, which does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"pipelines.{name}", *arguments], cwd=cwd, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
