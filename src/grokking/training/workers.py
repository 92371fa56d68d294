"""Replicas spread over worker processes on the CPU, or stacked in one batch on a GPU.

Where a replica runs does not change what it computes: each worker uses one thread, and what a replica draws
depends on its own seeds. Stacks, threads and processes were measured against each other on the CPU, see
docs/performance.md: a process per replica wins, but for networks so small that calls cost as much as work.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.training.checkpoint import Checkpoint
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import Evaluation, train
from grokking.training.pool import context, processes, worker_pool

POLL_SECONDS = 0.2  # how often the driver looks for progress

Watcher = Callable[[Evaluation], None]


def device() -> str:
    """GROKKING_DEVICE (cpu or cuda), or a GPU where there is one."""
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    chosen = os.environ.get("GROKKING_DEVICE", available[-1])
    if chosen not in available:
        raise ConfigError(f"GROKKING_DEVICE must be one of {', '.join(available)} here, but got {chosen!r}")
    return chosen


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
    progress = context().Queue()
    with worker_pool(processes(len(jobs)), _start, progress) as workers:
        running: set[Future[list[Evaluation]]] = {workers.submit(_run, job) for job in jobs}
        finished: list[Evaluation] = []
        while running:
            done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            finished += [evaluation for future in done for evaluation in future.result()]
            for evaluation in _drain(progress):
                watch(evaluation)
        return finished


_worker: dict[str, Any] = {}  # this process's progress queue, when it is a worker


def _start(progress: Any) -> None:
    progress.cancel_join_thread()  # at its end a worker must not wait for a driver that has stopped reading
    _worker.update(progress=progress)


def _run(job: Job) -> list[Evaluation]:
    return job.run(_report)


def _report(evaluation: Evaluation) -> None:
    """Send an evaluation to the driver."""
    _worker["progress"].put(replace(evaluation, parameters=None))


def _drain(progress: Any) -> Iterator[Evaluation]:
    while True:
        try:
            yield progress.get_nowait()
        except Empty:
            return
