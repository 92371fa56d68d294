"""The code that a process runs, so that a worker of another checkout is refused."""

import hashlib
import socket
from functools import cache
from pathlib import Path

import numba
import numpy as np
import torch

from grokking.config import ConfigError

PACKAGE = Path(__file__).parents[1]


@cache
def source() -> dict[str, str]:
    """What must be the same wherever a job may run: our code, and the libraries that compute."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.glob("**/*.py")):
        digest.update(file.read_bytes())
    versions = {"torch": torch.__version__.partition("+")[0]}
    versions |= {library.__name__: library.__version__ for library in (numba, np)}
    return {"the code": digest.hexdigest()[:16]} | versions


def require_same(driver: dict[str, str]) -> None:
    """Raise ConfigError where this process runs other code than the driver."""
    for name, here in source().items():
        if here != driver[name]:
            raise ConfigError(
                f"{name} on {socket.gethostname()} ({here}) is not that of the driver ({driver[name]}); "
                "start Ray there from a checkout of the same commit, set up by `make`"
            )
