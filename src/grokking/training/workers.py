"""Replicas spread over worker processes on the CPU, or stacked in one batch on a GPU.

Where a replica runs does not change what it computes: each worker uses one thread, and what a replica draws
depends on its own seeds. Stacks, threads and processes were measured against each other on the CPU, see
docs/performance.md: a process per replica wins, but for networks so small that calls cost as much as work.
"""

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.models import kernels
from grokking.training.checkpoint import Checkpoint
from grokking.training.experiment import Replica
from grokking.training.fingerprint import fingerprint
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


def processes(replicas: int | None) -> int:
    """GROKKING_PROCESSES, or a number that leaves no core idle while the last replicas train.

    Three replicas on two cores take a process each and share the cores: two processes took 5/4 of their
    time, half of it with one core idle. Four replicas take two processes: more only share the cache. A stream
    of replicas without an end (None) takes one per core.
    """
    cores = _cores()
    divides = (count for count in range(cores, 2 * cores) if replicas is not None and replicas % count == 0)
    even = next(divides, cores)
    chosen = os.environ.get("GROKKING_PROCESSES", str(even))
    if not chosen.isdecimal() or int(chosen) < 1:
        raise ConfigError(f"GROKKING_PROCESSES must be a whole number of at least 1, but got {chosen!r}")
    return int(chosen) if replicas is None else min(int(chosen), replicas)


def _cores() -> int:
    """Cores this process may use, where the system tells."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def train_all(
    replicas: list[Replica], task: Task, watchers: Sequence[Watcher], checkpoints: Path
) -> list[Evaluation]:
    """Train every replica; returns all evaluations ordered by replica and step.

    Each of `watchers` is called in this process with each evaluation soon after it was made. What an
    interrupted run left in the folder `checkpoints` is taken up; whoever has saved the result removes it.
    """

    def watch(evaluation: Evaluation) -> None:
        for watcher in watchers:
            watcher(evaluation)

    chosen = device()
    groups = [[replica] for replica in replicas] if chosen == "cpu" else stacks(replicas, task)
    jobs = [Job(group, task, chosen, Checkpoint(checkpoints, fingerprint(group, task))) for group in groups]
    evaluations = _in_workers(jobs, watch) if chosen == "cpu" else _here(jobs, watch)
    return sorted(evaluations, key=lambda e: (e.replica, e.step))


@dataclass(frozen=True)
class Job:
    """Replicas to train as one stack, and where their checkpoint is."""

    replicas: list[Replica]
    task: Task
    device: str
    checkpoint: Checkpoint

    def run(self, watch: Watcher) -> list[Evaluation]:
        evaluations = []
        for evaluation in train(self.replicas, self.task, self.device, checkpoint=self.checkpoint):
            watch(evaluation)
            evaluations.append(evaluation)
        return evaluations


def stacks(replicas: list[Replica], task: Task) -> list[list[Replica]]:
    """Replicas grouped so that each group can be trained as one stack."""

    def key(replica: Replica) -> str:
        return replica.stack_key(task)

    return [list(group) for _, group in groupby(sorted(replicas, key=key), key=key)]


def _here(jobs: list[Job], watch: Watcher) -> list[Evaluation]:
    """One stack after the other in this process."""
    return [evaluation for job in jobs for evaluation in job.run(watch)]


def _in_workers(jobs: list[Job], watch: Watcher) -> list[Evaluation]:
    """One job at a time per worker process."""
    with _pool(processes(len(jobs))) as (pool, progress):
        running: set[Future[list[Evaluation]]] = {pool.submit(_run, job) for job in jobs}
        finished: list[Evaluation] = []
        while running:
            done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            finished += [evaluation for future in done for evaluation in future.result()]
            for evaluation in _drain(progress):
                watch(evaluation)
        return finished


@contextmanager
def _pool(workers: int) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Worker processes; forked with torch already imported where forking is safe."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "forkserver")
    progress = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (progress,))
    try:
        yield pool, progress
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: dict[str, Any] = {}  # this process's progress queue, when it is a worker


def _start_worker(progress: Any) -> None:
    use_threads(1)
    keep_freed_memory()
    kernels.load()
    progress.cancel_join_thread()  # at its end a worker must not wait for a driver that has stopped reading
    _worker.update(progress=progress)


def use_threads(count: int) -> None:
    """Compute on so many threads, with numbers below float32's range taken as 0.

    A network sure of its answers has probabilities of 1e-40; processors take some 100 cycles for each.
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


def _run(job: Job) -> list[Evaluation]:
    return job.run(_report)


def _report(evaluation: Evaluation) -> None:
    """Send an evaluation to the driver; end with it where it was killed."""
    driver = multiprocessing.parent_process()
    if driver is not None and not driver.is_alive():
        os._exit(1)
    _worker["progress"].put(replace(evaluation, parameters=None))


def _drain(progress: Any) -> Iterator[Evaluation]:
    while True:
        try:
            yield progress.get_nowait()
        except Empty:
            return
