"""What a Ray worker does: one job after the other, each as in a worker process of the local executor."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

from grokking.executors.processes import prepare
from grokking.executors.reports import report_by
from grokking.executors.source import require_same


def run(job: Callable[..., Any], arguments: tuple[Any, ...], driver: dict[str, str], reports: Any) -> Any:
    """Run a job on copies of its arguments: arrays as Ray hands them out cannot be written to.

    `driver` is the `source` of the process that submitted it, `reports` the queue that it reads.
    """
    require_same(driver)
    _prepare()
    report_by(reports.put)
    return job(*copy.deepcopy(arguments))


@cache
def _prepare() -> None:
    """Once in each worker."""
    prepare()
