"""Trials of a submission trained again, and compared with what is kept of them."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokking.config import ConfigError
from grokking.executors.processor import processor
from grokking.leaderboard.assignment import every_trial
from grokking.leaderboard.running import CURVE, MEASURED, everything_kept, key_of, trained, workers_for
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.table import entry_of, result_folder
from grokking.leaderboard.trials import Trial
from grokking.leaderboard.workloads import Benchmark, Workload
from grokking.training.fingerprint import input_hash, same_code

Key = tuple[Any, ...]
WITH_EVALUATIONS = 1.5  # times the seconds of a trial, which are those of its updates alone
Show = Callable[[Mapping[str, Any], str, int, int], None]


@dataclass(frozen=True)
class Verified:
    """How many trials are kept, how many were trained again, and a line for each that differs."""

    kept: int
    missing: int  # trials that the file asks for and that are not kept
    compared: int
    differences: list[str]
    elsewhere: list[str]  # what differs where another kind of processor trained; bits may differ there


def verify(
    benchmark: Benchmark,
    submission: Submission,
    seconds: float,
    seed: int,
    show: Show = lambda row, text, done, total: None,
) -> Verified:
    """Train trials again, in an order that the seed decides, as many as the time is enough for.

    None begins that might not end in time, by the longest of the kept ones; but all of the first half begin.

    A kept trial that its file does not ask for, that is there twice, without its curve, with other inputs or
    by another core differs at once. `show` takes the kept row of a trial that was trained again, what
    differs, how many were trained, and of how many.
    """
    end = time.monotonic() + seconds
    rows, curves = everything_kept(result_folder(benchmark, submission.name))
    by_key = {key_of(row): row for row in rows}
    if not by_key:
        raise ConfigError(f"no results of {submission.name} are here; run `grokking bench run` first")
    asked_for = {t.key: (w, t) for w, own in every_trial(benchmark, submission) for t in own}
    wrong = {key: text for key, row in by_key.items() if (text := _mismatch(row, asked_for.get(key)))}
    wrong |= _damaged(rows, curves)
    if len(wrong) == len(rows) and all(row["submission"] != submission.sha256 for row in rows):
        raise ConfigError(
            f"the {len(rows)} kept trials of {submission.name} are of another file of that name, or of this "
            "one before an edit, be it of a comment; run `grokking bench run` on it first"
        )
    titles = {key: workload.title for key, (workload, _) in asked_for.items()}
    differences = [_line(key, titles, text) for key, text in wrong.items()]
    jobs = [(submission, *job) for key, job in asked_for.items() if key in by_key.keys() - wrong.keys()]
    random.Random(seed).shuffle(jobs)
    longest = WITH_EVALUATIONS * max(row["seconds"] for row in rows)
    deadline = end - min(longest, seconds / 2)
    compared, here = 0, processor()
    elsewhere: list[str] = []
    with workers_for(len(jobs)) as workers:
        for row, curve in trained(jobs, workers, deadline):
            key = key_of(row)
            if text := difference(by_key[key], row, curves[key], curve):
                of_here = by_key[key]["processor"] == here
                (differences if of_here else elsewhere).append(_line(key, titles, text))
            compared += 1
            show(by_key[key], text, compared, len(jobs))
    missing = entry_of(benchmark, submission).missing
    return Verified(len(rows), missing, compared, differences, elsewhere)


def _mismatch(row: Mapping[str, Any], job: tuple[Workload, Trial] | None) -> str:
    """Why a kept row is no result of the trial that it names, or nothing."""
    if job is None:
        return "the file asks for no such trial"
    workload, trial = job
    if row["inputs"] != input_hash(trial.replica, workload.task):
        return "its hyperparameters, seeds or data are others than the file asks for"
    return "" if row["code"] in same_code() else "it was trained by another core"


def _damaged(rows: Sequence[Mapping[str, Any]], curves: Mapping[Key, pd.DataFrame]) -> dict[Key, str]:
    """Trials that are there more than once or without a curve, with that as text."""
    counts = Counter(map(key_of, rows))
    twice = [key for key, count in counts.items() if count > 1]
    lost = counts.keys() - curves.keys()
    return dict.fromkeys(twice, "it is there more than once") | dict.fromkeys(lost, "its curve is missing")


def _line(key: Key, titles: Mapping[Key, str], text: str) -> str:
    return f"{titles.get(key, key[0])}, study {key[1]}, trial {key[2]}: {text}"


def difference(
    row: Mapping[str, Any], row_again: Mapping[str, Any], curve: pd.DataFrame, curve_again: pd.DataFrame
) -> str:
    """What two trainings differ in, or nothing; what was measured with a clock does not count."""
    for name in row_again.keys() - {*MEASURED, "code", "submission"}:
        one, other = row.get(name), row_again[name]
        if one != other and not (pd.isna(one) and pd.isna(other)):
            return f"{name} was {one} and is {other}"
    if not curve[CURVE].reset_index(drop=True).equals(curve_again[CURVE].reset_index(drop=True)):
        return "the curves differ"
    return ""
