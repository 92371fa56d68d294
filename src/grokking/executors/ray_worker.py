"""What a Ray worker does: one job after the other, each as in a worker process of the local executor."""

import pickle
from functools import cache
from typing import Any

from grokking.executors.processes import prepare
from grokking.executors.reports import report_by
from grokking.executors.source import require_same


def run(job: bytes, driver: dict[str, str], reports: Any) -> bytes:
    """Run a pickled job; its pickled result. Ray would hand out arrays that cannot be written to.

    `driver` is the `source` of the process that submitted it, `reports` the queue that it reads.
    """
    require_same(driver)
    _prepare()
    report_by(reports.put)
    function, arguments = pickle.loads(job)
    return pickle.dumps(function(*arguments))


@cache
def _prepare() -> None:
    """Once in each worker."""
    prepare()
