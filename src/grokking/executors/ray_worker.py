"""What a Ray worker does: one job after the other, each as in a worker process of the local executor."""

import copy
import os
import socket
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from grokking.config import ConfigError
from grokking.executors.driver import Driver
from grokking.executors.processes import prepare
from grokking.executors.reports import report_by
from grokking.executors.source import require_same


def run(job: Callable[..., Any], arguments: tuple[Any, ...], driver: Driver, reports: Any) -> Any:
    """Run a job on copies of its arguments: arrays as Ray hands them out cannot be written to.

    `reports` is the queue that the driver reads.
    """
    require_same(driver.source)
    _prepare(driver.folder)
    report_by(reports.put)
    try:
        return job(*copy.deepcopy(arguments))
    except FileNotFoundError as error:
        if Path(driver.folder).is_dir():
            raise
        raise ConfigError(
            f"{error.filename} is not on {socket.gethostname()}, which does not see {driver.folder}; put the "
            "checkout on a disk that all machines of the cluster share, or unset GROKKING_EXECUTOR"
        ) from None


@cache
def _prepare(folder: str) -> None:
    """Once in each worker. It works in the driver's folder; where that is not seen, in one of its own."""
    os.chdir(folder if Path(folder).is_dir() else tempfile.mkdtemp(prefix="grokking-"))
    prepare()
