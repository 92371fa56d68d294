"""The benchmark of this checkout: where results are, the ranking of all submissions, and its page."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokking.config import ConfigError
from grokking.leaderboard import step_seconds
from grokking.leaderboard.assignment import every_trial, trials_by_workload, variants_to_train, workloads
from grokking.leaderboard.running import KEY, RUNS, Results, key_of, table_of
from grokking.leaderboard.scoring import Score, scores
from grokking.leaderboard.submission import Submission, read_submission
from grokking.leaderboard.trials import Trial, WithTrials
from grokking.leaderboard.workloads import Benchmark, Workload, read_benchmark
from grokking.storage.runs import read_table
from grokking.training.fingerprint import input_hash

VERSION = 1


class NothingRanked(ConfigError):
    """No submission has all of its results here."""


def open_benchmark(root: Path) -> Benchmark:
    """The present version, in a checkout."""
    return read_benchmark(root, VERSION)


def result_folder(benchmark: Benchmark, submission: str) -> Path:
    return benchmark.root / "results/leaderboard" / f"v{benchmark.version}" / submission


@dataclass(frozen=True)
class Entry:
    """A submission with results: the rows of those trials that its file asks for."""

    submission: Submission
    runs: pd.DataFrame
    missing: int  # trials of those asked for
    outdated: int  # where some are missing: kept trials of an earlier file, workload or core
    leaks: bool  # whether it has generalized where there is no law: it has seen the answers

    @property
    def why_not_ranked(self) -> str:
        """Why it has no score, or nothing."""
        if self.leaks:
            return "it generalizes on a table without a law"
        if not self.missing:
            return ""
        kept = f" ({self.outdated} are kept of an earlier file, workload or core)" if self.outdated else ""
        return f"missing trials: {self.missing}{kept}; `grokking bench run` goes on"


def with_results(benchmark: Benchmark) -> tuple[list[Submission], dict[str, str]]:
    """The submissions that have results; and by name, why the file of one is not there or refused.

    ConfigError where none is left.
    """
    found: list[Submission] = []
    refused: dict[str, str] = {}
    for file in sorted(result_folder(benchmark, "any").parent.glob(f"*/{RUNS}")):
        try:
            found.append(read_submission(source(benchmark, file.parent.name)))
        except ConfigError as error:
            refused[file.parent.name] = str(error)
    if not found:
        reasons = "; ".join(refused.values()) or "no results are here"
        raise NothingRanked(f"{reasons}; run `grokking bench run leaderboard/submissions/adamw.py`")
    return found, refused


@contextmanager
def source_kept(benchmark: Benchmark, submission: Submission) -> Iterator[None]:
    """Keep the file of a submission from elsewhere beside the results that follow, unless there are none."""
    keep_source(benchmark, submission)
    folder = result_folder(benchmark, submission.name)
    try:
        yield
    finally:
        if not (folder / RUNS).exists():
            shutil.rmtree(folder, ignore_errors=True)


def keep_source(benchmark: Benchmark, submission: Submission) -> None:
    """Write the file of a submission from elsewhere beside its results; ConfigError for a taken name."""
    known = submission_file(benchmark, submission.name)
    taken = known.exists() and known.read_text(encoding="utf-8") != submission.source
    if taken or submission.name == "targets":
        raise ConfigError(f"another file has the name {submission.name}; give yours a name of its own")
    own = result_folder(benchmark, submission.name) / "submission.py"
    if not submission_file(benchmark, submission.name).exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(submission.source, encoding="utf-8")


def leaks(benchmark: Benchmark, runs: pd.DataFrame) -> bool:
    """Whether a submission has generalized where there is no law: it has seen the answers."""
    return bool(runs.loc[runs["workload"] == benchmark.leak_check.name, "observed"].any())


def entry_of(benchmark: Benchmark, submission: Submission) -> Entry:
    """What is kept of a submission, as the benchmark counts it."""
    results = Results(result_folder(benchmark, submission.name))
    by_key = {key_of(row): row for row in results.rows}
    runs, missing = _runs_of(by_key, trials_by_workload(benchmark, submission, []))
    if not missing and not submission.declared.WORKLOAD:
        on_variants, missing = _runs_of(by_key, variants_to_train(benchmark, submission, runs))
        runs = pd.concat([runs, on_variants], ignore_index=True)
    outdated = _outdated(benchmark, submission, results) if missing else 0
    return Entry(submission, runs, missing, outdated, leaks(benchmark, runs))


def _outdated(benchmark: Benchmark, submission: Submission, results: Results) -> int:
    """How many trials are kept that are of an earlier file, workload or core."""
    by_key = {key_of(row): row for row in results.rows}
    of_file, _ = _runs_of(by_key, every_trial(benchmark, submission))
    return len(results.rows) - len(of_file) + results.of_other_code


def _runs_of(
    by_key: Mapping[tuple[Any, ...], dict[str, Any]], asked: Sequence[WithTrials]
) -> tuple[pd.DataFrame, int]:
    """The rows of those of the trials that are there, and how many are not."""
    jobs = [(workload, trial) for workload, own in asked for trial in own]
    right = [by_key[t.key] for w, t in jobs if t.key in by_key and _is_of(by_key[t.key], t, w)]
    runs = table_of(right) if right else pd.DataFrame(columns=[*KEY, "observed"])
    return runs, len(jobs) - len(right)


def _is_of(row: dict[str, Any], trial: Trial, workload: Workload) -> bool:
    return bool(row["inputs"] == input_hash(trial.replica, workload.task))


def submission_file(benchmark: Benchmark, name: str) -> Path:
    """The file of a submission of this checkout."""
    return benchmark.root / f"leaderboard/submissions/{name}.py"


def source(benchmark: Benchmark, name: str) -> Path:
    """The file of a submission, of this checkout or kept beside its results."""
    own = submission_file(benchmark, name)
    return own if own.exists() else result_folder(benchmark, name) / "submission.py"


def typical_seconds(benchmark: Benchmark) -> dict[str, float]:
    """By workload, the mean seconds of a trial in all results that are here and can be read."""
    tables = []
    for file in result_folder(benchmark, "any").parent.glob(f"*/{RUNS}"):
        with suppress(ConfigError, KeyError):
            tables.append(read_table(file)[["workload", "seconds"]])
    means = pd.concat(tables).groupby("workload")["seconds"].mean() if tables else pd.Series(dtype=float)
    return {str(workload): float(seconds) for workload, seconds in means.items()}


@dataclass(frozen=True)
class Ranking:
    """The submissions that have been run on all workloads, and the others."""

    workloads: list[Workload]
    steps: list[Score]  # best first
    seconds: dict[str, Score]  # by submission, those whose step was measured
    entries: dict[str, Entry]  # those that are ranked
    not_ranked: dict[str, str]  # by submission, why


def rank(benchmark: Benchmark) -> Ranking:
    """All submissions by their scores; ConfigError where none has been run on all workloads."""
    submissions, not_ranked = with_results(benchmark)
    found = {own.name: entry_of(benchmark, own) for own in submissions if not own.is_open}
    not_ranked |= {name: entry.why_not_ranked for name, entry in found.items() if entry.why_not_ranked}
    ranked = {name: entry for name, entry in found.items() if name not in not_ranked}
    if not ranked:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in not_ranked.items()) or "all are open"
        raise NothingRanked(f"no submission is ranked ({reasons}); run `grokking bench run` of its file")
    counted, most = workloads(benchmark), benchmark.rules.ratio
    parents = {own.name: own.variant_of for own in counted}
    seconds = step_seconds.read(benchmark)
    runs = {name: _with_step_seconds(entry, parents, seconds) for name, entry in ranked.items()}
    measured = {name: own for name, own in runs.items() if own["step_seconds"].notna().all()}
    in_seconds = scores(measured, parents, "seconds", most) if measured else []
    by_name = {score.submission: score for score in in_seconds}
    return Ranking(counted, scores(runs, parents, "steps", most), by_name, ranked, not_ranked)


def _with_step_seconds(entry: Entry, workloads: Iterable[str], measured: pd.Series) -> pd.DataFrame:
    """Its runs on these workloads, with the seconds of a step as they were measured beside all others."""
    runs = entry.runs[entry.runs["workload"].isin(list(workloads))]
    found = [measured.get((workload, entry.submission.sha256), np.nan) for workload in runs["workload"]]
    return runs.assign(step_seconds=np.array(found, dtype=float))


def ranking(ranked: Ranking) -> pd.DataFrame:
    """A row per submission, best first, as texts."""
    rows = []
    for score in ranked.steps:
        share, low, high = score.generalized
        first, last = score.ranks
        seconds = ranked.seconds.get(score.submission)
        rows.append({
            "rank": f"{score.rank} ({first}–{last})",
            "submission": score.submission,
            "score in steps": _interval(score),
            "score in seconds": "not measured" if seconds is None else _interval(seconds),
            "trials that generalize": f"{share:.0%} ({low:.0%}–{high:.0%})",
        })  # fmt: skip
    return pd.DataFrame(rows)


def times_table(ranked: Ranking, chosen: Sequence[Workload]) -> pd.DataFrame:
    """Steps to generalization of each submission, a column per workload, as texts."""
    rows = [
        {"submission": score.submission} | {own.title: _time(score.times[own.name]) for own in chosen}
        for score in ranked.steps
    ]
    return pd.DataFrame(rows)


def _interval(score: Score) -> str:
    return f"{score.score:.2f} ({score.low:.2f}–{score.high:.2f})"


def _time(steps: float) -> str:
    return f"{steps:,.0f}" if steps < float("inf") else "—"
