"""Worker processes: one thread each, forked with everything loaded, and gone when their driver is."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from grokking.config import ConfigError
from grokking.ops import numba_kernels as kernels

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # parameters of glibc's mallopt, from malloc.h


def device() -> str:
    """GROKKING_DEVICE (cpu or cuda), or a GPU where there is one."""
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    chosen = os.environ.get("GROKKING_DEVICE", available[-1])
    if chosen not in available:
        raise ConfigError(f"GROKKING_DEVICE must be one of {', '.join(available)} here, but got {chosen!r}")
    return chosen


def processes(replicas: int | None) -> int:
    """GROKKING_PROCESSES, or a number that leaves no core idle while the last replicas train.

    Three replicas on two cores take a process each and share the cores: two processes took 5/4 of their
    time, half of it with one core idle. Four replicas take two processes: more would only share the cache.
    An endless stream of replicas (None) takes one process per core.
    """
    available = cores()
    divides = (n for n in range(available, 2 * available) if replicas is not None and replicas % n == 0)
    chosen = os.environ.get("GROKKING_PROCESSES", str(next(divides, available)))
    if not chosen.isdecimal() or int(chosen) < 1:
        raise ConfigError(f"GROKKING_PROCESSES must be a whole number of at least 1, but got {chosen!r}")
    return int(chosen) if replicas is None else min(int(chosen), replicas)


def cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def context() -> BaseContext:
    """How processes start: forked with torch already imported, where forking is safe."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "forkserver")


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of `workers` processes, each of which first calls `start` with these arguments, if given.

    Ctrl-C ends them at once. What they had not finished goes on from its checkpoint in the next call.
    """
    kernels.load()  # here, so that forked workers have them
    executor = ProcessPoolExecutor(workers, context(), _start, (start, arguments))
    try:
        yield executor
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver gets Ctrl-C, too, and ends this process
    threading.Thread(target=_end_with_driver, daemon=True).start()
    use_threads(1)
    keep_freed_memory()
    kernels.load()
    if start is not None:
        start(*arguments)


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


def use_threads(count: int) -> None:
    """Compute on `count` threads, with numbers below float32's range taken as 0.

    A network that is sure of its answers has probabilities of 1e-40; processors take 100 cycles for each.
    """
    threadpool_limits(count)
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Stop glibc from handing every freed block of 128 KiB or more back to the system.

    Each training step would pay for its activations again in page faults. Elsewhere than on glibc nothing
    happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_TOP_PAD, 2**26)
