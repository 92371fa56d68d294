"""How long an update takes by each rule, on one core: all rules take turns on each workload."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grokking.executors.process_settings import use_threads
from grokking.executors.processor import processor
from grokking.leaderboard.rule import known
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.trials import trials
from grokking.leaderboard.workloads import Benchmark, Workload
from grokking.training.state import TrainingState

ROUNDS, UPDATES = 7, 10
COLUMNS = ["workload", "submission", "sha256", "step_seconds", "processor"]


def file(benchmark: Benchmark) -> Path:
    return benchmark.root / "results/leaderboard" / f"v{benchmark.version}" / "step_seconds.csv"


def measure(
    benchmark: Benchmark, submissions: Sequence[Submission], workloads: Iterable[Workload]
) -> Iterator[pd.DataFrame]:
    """The rows of one workload after the other, measured on this machine."""
    use_threads(1)
    for workload in workloads:
        with known(*submissions):
            states = [_state(benchmark, own, workload) for own in submissions]
        rounds = np.array([[_seconds(state) for state in states] for _ in range(ROUNDS)])
        names = [own.name for own in submissions]
        rows = {
            "workload": workload.name,
            "submission": names,
            "sha256": [own.sha256 for own in submissions],
            "step_seconds": np.median(rounds, axis=0),
        }
        yield pd.DataFrame(rows).assign(processor=processor())[COLUMNS]


def read(benchmark: Benchmark) -> pd.Series:
    """Seconds of an update by workload and hash of a submission's file; empty where nothing was measured."""
    index = ["workload", "sha256"]
    if not file(benchmark).exists():
        return pd.Series(index=pd.MultiIndex.from_tuples([], names=index), dtype=float)
    return pd.read_csv(file(benchmark)).set_index(index)["step_seconds"]


def processor_of(benchmark: Benchmark) -> str:
    """On which processors it was measured."""
    if not file(benchmark).exists():
        return "not measured yet"
    return ", ".join(pd.read_csv(file(benchmark))["processor"].unique())


def _state(benchmark: Benchmark, submission: Submission, workload: Workload) -> TrainingState:
    state = TrainingState([trials(submission, workload, benchmark.rules)[0].replica], workload.task, "cpu")
    state.stack.update(1)  # what is made at the first update is not measured
    return state


def _seconds(state: TrainingState) -> float:
    started = time.perf_counter()
    state.stack.update(UPDATES)
    return (time.perf_counter() - started) / UPDATES
