"""The benchmark of this checkout: where results are, the ranking of all submissions, and its page."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grokking.config import ConfigError
from grokking.leaderboard.held_out import held_out
from grokking.leaderboard.running import RUNS
from grokking.leaderboard.scoring import Score, scores
from grokking.leaderboard.submission import Submission
from grokking.leaderboard.trials import Trial, trials
from grokking.leaderboard.workloads import Benchmark, Workload, read_benchmark
from grokking.storage.runs import read_table

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


def all_runs(benchmark: Benchmark) -> dict[str, pd.DataFrame]:
    """The table of runs of each submission that has any; ConfigError where there is none."""
    folder = result_folder(benchmark, "any").parent
    found = {file.parent.name: read_table(file) for file in sorted(folder.glob(f"*/{RUNS}"))}
    if not found:
        raise ConfigError("no results are here; run `grokking bench run leaderboard/submissions/adamw.py`")
    return found


def leaks(benchmark: Benchmark, runs: pd.DataFrame) -> bool:
    """Whether a submission has generalized where there is no law: it has seen the answers."""
    return bool(runs.loc[runs["workload"] == benchmark.leak_check.name, "observed"].any())


def common_workloads(benchmark: Benchmark, runs: dict[str, pd.DataFrame]) -> list[str]:
    """The workloads of which every submission has all its trials."""
    names = [workload.name for workload in workloads(benchmark)]
    return [name for name in names if all(_complete(benchmark, own, name) for own in runs.values())]


def _complete(benchmark: Benchmark, runs: pd.DataFrame, workload: str) -> bool:
    own = runs[runs["workload"] == workload]
    return len(own) > 0 and own["study"].nunique() == benchmark.rules.studies


def ranked(benchmark: Benchmark) -> tuple[list[str], list[Score], dict[str, pd.DataFrame]]:
    """Workloads that count, scores in steps (best first), and the runs; who leaks has no score."""
    runs = {name: own for name, own in all_runs(benchmark).items() if not leaks(benchmark, own)}
    names = common_workloads(benchmark, runs)
    if not names:
        raise ConfigError("no workload has been run by all submissions; run `grokking bench run` of each")
    return names, scores(runs, names, "steps", benchmark.rules.ratio), runs


def ranking(benchmark: Benchmark) -> pd.DataFrame:
    """A row per submission, best first, as texts."""
    names, found, _ = ranked(benchmark)
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
