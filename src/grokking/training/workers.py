"""Replicas spread over worker processes on the CPU, or stacked in one batch on a GPU.

Where a replica runs does not change what it computes: each worker uses one thread, and each replica has
its own generators.
"""

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import groupby
from queue import Empty
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.training.experiment import Replica
from grokking.training.loop import Evaluation, train

POLL_SECONDS = 0.2  # how often the driver looks for progress
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # parameters of glibc's mallopt, from malloc.h

Watcher = Callable[[Evaluation], None]


def device() -> str:
    """GROKKING_DEVICE (cpu or cuda), or a GPU where there is one."""
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    chosen = os.environ.get("GROKKING_DEVICE", available[-1])
    if chosen not in available:
        raise ConfigError(f"GROKKING_DEVICE must be one of {', '.join(available)} here, but got {chosen!r}")
    return chosen


def processes() -> int:
    """GROKKING_PROCESSES, or one per core."""
    chosen = os.environ.get("GROKKING_PROCESSES", str(_cores()))
    if not chosen.isdecimal() or int(chosen) < 1:
        raise ConfigError(f"GROKKING_PROCESSES must be a whole number of at least 1, but got {chosen!r}")
    return int(chosen)


def _cores() -> int:
    """Cores this process may use, where the system tells."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def train_all(replicas: list[Replica], task: Task, watchers: Sequence[Watcher]) -> list[Evaluation]:
    """Train every replica; returns all evaluations ordered by replica and step.

    Each of `watchers` is called in this process with each evaluation soon after it was made.
    """

    def watch(evaluation: Evaluation) -> None:
        for watcher in watchers:
            watcher(evaluation)

    if device() == "cpu":
        evaluations = _on_cpu(replicas, task, watch)
    else:
        evaluations = [e for stack in stacks(replicas) for e in _watched(stack, task, device(), watch)]
    return sorted(evaluations, key=lambda e: (e.replica, e.step))


def stacks(replicas: list[Replica]) -> list[list[Replica]]:
    """Replicas grouped so that each group can be trained as one stack."""
    ordered = sorted(replicas, key=Replica.stack_key)
    return [list(group) for _, group in groupby(ordered, key=Replica.stack_key)]


def _watched(replicas: list[Replica], task: Task, device: str, watch: Watcher) -> list[Evaluation]:
    evaluations = []
    for evaluation in train(replicas, task, device):
        watch(evaluation)
        evaluations.append(evaluation)
    return evaluations


def _on_cpu(replicas: list[Replica], task: Task, watch: Watcher) -> list[Evaluation]:
    """One replica at a time per worker process."""
    with _pool(min(processes(), len(replicas)), task) as (pool, progress):
        running: set[Future[list[Evaluation]]] = {pool.submit(_train_one, r) for r in replicas}
        finished: list[Evaluation] = []
        while running:
            done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            finished += [evaluation for future in done for evaluation in future.result()]
            for evaluation in _drain(progress):
                watch(evaluation)
        return finished


@contextmanager
def _pool(workers: int, task: Task) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Worker processes; forked with torch already imported where forking is safe."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "forkserver")
    progress = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (task, progress))
    try:
        yield pool, progress
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: dict[str, Any] = {}  # this process's task and progress queue, when it is a worker


def _start_worker(task: Task, progress: Any) -> None:
    threadpool_limits(1)
    torch.set_num_threads(1)
    _keep_freed_memory()
    _worker.update(task=task, progress=progress)


def _keep_freed_memory() -> None:
    """Stop glibc from handing every freed block of 128 KiB or more back to the system.

    Each training step would pay for its activations again in page faults. Elsewhere than on glibc nothing
    happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_TOP_PAD, 2**26)


def _train_one(replica: Replica) -> list[Evaluation]:
    return _watched([replica], _worker["task"], "cpu", _report)


def _report(evaluation: Evaluation) -> None:
    """Send an evaluation to the driver; end with it where it was killed."""
    driver = multiprocessing.parent_process()
    if driver is not None and not driver.is_alive():
        os._exit(1)
    _worker["progress"].put(evaluation)


def _drain(progress: Any) -> Iterator[Evaluation]:
    while True:
        try:
            yield progress.get_nowait()
        except Empty:
            return
