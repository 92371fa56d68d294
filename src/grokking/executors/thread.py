"""One thread of this process, for a GPU: CUDA does not survive a fork."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from grokking.executors.reports import drain, report_by

Result = TypeVar("Result")


class JobStopped(Exception):
    """Raised within a job whose executor was closed."""


class ThreadExecutor:
    """Runs one job after the other beside its caller; a job that reports can be stopped there."""

    workers = 1

    def __init__(self, device: str) -> None:
        self.device, self._closed = device, False
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1, initializer=report_by, initargs=(self._put,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, /, *error: object) -> None:
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        return self._pool.submit(job, *arguments)

    def reports(self) -> list[Any]:
        return drain(self._queue)

    def _put(self, item: Any) -> None:
        if self._closed:
            raise JobStopped
        self._queue.put(item)
