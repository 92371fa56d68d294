"""The page of the benchmark."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from grokking.analysis.pages import plain
from grokking.leaderboard.scoring import Score, difference_p, shares_within
from grokking.leaderboard.table import Ranked, ranking
from grokking.leaderboard.workloads import Benchmark

PAGE = Path("reports/leaderboard.md")
FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)

PAGE_TEXT = """# Benchmark of time-to-grok, version {version}: a draft

{ranking}
Score: the mean height of the performance profile, from 0 to 1. Brackets are 95 % over trials and studies
drawn again. Other columns: steps to generalization, the median over the studies of the fastest trial of each;
"—" where it did not generalize within the budget.

Workloads that count: {workloads}. Not run by all submissions yet: {missing}.

## Within a factor of the fastest

The share of workloads on which a submission is so near the fastest: the performance profile.

{profiles}

## Which differences are more than chance

{pairs}
p of the log-rank test between all trials of a submission and of the next in rank. The values are not
corrected for their number, and compare rules over their whole spaces, not their best points.

## Submissions

{submissions}
"""


def write_page(benchmark: Benchmark, ranked: Ranked) -> Path:
    """Write reports/leaderboard.md."""
    (benchmark.root / PAGE).parent.mkdir(exist_ok=True)
    (benchmark.root / PAGE).write_text(page(benchmark, ranked), encoding="utf-8")
    return PAGE


def page(benchmark: Benchmark, ranked: Ranked) -> str:
    """Ranks, profiles, tests of their differences, and what each submission is."""
    names, found, entries = ranked
    runs = {name: entry.runs for name, entry in entries.items()}
    return PAGE_TEXT.format(
        version=benchmark.version,
        ranking=plain(ranking(ranked)),
        profiles=plain(_profiles(found, names)),
        pairs=plain(_pairs(found, runs, names)),
        workloads=", ".join(f"`{name}`" for name in names),
        missing=", ".join(f"`{name}`" for name in benchmark.workloads if name not in names) or "none",
        submissions="\n".join(f"- `{s.submission}`: {entries[s.submission].submission.about}" for s in found),
    )


def _profiles(found: Sequence[Score], names: Sequence[str]) -> pd.DataFrame:
    """On which share of the workloads each submission is within some factors of the fastest."""
    share_ST = shares_within(np.array([[score.times[name] for name in names] for score in found]), FACTORS)
    rows = [
        {"submission": score.submission}
        | {f"{factor:g}×": f"{share:.0%}" for factor, share in zip(FACTORS, own, strict=True)}
        for score, own in zip(found, share_ST, strict=True)
    ]
    return pd.DataFrame(rows)


def _pairs(found: list[Score], runs: dict[str, pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Each submission beside the next: the p of the log-rank test on each workload."""
    rows = [
        {"higher": one.submission, "next": other.submission}
        | {name: f"{difference_p(runs[one.submission], runs[other.submission], name):.3f}" for name in names}
        for one, other in pairwise(found)
    ]
    return pd.DataFrame(rows, columns=["higher", "next", *names])
