"""Loops that take turns, each in a process of its own and all on one core."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import jax_environment, plain
from benchmarks.cases import Case
from benchmarks.timing import Settings

ROOT = jax_environment.ROOT
OURS, BEFORE = "ours", "before"
PEERS = ("plain", "torch.compile", "JAX")
LOOPS = {OURS: "engine", BEFORE: "engine", "plain": "plain", "torch.compile": "compiled"}  # of worker.py


class PeerError(Exception):
    """A peer that does not run here; the message is one line."""


class Peer:
    """A process that says when it is ready, and then trains a block whenever it is asked to."""

    def __init__(self, command: Sequence[str], root: Path) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def seconds_per_step(self, block: float) -> float:
        """Train for about this number of seconds."""
        assert self.process.stdin
        print(json.dumps({"seconds": block}), file=self.process.stdin, flush=True)
        return float(self._answer()["seconds_per_step"])

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line:
            return dict(json.loads(line))
        status = self.process.wait()
        self.errors.seek(0)
        raise PeerError(last_line(self.errors.read()) or f"ended with status {status}")


def last_line(text: str) -> str:
    """The last line that says something: of a traceback the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def names(case: Case, settings: Settings) -> list[str]:
    """Ours and what is compared with it; NumPy's loop has no twin in torch.compile and JAX."""
    chosen = [name for name in settings.peers if name == "plain" or not case.is_numpy]
    return [OURS, *chosen, *([BEFORE] if settings.before else [])]


def start(name: str, case: Case, settings: Settings) -> Peer:
    """The peer, after its first step. Raises PeerError where it does not run."""
    if name == "JAX":
        return _start_jax(case, settings.device)
    root = settings.before if name == BEFORE and settings.before else ROOT
    return Peer([sys.executable, "-m", "benchmarks.worker", LOOPS[name], case.name, settings.device], root)


def _start_jax(case: Case, device: str) -> Peer:
    if device != "cpu":
        raise PeerError("measured on the CPU only")
    with tempfile.TemporaryDirectory() as folder:  # read before the peer is ready
        jax_environment.export(case, plain.TorchLoop(case, "cpu").model, Path(folder))
        try:
            return Peer(jax_environment.command(folder), ROOT)
        except subprocess.CalledProcessError as error:  # it could not be installed
            raise PeerError(last_line(error.stderr) or str(error)) from error


@contextmanager
def one_core(device: str) -> Iterator[None]:
    """Keep this process and those it starts on one core, so that what takes turns has the same neighbours."""
    if device != "cpu" or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
