"""The page of the benchmark and its picture."""

from pathlib import Path

import numpy as np

from grokking.leaderboard import page
from grokking.leaderboard.table import Ranking
from grokking.leaderboard.workloads import Benchmark

POINTS = 301  # of a line of the picture


def write(benchmark: Benchmark, ranked: Ranking) -> list[Path]:
    """Write reports/leaderboard.md and its picture; returns where they are, below the checkout."""
    from grokking.figures import profiles  # drawing takes a second to load

    (benchmark.root / page.PAGE).parent.mkdir(exist_ok=True)
    (benchmark.root / page.PAGE).write_text(page.page(benchmark, ranked), encoding="utf-8")
    factor_T = np.linspace(1, benchmark.rules.ratio, POINTS)
    profiles.performance(page.profiles(ranked, factor_T), factor_T, benchmark.root / page.PICTURE)
    return [page.PAGE, page.PICTURE]
