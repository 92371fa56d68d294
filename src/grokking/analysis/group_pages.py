"""The page and the numbers of a group of long runs: by its columns, or as the group has them itself."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokking.analysis import literature, pages
from grokking.analysis.comparison import GROUPS, Group, comparison_table
from grokking.analysis.results import grid_points, summary
from grokking.storage.runs import Run

Entries = Mapping[str, Mapping[str, Any]]


def group_page(name: str, runs: Mapping[str, Run], entries: Entries) -> tuple[str, dict[str, Any]]:
    """Page and numbers; `entries` are the parameters of all entries of the group, `runs` those that were run.

    The replicas of `runs` have the formula of their task.
    """
    page, more = PAGES.get(name, by_columns)(GROUPS[name], runs, entries)
    return page, {entry: numbers(run.replicas) for entry, run in runs.items()} | more


def numbers(replicas: pd.DataFrame) -> dict[str, Any]:
    """The summary of an entry, and in `grid` that of each point of its grid, if it has one."""
    found, points = summary(replicas), grid_points(replicas)
    grid = {point: summary(part) for point, part in points.items()}
    return found | {"grid": grid} if len(grid) > 1 else found


def by_columns(group: Group, runs: Mapping[str, Run], entries: Entries) -> tuple[str, dict[str, Any]]:
    """A row per entry or point of its grid."""
    table = comparison_table(group, {entry: run.replicas for entry, run in runs.items()})
    missing = [f"`{entry}`" for entry in entries if entry not in runs]
    return pages.comparison(group.title, group.text, table, entries, missing=missing), {}


def by_published_numbers(
    group: Group, runs: Mapping[str, Run], entries: Entries
) -> tuple[str, dict[str, Any]]:
    """A row per number that another repository has published."""
    judged = literature.judged(runs)
    return pages.of_literature(group.title, group.text, judged, entries), {"verdicts": judged}


PAGES = {"literature": by_published_numbers}
