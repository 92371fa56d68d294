"""The benchmark of this checkout: where results are, the ranking of all submissions, and its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.config import ConfigError
from grokking.leaderboard.held_out import held_out
from grokking.leaderboard.running import RUNS, kept, key_of
from grokking.leaderboard.scoring import Score, scores
from grokking.leaderboard.submission import Submission, read_submission
from grokking.leaderboard.trials import Trial, trials
from grokking.leaderboard.workloads import Benchmark, Workload, read_benchmark
from grokking.training.fingerprint import inputs

VERSION = 0  # a draft


def open_benchmark(root: Path) -> Benchmark:
    """The present version, in a checkout."""
    return read_benchmark(root, VERSION)


def result_folder(benchmark: Benchmark, submission: str) -> Path:
    return benchmark.root / "results/leaderboard" / f"v{benchmark.version}" / submission


def workloads(benchmark: Benchmark) -> list[Workload]:
    """Those that count: of the file, and held-out ones where their seed has been drawn."""
    own, seed = list(benchmark.workloads.values()), benchmark.rules.held_out_seed
    return own if seed is None else own + [held_out(workload, seed) for workload in own]


def asked(
    benchmark: Benchmark, submission: Submission, names: Sequence[str]
) -> list[tuple[Workload, list[Trial]]]:
    """The trials of a submission: the check for leaks, and all workloads or those that are named."""
    known = {workload.name: workload for workload in workloads(benchmark)}
    for name in names:
        if name not in known:
            raise ConfigError(f"`--workload` {name} is unknown; known: {', '.join(known)}")
    chosen = [benchmark.leak_check, *(known[name] for name in names or known)]
    return [(workload, trials(submission, workload, benchmark.rules)) for workload in chosen]


@dataclass(frozen=True)
class Entry:
    """A submission with results: the rows of those trials that its file asks for."""

    submission: Submission
    runs: pd.DataFrame
    complete: set[str]  # workloads all of whose trials are there


def entries(benchmark: Benchmark) -> list[Entry]:
    """All submissions that have results and have passed the check for leaks; ConfigError without any."""
    folder = result_folder(benchmark, "any").parent
    names = [file.parent.name for file in sorted(folder.glob(f"*/{RUNS}"))]
    found = [_entry(benchmark, read_submission(_source(benchmark, name))) for name in names]
    if not found:
        raise ConfigError("no results are here; run `grokking bench run leaderboard/submissions/adamw.py`")
    return [entry for entry in found if is_checked(benchmark, entry)]


def is_checked(benchmark: Benchmark, entry: Entry) -> bool:
    """Whether all trials of the check for leaks are there, and none has generalized."""
    return benchmark.leak_check.name in entry.complete and not leaks(benchmark, entry.runs)


def keep_source(benchmark: Benchmark, submission: Submission) -> None:
    """Write the file of a submission from elsewhere beside its results."""
    own = result_folder(benchmark, submission.name) / "submission.py"
    if not _listed(benchmark, submission.name).exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(submission.source, encoding="utf-8")


def leaks(benchmark: Benchmark, runs: pd.DataFrame) -> bool:
    """Whether a submission has generalized where there is no law: it has seen the answers."""
    return bool(runs.loc[runs["workload"] == benchmark.leak_check.name, "observed"].any())


def _entry(benchmark: Benchmark, submission: Submission) -> Entry:
    rows, _ = kept(result_folder(benchmark, submission.name))
    by_key = {key_of(row): row for row in rows}
    counted: list[dict[str, Any]] = []
    complete = set()
    for workload, own in asked(benchmark, submission, []):
        right = [by_key[t.key] for t in own if t.key in by_key and _is_of(by_key[t.key], t, workload)]
        counted += right
        complete |= {workload.name} if len(right) == len(own) else set()
    return Entry(submission, pd.DataFrame(counted), complete)


def _is_of(row: dict[str, Any], trial: Trial, workload: Workload) -> bool:
    return bool(row["inputs"] == inputs(trial.replica, workload.task))


def _listed(benchmark: Benchmark, name: str) -> Path:
    return benchmark.root / f"leaderboard/submissions/{name}.py"


def _source(benchmark: Benchmark, name: str) -> Path:
    listed = _listed(benchmark, name)
    return listed if listed.exists() else result_folder(benchmark, name) / "submission.py"


# workloads that all submissions have run, scores in steps (best first), the submissions by name
Ranked = tuple[list[str], list[Score], dict[str, Entry]]


def rank(benchmark: Benchmark) -> Ranked:
    """All submissions by their scores; ConfigError where no workload was run by all."""
    found = {entry.submission.name: entry for entry in entries(benchmark)}
    names = [own.name for own in workloads(benchmark) if all(own.name in e.complete for e in found.values())]
    if not found or not names:
        raise ConfigError("no workload has been run by all submissions; run `grokking bench run` of each")
    runs = {name: entry.runs for name, entry in found.items()}
    return names, scores(runs, names, "steps", benchmark.rules.ratio), found


def ranking(ranked: Ranked) -> pd.DataFrame:
    """A row per submission, best first, as texts."""
    names, found, _ = ranked
    rows = []
    for score in found:
        share, low, high = score.generalized
        row = {
            "submission": score.submission,
            "score": f"{score.score:.2f} ({score.low:.2f}–{score.high:.2f})",
        }
        row |= {name: _time(score.times[name]) for name in names}
        rows.append(row | {"trials that generalize": f"{share:.0%} ({low:.0%}–{high:.0%})"})
    return pd.DataFrame(rows)


def _time(steps: float) -> str:
    return f"{steps:,.0f}" if steps < float("inf") else "—"
