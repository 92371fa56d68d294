"""Trains the replicas of trials: in worker processes on the CPU, in this process on a GPU."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

from grokking.data.tasks import Task
from grokking.diagnostics.cyclic import Order
from grokking.engine.grids import evaluation_steps
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.trial_monitor import TrialMonitor
from grokking.training.loop import train
from grokking.training.pool import device, processes, worker_pool

# A search evaluates every step to 40, then 5 % apart: fine enough to rank, at a third of a step's time each
GRID = partial(evaluation_steps, share=20)


class ReplicaExecutor:
    """Trains one replica per worker of a pool."""

    def __init__(self, pool: Executor, workers: int) -> None:
        self.pool, self.workers = pool, workers
        self.running: set[Future[SeedOutcome]] = set()

    @property
    def free(self) -> int:
        """Workers without a job."""
        return self.workers - len(self.running)

    def submit(self, job: SeedJob) -> None:
        self.running.add(self.pool.submit(_train, job))

    def wait(self, seconds: float | None = None) -> list[SeedOutcome]:
        """Wait until at least one job has ended, or so long; the outcomes of all that have."""
        done, self.running = wait(self.running, seconds, FIRST_COMPLETED)
        return sorted((future.result() for future in done), key=lambda o: (o.trial, o.seed_number))


@contextmanager
def replica_executor(task: Task, order: Order | None) -> Iterator[ReplicaExecutor]:
    """The executor of this machine: a process per core, or a thread of this process that uses the GPU."""
    chosen = device()
    if chosen == "cpu":
        workers = processes(None)
        with worker_pool(workers, _start, task, order, chosen) as pool:
            yield ReplicaExecutor(pool, workers)
    else:
        with in_this_process(task, order, chosen) as pool:
            yield ReplicaExecutor(pool, 1)


def in_this_process(task: Task, order: Order | None, device_name: str) -> ThreadPoolExecutor:
    """A pool of one thread: CUDA does not survive a fork."""
    return ThreadPoolExecutor(1, initializer=_start, initargs=(task, order, device_name))


_worker: dict[str, tuple[Task, Order | None, str]] = {}  # what all jobs of this worker have in common


def _start(task: Task, order: Order | None, device_name: str) -> None:
    _worker["common"] = task, order, device_name


def _train(job: SeedJob) -> SeedOutcome:
    task, order, device_name = _worker["common"]
    monitor = TrialMonitor(job, task, order)
    for _ in train([job.replica], task, device_name, stop=monitor, grid=GRID, snapshots=False):
        pass
    return monitor.outcome()
