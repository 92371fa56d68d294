"""The lines of `grokking bench`: forecasts that know that workloads differ, and the verdict."""

import io
import time

import pytest
from rich.console import Console

from grokking.cli.trial_lines import TrialLines, VerifiedLines, name_of, verdict
from grokking.executors.processor import processor
from grokking.leaderboard.verification import Verified

TITLES = {"small": "small", "large_held_out": "large, modulus 11"}
TYPICAL = {"small": 1.0, "large_held_out": 100.0}


def row(workload: str, **changes):
    own = {"workload": workload, "study": 1, "trial": 2, "observed": True, "generalization_step": 1234.0}
    return own | {"diverged": False, "budget": 2000} | changes


def screen() -> Console:
    return Console(file=io.StringIO(), width=200)


def lines_after(monkeypatch, seconds: float) -> TrialLines:
    """Lines that were begun this long ago."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines = TrialLines(screen(), TITLES, TYPICAL)
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    return lines


def test_the_time_left_counts_a_trial_by_what_its_workload_takes(monkeypatch):
    """A small one took two seconds on this machine, so the two large ones that are left take 400."""
    lines = lines_after(monkeypatch, 2.0)
    lines.show(row("small"), {"small": 0, "large_held_out": 2})
    assert lines.screen.file.getvalue() == (
        "small, study 1, trial 2: generalized at 1,234 (2 left, about 06:40)\n"
    )


def test_the_time_left_follows_all_trials_that_have_ended(monkeypatch):
    lines = lines_after(monkeypatch, 202.0)
    lines.show(row("small"), {"large_held_out": 2})
    lines.show(row("large_held_out", observed=False), {"large_held_out": 1})
    assert lines.screen.file.getvalue().endswith("not in 2,000 steps (1 left, about 03:20)\n")


def test_a_trial_that_diverged_is_told_as_such(monkeypatch):
    lines = lines_after(monkeypatch, 1.0)
    lines.show(row("small", observed=False, diverged=True), {"small": 0})
    assert "trial 2: diverged (0 left, about 00:00)" in lines.screen.file.getvalue()


@pytest.mark.parametrize(("workload", "name"), [("large_held_out", "large, modulus 11"), ("new", "new")])
def test_a_variant_is_named_by_what_it_changes(workload, name):
    assert name_of(row(workload), TITLES) == f"{name}, study 1, trial 2"


def test_a_verified_trial_says_what_differs_and_for_how_long_it_goes_on(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines = VerifiedLines(screen(), TITLES, 600.0)
    monkeypatch.setattr(time, "monotonic", lambda: 90.0)
    lines.show(row("small", processor=processor()), "", 3, 5)
    monkeypatch.setattr(time, "monotonic", lambda: 700.0)
    lines.show(row("small", processor=processor()), "the curves differ", 4, 5)
    lines.show(row("small", processor="another"), "the curves differ", 5, 5)
    assert lines.screen.file.getvalue().splitlines() == [
        "small, study 1, trial 2: the same (3 of 5, at most 08:30 left)",
        "small, study 1, trial 2: the curves differ (4 of 5, at most 00:00 left)",
        "small, study 1, trial 2: the curves differ (on another kind of processor) (5 of 5)",
    ]


@pytest.mark.parametrize(
    ("compared", "differences", "elsewhere", "outcome"),
    [
        (36, [], [], "36 of 240 kept trials trained again, all figures are the same ("),
        (36, ["one"], [], "36 of 240 kept trials trained again, 1 kept trials differ ("),
        (
            36,
            [],
            ["one"],
            "36 of 240 kept trials trained again, 35 are the same; the others are of another kind",
        ),
        (0, [], [], "0 of 240 kept trials trained again, so nothing was compared: give it more --minutes ("),
    ],
)
def test_the_verdict_says_of_how_many_trials_and_on_what(compared, differences, elsewhere, outcome):
    said = verdict("adamw", Verified(240, 0, compared, differences, elsewhere), 7)
    assert said.startswith(f"adamw: {outcome}")
    assert said.endswith("; the same order by --seed 7)")
