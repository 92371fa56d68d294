"""The process that runs a trial, as the trial's attributes name it."""

import os
import socket
import time
from functools import cache
from typing import Any

from grokking.executors.liveness import is_running, started

OWNER = "owner"  # the attribute


def this_process() -> dict[str, Any]:
    """This process, so that others can look whether it is alive, and when it said so."""
    return _process(socket.gethostname(), os.getpid()) | {"renewed": time.time()}


@cache
def _process(host: str, pid: int) -> dict[str, Any]:
    return {"host": host, "pid": pid, "started": started(pid)}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two owners are one process."""
    return all(one[key] == other[key] for key in ("host", "pid", "started"))


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether a process of this host still runs."""
    return is_running(owner["pid"], owner["started"])
