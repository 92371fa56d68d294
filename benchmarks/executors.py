"""What an executor costs: seconds until its first result, milliseconds for a job and for a report.

    python -m benchmarks.executors [--jobs 500]

Jobs that do nothing, of every kind of executor of this machine; Ray's where it is installed.
"""

import argparse
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import pandas as pd

from grokking.executors.executor import Executor, executor
from grokking.executors.processor import processor
from grokking.executors.reports import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    jobs = parser.parse_args().jobs
    kinds = ["local", "ray"] if find_spec("ray") else ["local"]
    print(processor())
    print(pd.DataFrame([measured(kind, jobs) for kind in kinds]).to_markdown(index=False, floatfmt=".2f"))


def measured(kind: str, jobs: int) -> dict[str, str | float]:
    begun = time.perf_counter()
    with patch.dict(os.environ, {"GROKKING_EXECUTOR": kind}), executor(None, "cpu") as workers:
        workers.submit(abs, 0).result()
        start = time.perf_counter() - begun
        run(workers, jobs, abs)  # by now every worker has started
        plain, reporting = run(workers, jobs, abs), run(workers, jobs, report)
        return {
            "executor": kind,
            "workers": workers.workers,
            "s to the first result": start,
            "ms for a job": plain,
            "ms for a report": reporting - plain,
        }


def run(workers: Executor, jobs: int, job: Callable[[int], Any]) -> float:
    """Milliseconds for a job."""
    begun = time.perf_counter()
    for future in [workers.submit(job, 0) for _ in range(jobs)]:
        future.result()
    return 1000 * (time.perf_counter() - begun) / jobs


if __name__ == "__main__":
    main()
