"""Trials of a submission trained again, and compared with what is kept of them."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokking.config import ConfigError
from grokking.executors.resources import processes
from grokking.leaderboard.running import CURVE, MEASURED, kept, key_of, trained
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.table import asked, result_folder
from grokking.leaderboard.workloads import Benchmark
from grokking.training.fingerprint import inputs

STARTED = 3  # trials for each worker between two looks at the clock


@dataclass(frozen=True)
class Verified:
    """How many trials were kept, how many were trained again, and a line for each that differs."""

    kept: int
    compared: int
    differences: list[str]


def verify(benchmark: Benchmark, submission: Submission, seconds: float) -> Verified:
    """Train trials again until the time is over, in an order that the submission's own source decides."""
    deadline = time.monotonic() + seconds
    rows, curves = kept(result_folder(benchmark, submission.name))
    by_key = {key_of(row): row for row in rows}
    jobs = [
        (workload, trial)
        for workload, trials in asked(benchmark, submission, [])
        for trial in trials
        if trial.key in by_key and by_key[trial.key]["inputs"] == inputs(trial.replica, workload.task)
    ]
    if not jobs:
        raise ConfigError(f"no results of {submission.name} are here; run `grokking bench run` first")
    random.Random(submission.sha256).shuffle(jobs)
    compared, differences, at_once = 0, [], STARTED * processes(None)
    while compared < len(jobs) and time.monotonic() < deadline:
        for row, curve in trained(submission, jobs[compared : compared + at_once]):
            key = key_of(row)
            if text := difference(by_key[key], row, curves[key], curve):
                differences.append(f"{key[0]}, study {key[1]}, trial {key[2]}: {text}")
        compared = min(compared + at_once, len(jobs))
    return Verified(len(jobs), compared, differences)


def difference(
    row: Mapping[str, Any], row_again: Mapping[str, Any], curve: pd.DataFrame, curve_again: pd.DataFrame
) -> str:
    """What two trainings differ in, or nothing; what was measured with a clock does not count."""
    for name in row.keys() - {*MEASURED, "code"}:
        one, other = row[name], row_again[name]
        if one != other and not (pd.isna(one) and pd.isna(other)):
            return f"{name} was {one} and is {other}"
    if not curve[CURVE].reset_index(drop=True).equals(curve_again[CURVE].reset_index(drop=True)):
        return "the curves differ"
    return ""
