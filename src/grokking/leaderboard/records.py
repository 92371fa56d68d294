"""Records: the fewest steps on one workload by any means, each faster than all before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grokking.leaderboard.scoring import difference_p
from grokking.leaderboard.table import Entry, entry_of, with_results
from grokking.leaderboard.workloads import Benchmark

RECORD_P = 0.01  # below it an attempt is faster than the record before it


@dataclass(frozen=True)
class Attempt:
    """What an open submission came to on its workload."""

    entry: Entry
    p: float | None  # log-rank, against the record before it; None where there is none
    is_record: bool  # all of its networks generalized, and sooner than those of the record before it

    @property
    def name(self) -> str:
        return self.entry.submission.name

    @property
    def workload(self) -> str:
        return self.entry.submission.declared.WORKLOAD

    @property
    def median(self) -> float:
        return median(self.entry.runs)


def attempts(benchmark: Benchmark) -> list[Attempt]:
    """All open submissions whose trials are there, by workload and date."""
    submissions, _ = with_results(benchmark)
    found = [entry_of(benchmark, own) for own in submissions if own.is_open]
    by_workload: dict[str, list[Entry]] = {}
    for entry in sorted((entry for entry in found if not entry.missing), key=_place):
        by_workload.setdefault(entry.submission.declared.WORKLOAD, []).append(entry)
    return [attempt for own in by_workload.values() for attempt in _judged(own)]


def median(runs: pd.DataFrame) -> float:
    """Of the steps; inf where half or more did not generalize."""
    return float(np.median(runs["generalization_step"].where(runs["observed"], np.inf)))


def table(found: Sequence[Attempt]) -> pd.DataFrame:
    """A row per attempt, as texts."""
    return pd.DataFrame([_row(attempt) for attempt in found])


def sentence(runs: pd.DataFrame) -> str:
    """What the networks of an open submission came to."""
    steps = runs.loc[runs["observed"], "generalization_step"]
    count = f"{len(steps)} of {len(runs)} networks generalized"
    if steps.empty:
        return count
    middle = median(runs)
    steps_of_half = f"{middle:,.1f} steps" if np.isfinite(middle) else "half or fewer did"
    return f"{steps_of_half} ({steps.min():,.0f}–{steps.max():,.0f}), {count}"


def _judged(own: Sequence[Entry]) -> list[Attempt]:
    """Attempts on one workload, in order."""
    judged: list[Attempt] = []
    record: Entry | None = None
    for entry in own:
        p = (
            None
            if record is None
            else difference_p(record.runs, entry.runs, entry.submission.declared.WORKLOAD)
        )
        is_faster = record is None or (
            p is not None and p < RECORD_P and median(entry.runs) < median(record.runs)
        )
        is_record = bool(entry.runs["observed"].all()) and is_faster
        judged.append(Attempt(entry, p, is_record))
        record = entry if is_record else record
    return judged


def _place(entry: Entry) -> tuple[str, str, str]:
    declared = entry.submission.declared
    return declared.WORKLOAD, declared.DATE, entry.submission.name


def _row(attempt: Attempt) -> dict[str, str]:
    return {
        "workload": attempt.workload,
        "date": attempt.entry.submission.declared.DATE,
        "submission": attempt.name,
        "steps": sentence(attempt.entry.runs),
        "p against the record before": "—" if attempt.p is None else f"{attempt.p:.3f}",
        "record": "yes" if attempt.is_record else "no",
    }
