"""All curves of the benchmark as one table: submissions, and the searches for targets."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from grokking.config import ConfigError
from grokking.leaderboard.running import CURVE, CURVES, KEY, RUNS
from grokking.leaderboard.workloads import Benchmark
from grokking.storage.runs import read_table

OF_RUN = ["seed", "point", "budget", "observed", "generalization_step", "memorization_step", "diverged"]


def all_curves(benchmark: Benchmark) -> pd.DataFrame:
    """A row per evaluation: where it is from, the run that it belongs to, and what was measured.

    ConfigError where there are no results.
    """
    root = benchmark.root / "results/leaderboard" / f"v{benchmark.version}"
    parts = [*_parts(root, "*", "submission"), *_parts(root, "targets/*/*", "target")]
    if not parts:
        raise ConfigError("no results are here; run `grokking bench run leaderboard/submissions/adamw.py`")
    return pd.concat(parts, ignore_index=True)


def _parts(root: Path, folders: str, origin: str) -> Iterator[pd.DataFrame]:
    for file in sorted(root.glob(f"{folders}/{CURVES}")):
        runs = read_table(file.with_name(RUNS))[[*KEY, *OF_RUN]]
        curves = read_table(file).merge(runs, on=KEY, how="left", validate="many_to_one")
        yield curves.assign(origin=origin, rule=file.parent.name)[["origin", "rule", *KEY, *OF_RUN, *CURVE]]
