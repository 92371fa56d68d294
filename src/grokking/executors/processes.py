"""Worker processes: one thread each, forked with everything loaded, and gone when their driver is."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import Any, Self, TypeVar

from grokking.config import ConfigError
from grokking.executors.process_settings import keep_freed_memory, use_threads
from grokking.executors.reports import drain, report_by
from grokking.ops import numba_kernels as kernels

Result = TypeVar("Result")


class ProcessExecutor:
    """Runs a job in each of some processes.

    Ctrl-C ends them at once, and so does an error: what they return would be lost. What they had not finished
    goes on from its checkpoint in the next call.
    """

    device = "cpu"

    def __init__(self, workers: int) -> None:
        if multiprocessing.current_process().daemon:
            raise ConfigError(
                "training starts processes, which a worker of multiprocessing.Pool may not; "
                "use concurrent.futures.ProcessPoolExecutor, or one call with `seeds`"
            )
        kernels.load()  # here, so that forked workers have them
        self.workers, self._queue = workers, context().Queue()
        self._pool = ProcessPoolExecutor(workers, context(), _start, (self._queue,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, /, *error: object) -> None:
        if kind is not None:
            self._terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if kind is BrokenProcessPool:
            raise ConfigError(
                f"one of {self.workers} worker processes was killed, perhaps as memory ran out; set "
                "GROKKING_PROCESSES to fewer and type the same command again: it goes on from here"
            ) from None

    def submit(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        return self._pool.submit(job, *arguments)

    def reports(self) -> list[Any]:
        return drain(self._queue)

    def _terminate(self) -> None:
        """End the workers, but not the other children of this process, which may be a program of the user's.

        Before Python 3.14 the pool has no public way to do so.
        """
        for process in list(self._pool._processes.values()):
            process.terminate()


def context() -> BaseContext:
    """How processes start: forked with torch already imported, where forking is safe."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "forkserver")


def prepare() -> None:
    """Make this process a worker: one thread, memory that is kept, kernels that are loaded."""
    use_threads(1)
    keep_freed_memory()
    kernels.load()


def _start(queue: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver gets Ctrl-C, too, and ends this process
    threading.Thread(target=_end_with_driver, daemon=True).start()
    queue.cancel_join_thread()  # at its end a worker must not wait for a driver that has stopped reading
    report_by(queue.put)
    prepare()


def _end_with_driver() -> None:
    """Wait until the driver has ended, and end this worker.

    A killed driver cannot end its workers. They would train on, or wait for work for ever, and keep open
    what they inherited: a database would wait for the rest of the driver's transaction, and everyone else
    for its locks.
    """
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
