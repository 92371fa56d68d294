"""A Ray cluster of several nodes on this machine, started by the commands of docs/scale.md."""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

RAY = Path(sys.executable).with_name("ray")
MISSING = "needs Ray: pip install -r requirements-ray.txt"


class RayNodes:
    """A head with one core, and nodes that come and go."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="nodes-", dir="/tmp")
        self.address = f"{socket.gethostbyname(socket.gethostname())}:{_free_port()}"
        own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
        self.environment = own | token | quiet | {"PYTHONPATH": str(Path(__file__).parent)}
        self.nodes: list[psutil.Popen] = []

    @property
    def variables(self) -> dict[str, str]:
        """What a driver's environment must have."""
        return self.environment | {"GROKKING_EXECUTOR": "ray", "RAY_ADDRESS": self.address}

    def __enter__(self) -> Self:
        port = self.address.rpartition(":")[2]
        self._start("--head", "--port", port, "--include-dashboard", "false", "--temp-dir", self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        for node in self.nodes[::-1]:
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, *options: str) -> psutil.Popen:
        return self._start("--address", self.address, *options)

    def kill(self, node: psutil.Popen) -> None:
        """SIGKILL to all its processes."""
        for process in [node, *_descendants(node)]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        node.wait()
        self.nodes.remove(node)

    def _start(self, *options: str) -> psutil.Popen:
        command = [RAY, "start", "--block", "--num-cpus", "1", "--object-store-memory", "100000000", *options]
        log = Path(self.folder, f"node{time.monotonic_ns()}.log")
        with log.open("w") as file:
            node = psutil.Popen(command, env=self.environment, stdout=file, stderr=file, cwd="/tmp")
        self.nodes.append(node)
        while "block forever" not in log.read_text():
            assert node.poll() is None, log.read_text()
            time.sleep(0.2)
        return node


def _descendants(node: psutil.Popen) -> list[psutil.Process]:
    try:
        return node.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ray_nodes() -> Iterator[RayNodes]:
    """A cluster with a head only."""
    pytest.importorskip("ray", reason=MISSING)
    with RayNodes() as nodes:
        yield nodes
