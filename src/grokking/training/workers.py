"""Replicas spread over worker processes on the CPU, or stacked on a GPU.

Where a replica runs does not change what it computes: each worker uses one thread, and a replica's random
numbers depend on its own seeds only. On the CPU a process per replica is fastest (docs/performance.md).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from queue import Empty
from typing import Any

from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.training.checkpoint import Checkpoint
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import train
from grokking.training.pool import context, device, processes, worker_pool
from grokking.training.records import Evaluation

POLL_SECONDS = 0.2  # how often the driver looks for progress

Watcher = Callable[[Evaluation], None]


def train_all(
    replicas: list[Replica], task: Task, watchers: Sequence[Watcher], checkpoints: Path
) -> Iterator[list[Evaluation]]:
    """Train every replica; yields all evaluations of each stack, by step, as soon as it has finished.

    Each of `watchers` is called in this process with each evaluation soon after it was made. Checkpoints of
    an interrupted call, in the folder `checkpoints`, are continued; the caller removes them after saving.
    """

    def watch(evaluation: Evaluation) -> None:
        for watcher in watchers:
            watcher(evaluation)

    chosen = device()
    groups = [[replica] for replica in replicas] if chosen == "cpu" else stacks(replicas, task)
    jobs = [
        StackJob(group, task, chosen, Checkpoint(checkpoints, fingerprint(group, task))) for group in groups
    ]
    return _run_in_workers(jobs, watch) if chosen == "cpu" else (job.run(watch) for job in jobs)


@dataclass(frozen=True)
class StackJob:
    """Replicas to train as one stack, and where their checkpoint is."""

    replicas: list[Replica]
    task: Task
    device: str
    checkpoint: Checkpoint

    def run(self, watch: Watcher) -> list[Evaluation]:
        """Train them; every evaluation is also given to `watch`."""
        evaluations = []
        for evaluation in train(self.replicas, self.task, self.device, self.checkpoint):
            watch(evaluation)
            evaluations.append(evaluation)
        return evaluations


def stacks(replicas: list[Replica], task: Task) -> list[list[Replica]]:
    """Replicas grouped so that each group can be trained as one stack."""

    def key(replica: Replica) -> str:
        return replica.stack_key(task)

    return [list(group) for _, group in groupby(sorted(replicas, key=key), key=key)]


def _run_in_workers(jobs: list[StackJob], watch: Watcher) -> Iterator[list[Evaluation]]:
    """One job at a time per worker process."""
    progress = context().Queue()
    with worker_pool(processes(len(jobs)), _start_worker, progress) as workers:
        running: set[Future[list[Evaluation]]] = {workers.submit(_run_job, job) for job in jobs}
        while running:
            done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            for evaluation in _drain(progress):
                watch(evaluation)
            yield from (future.result() for future in done)


_worker: dict[str, Any] = {}  # this process's progress queue, when it is a worker


def _start_worker(progress: Any) -> None:
    progress.cancel_join_thread()  # at its end a worker must not wait for a driver that has stopped reading
    _worker.update(progress=progress)


def _run_job(job: StackJob) -> list[Evaluation]:
    return job.run(lambda evaluation: _worker["progress"].put(replace(evaluation, parameters=None)))


def _drain(progress: Any) -> Iterator[Evaluation]:
    while True:
        try:
            yield progress.get_nowait()
        except Empty:
            return
