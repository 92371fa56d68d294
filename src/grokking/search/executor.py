"""Trains the replicas of trials, one per worker."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial

from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.engine.evaluation_steps import evaluation_steps
from grokking.executors.executor import Executor, executor
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.trial_monitor import TrialMonitor
from grokking.training.loop import train

# A search evaluates every step to 40, then 5 % apart: fine enough to rank, at a third of a step's time each
SEARCH_STEPS = partial(evaluation_steps, steps_per_gap=20)


class ReplicaExecutor:
    """Trains replicas on one task; knows which of its jobs are running."""

    def __init__(self, workers: Executor, task: Task, order: Order | None) -> None:
        self.workers, self.task, self.order = workers, task, order
        self.running: set[Future[SeedOutcome]] = set()

    @property
    def free(self) -> int:
        """Workers without a job."""
        return self.workers.workers - len(self.running)

    def submit(self, job: SeedJob) -> None:
        self.running.add(self.workers.submit(train_seed, job, self.task, self.order, self.workers.device))

    def wait(self, seconds: float | None = None) -> list[SeedOutcome]:
        """Wait until at least one job has ended, or so long; the outcomes of all that have."""
        done, self.running = wait(self.running, seconds, FIRST_COMPLETED)
        return sorted((future.result() for future in done), key=lambda o: (o.trial, o.seed_number))


@contextmanager
def replica_executor(task: Task, order: Order | None) -> Iterator[ReplicaExecutor]:
    """One with all workers there are."""
    with executor(None) as workers:
        yield ReplicaExecutor(workers, task, order)


def train_seed(job: SeedJob, task: Task, order: Order | None, device: str) -> SeedOutcome:
    """Train one replica until its trial knows enough."""
    monitor = TrialMonitor(job, task, order)
    for _ in train([job.replica], task, device, stop=monitor, evaluated_at=SEARCH_STEPS, snapshots=False):
        pass
    return monitor.outcome()
