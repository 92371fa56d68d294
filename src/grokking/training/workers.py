"""Replicas spread over workers: one by one on CPUs, stacked on a GPU.

Where a replica runs does not change what it computes: each worker uses one thread, and a replica's random
numbers depend on its own seeds only. On the CPU a job per replica is fastest (docs/performance.md).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from pathlib import Path

from grokking.data.tasks import Task
from grokking.executors.executor import executor
from grokking.executors.reports import report
from grokking.experiment import Replica
from grokking.training.checkpoint import Checkpoint
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import train
from grokking.training.records import Evaluation

POLL_SECONDS = 0.2  # how often the driver looks for progress


def train_all(
    replicas: list[Replica], task: Task, watchers: Sequence[Callable[[Evaluation], None]], checkpoints: Path
) -> Iterator[list[Evaluation]]:
    """Train every replica; yields all evaluations of each stack, by step, as soon as it has finished.

    Each of `watchers` is called in this process with each evaluation soon after it was made. Checkpoints of
    an interrupted call, in the folder `checkpoints`, are continued; the caller removes them after saving.
    """
    with executor(len(replicas)) as workers:
        groups = [[replica] for replica in replicas] if workers.device == "cpu" else stacks(replicas, task)
        running = {workers.submit(train_stack, group, task, workers.device, checkpoints) for group in groups}
        last_step: dict[int, int] = {}
        while running:
            done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            for evaluation in _new(workers.reports(), last_step):
                for watcher in watchers:
                    watcher(evaluation)
            yield from (future.result() for future in done)


def train_stack(replicas: list[Replica], task: Task, device: str, checkpoints: Path) -> list[Evaluation]:
    """Train replicas as one stack; each evaluation is reported, too, without its parameters."""
    evaluations = []
    checkpoint = Checkpoint(checkpoints, fingerprint(replicas, task))
    for evaluation in train(replicas, task, device, checkpoint):
        report(replace(evaluation, parameters=None))
        evaluations.append(evaluation)
    return evaluations


def stacks(replicas: list[Replica], task: Task) -> list[list[Replica]]:
    """Replicas grouped so that each group can be trained as one stack."""
    by_key: dict[str, list[Replica]] = defaultdict(list)
    for replica in replicas:
        by_key[replica.stack_key(task)].append(replica)
    return list(by_key.values())


def _new(evaluations: Iterable[Evaluation], last_step: dict[int, int]) -> Iterator[Evaluation]:
    """Those later than their replica's last step: a job that is run again reports earlier ones once more."""
    for evaluation in evaluations:
        if evaluation.step > last_step.get(evaluation.replica, -1):
            last_step[evaluation.replica] = evaluation.step
            yield evaluation
