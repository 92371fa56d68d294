"""Where the replicas of trials train: a process each on the CPU, places of one stack on a GPU.

On the CPU a replica per process is fastest (docs/performance.md). A GPU trains replicas of one shape in one
batch, and a place whose replica has ended goes to the next of that shape at once.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.engine.events import evaluation_steps
from grokking.experiment import Replica
from grokking.search.follower import Follower, Job, Outcome
from grokking.training.loop import Evaluation, Observation, train
from grokking.training.pool import processes, worker_pool
from grokking.training.workers import device

GPU_SLOTS = 64  # replicas in one stack
# A search evaluates every step to 40, then 5 % apart: fine enough to rank, and a third of an update each
GRID = partial(evaluation_steps, share=20)


class Lanes(Protocol):
    """Takes jobs and gives back outcomes, in the order in which they end."""

    @property
    def free(self) -> int: ...  # how many more jobs would train at once
    def submit(self, job: Job) -> None: ...
    def wait(self) -> list[Outcome]: ...  # at least one, once a job was submitted


@contextmanager
def lanes(task: Task, order: Order | None) -> Iterator[Lanes]:
    """The lanes of this machine."""
    if device() != "cpu":
        yield StackLanes(task, order, device(), GPU_SLOTS)
        return
    cores = processes(None)
    with worker_pool(cores, _start, task, order) as workers:
        yield ProcessLanes(workers, cores)


class ProcessLanes:
    """A job per worker process."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self.pool, self.count = pool, count
        self.running: set[Future[Outcome]] = set()

    @property
    def free(self) -> int:
        return self.count - len(self.running)

    def submit(self, job: Job) -> None:
        self.running.add(self.pool.submit(_train, job))

    def wait(self) -> list[Outcome]:
        done, self.running = wait(self.running, return_when=FIRST_COMPLETED)
        return sorted((future.result() for future in done), key=lambda o: (o.trial, o.seed_number))


class StackLanes:
    """Jobs of one shape as places of one stack in this process; other shapes wait for their turn."""

    def __init__(self, task: Task, order: Order | None, device: str, slots: int) -> None:
        self.task, self.order, self.device, self.slots = task, order, device, slots
        self.waiting: dict[str, deque[Replica]] = {}
        self.followers: dict[int, Follower] = {}  # by the replica's index
        self.stack: Iterator[Evaluation] = iter(())

    @property
    def free(self) -> int:
        return self.slots - len(self.followers)

    def submit(self, job: Job) -> None:
        self.followers[job.replica.index] = Follower(job, self.task, self.order)
        shape = job.replica.stack_key(self.task)
        self.waiting.setdefault(shape, deque()).append(job.replica)

    def wait(self) -> list[Outcome]:
        while True:
            for evaluation in self.stack:
                if evaluation.finished:
                    return [self.followers.pop(evaluation.replica).outcome()]
            shape = max(self.waiting, key=lambda key: len(self.waiting[key]))
            newcomers = _Newcomers(self.waiting[shape])
            self.stack = train(
                newcomers, self.task, self.device, self.slots, judge=self._judge, grid=GRID, snapshots=False
            )

    def _judge(self, reading: Observation) -> bool:
        return self.followers[reading.replica.index](reading)


class _Newcomers:
    """Whoever waits when a place is free; unlike a generator it may go on after it had nobody."""

    def __init__(self, waiting: deque[Replica]) -> None:
        self.waiting = waiting

    def __iter__(self) -> Iterator[Replica]:
        return self

    def __next__(self) -> Replica:
        if not self.waiting:
            raise StopIteration
        return self.waiting.popleft()


_worker: dict[str, tuple[Task, Order | None]] = {}  # what the jobs of this process have in common


def _start(task: Task, order: Order | None) -> None:
    _worker["task"] = task, order


def _train(job: Job) -> Outcome:
    task, order = _worker["task"]
    follower = Follower(job, task, order)
    for _ in train([job.replica], task, "cpu", judge=follower, grid=GRID, snapshots=False):
        pass
    return follower.outcome()
