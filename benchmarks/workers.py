"""How busy one search keeps its workers, by how many trials its study has; no network is trained.

    python -m benchmarks.workers [--workers 64] [--sampler random] [--earlier 10000] [--trials 320]

The study `quick` in a journal on this disk, its earlier trials drawn at random. A simulated worker waits in
place of training, and hands back what a replica of the committed study came to. All else is real: points,
locks, leases, outcomes written and trials ended.
"""

import argparse
import heapq
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.recorded_study import fill, plan_of, recorded
from grokking.executors.processor import processor
from grokking.search.scheduler import Scheduler
from grokking.search.seed_job import SeedJob, SeedOutcome
from grokking.search.storage import Storage
from grokking.search.study import max_trials, open_study

KEY = "benchmark"


class SimulatedWorkers:
    """Workers that take some seconds for a job, and hand back recorded outcomes in turn."""

    def __init__(self, workers: int, seconds: float, recorded: list[SeedOutcome]) -> None:
        self.workers, self.seconds, self.recorded = workers, seconds, recorded
        self.ends: list[tuple[float, int, SeedJob]] = []  # a heap of times, submissions and jobs
        self.submitted: list[float] = []  # when

    @property
    def free(self) -> int:
        return self.workers - len(self.ends)

    def submit(self, job: SeedJob) -> None:
        now = time.perf_counter()
        heapq.heappush(self.ends, (now + self.seconds, len(self.submitted), job))
        self.submitted.append(now)

    def wait(self, seconds: float | None = None) -> list[SeedOutcome]:
        time.sleep(max(0.0, self.ends[0][0] - time.perf_counter()))
        outcomes = []
        while self.ends and self.ends[0][0] <= time.perf_counter():
            _, number, job = heapq.heappop(self.ends)
            outcome = self.recorded[number % len(self.recorded)]
            outcomes.append(replace(outcome, trial=job.trial, seed_number=job.seed_number))
        return outcomes

    def busy(self) -> float:
        """Share of its time that a worker has a job, from its first job to its last."""
        pairs = zip(self.submitted, self.submitted[self.workers :], strict=False)  # a worker's job and next
        return self.seconds / statistics.mean(later - earlier for earlier, later in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[64])
    parser.add_argument("--sampler", nargs="+", default=["random", "tpe"])
    parser.add_argument("--earlier", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--trials", type=int, default=320)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    rows = [
        row(sampler, earlier, workers, given.trials, given.seconds)
        for sampler in given.sampler
        for earlier in given.earlier
        for workers in given.workers
    ]
    print(processor())
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


def row(sampler: str, earlier: int, workers: int, trials: int, seconds: float) -> dict[str, str | float]:
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(1) as other:  # so that this process has not seen its trials
            other.submit(prepare, sampler, earlier, Path(folder)).result()
        plan, memory, begun = plan_of(sampler), psutil.Process().memory_info().rss, time.perf_counter()
        study = open_study(plan, KEY, Storage(Path(folder)), max_trials(earlier + trials))
        opened = time.perf_counter() - begun
        memory = psutil.Process().memory_info().rss - memory
        simulated = SimulatedWorkers(workers, seconds, recorded(plan))
        scheduler = Scheduler(plan, study, simulated)  # type: ignore[arg-type]
        begins, computed = timed(scheduler, "_begin_trial"), time.process_time()
        scheduler.run()
        computed = time.process_time() - computed
        size = sum(file.stat().st_size for file in Path(folder).glob("*.journal"))
        return {
            "sampler": sampler,
            "trials of the study": earlier,
            "workers": workers,
            "% busy": 100 * simulated.busy(),
            "ms to begin a trial, median": statistics.median(begins),
            "ms of the search per trial": 1000 * computed / trials,
            "s to open": opened,
            "KB of memory per trial": memory / 1000 / earlier,
            "KB of journal per trial": size / 1000 / (earlier + trials),
        }


def prepare(sampler: str, trials: int, folder: Path) -> None:
    """Write a study of this many trials."""
    plan = plan_of(sampler)
    fill(open_study(plan, KEY, Storage(folder), max_trials(0)), plan, trials)


def timed(holder: object, method: str) -> list[float]:
    """From now on, milliseconds of each call of a method."""
    found: list[float] = []
    plain: Callable[..., object] = getattr(holder, method)

    def call(*arguments: object) -> object:
        begun = time.perf_counter()
        try:
            return plain(*arguments)
        finally:
            found.append(1000 * (time.perf_counter() - begun))

    setattr(holder, method, call)
    return found


if __name__ == "__main__":
    main()
