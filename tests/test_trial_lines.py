"""The lines of `grokking bench`: forecasts that know that workloads differ, and the verdict."""

import io
import time

import pandas as pd
import pytest
from rich.console import Console

from grokking.cli.bench import _by_workload
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
    """Lines that were begun this long ago, of trials on two cores."""
    monkeypatch.setenv("GROKKING_PROCESSES", "2")
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines = TrialLines(screen(), TITLES, TYPICAL, ", then variants")
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    return lines


def test_the_time_left_counts_a_trial_by_what_its_workload_takes(monkeypatch):
    """By what is typical two cores need 100 s for the two large ones; a small one that took long says little.

    It took 31 s where half a second is typical: (31 + 60 / 2) / (1 + 60) is 1 s for a typical one.
    """
    lines = lines_after(monkeypatch, 31.0)
    lines.show(row("small"), {"small": 0, "large_held_out": 2})
    assert lines.screen.file.getvalue() == (
        "small, study 1, trial 2: generalized at 1,234 (2 left, about 03:20, then variants)\n"
    )


def test_without_kept_trials_the_time_left_is_by_those_of_this_run(monkeypatch):
    """Such as of `grokking bench targets`."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines = TrialLines(screen(), {}, {})
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    lines.show(row("small"), {"small": 3})
    assert lines.screen.file.getvalue().endswith("(3 left, about 00:30)\n")


def test_one_trial_does_not_count_as_if_two_workers_could_share_it(monkeypatch):
    lines = lines_after(monkeypatch, 0.0)
    assert lines._pace(0) == 1.0
    assert lines._pace(1) == 0.5


def test_the_time_left_is_at_first_that_of_typical_trials(monkeypatch):
    lines = lines_after(monkeypatch, 0.5)
    lines.show(row("small"), {"large_held_out": 2})
    assert "(2 left, about 01:40, then" in lines.screen.file.getvalue()


def test_the_time_left_follows_all_trials_that_have_ended(monkeypatch):
    """A hundred times slower than typical: after twenty large trials their pace counts."""
    lines = lines_after(monkeypatch, 20 * 10_000.0)
    for _ in range(20):
        lines.show(row("large_held_out", observed=False), {"large_held_out": 1})
    assert "not in 2,000 steps (1 left, about 2:41:50, then" in lines.screen.file.getvalue().splitlines()[-1]


def test_a_trial_that_diverged_is_told_as_such(monkeypatch):
    lines = lines_after(monkeypatch, 1.0)
    lines.show(row("small", observed=False, diverged=True), {"small": 0})
    assert "trial 2: diverged (0 left, about 00:00, then variants)" in lines.screen.file.getvalue()


@pytest.mark.parametrize(("workload", "name"), [("large_held_out", "large, modulus 11"), ("new", "new")])
def test_a_variant_is_named_by_what_it_changes(workload, name):
    assert name_of(row(workload), TITLES) == f"{name}, study 1, trial 2"


def test_a_verified_trial_says_what_differs_and_for_how_long_it_goes_on(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines = VerifiedLines(screen(), TITLES, 600.0)
    monkeypatch.setattr(time, "monotonic", lambda: 90.0)
    lines.show(row("small", processor=processor()), "", 3, 5)
    lines.show(row("small", processor=processor()), "", 3, 500)
    monkeypatch.setattr(time, "monotonic", lambda: 700.0)
    lines.show(row("small", processor=processor()), "the curves differ", 4, 5)
    lines.show(row("small", processor="another"), "the curves differ", 5, 5)
    assert lines.screen.file.getvalue().splitlines() == [
        "small, study 1, trial 2: the same (3 of 5, about 01:00 left)",
        "small, study 1, trial 2: the same (3 of 500, about 08:30 left)",
        "small, study 1, trial 2: the curves differ (4 of 5, about 00:00 left)",
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


def test_a_workload_counts_as_missed_by_its_studies_and_workloads_come_in_their_order():
    """One trial of three generalizes on each, but in one study of `b` and in two of `a`."""
    rows = [
        {"workload": workload, "study": study, "observed": step is not None, "generalization_step": step}
        for workload, steps in {"a": (50.0, 70.0, None), "b": (40.0, None, None), "leak": (None,) * 3}.items()
        for study, step in enumerate(steps)
    ]
    runs = pd.DataFrame(rows).assign(step_seconds=1.0)
    assert _by_workload(runs, "leak", {"leak": "leak", "b": "the b", "a": "a", "unseen": "unseen"}) == [
        "leak: passed, 0 of 3 trials generalized",
        "the b: missed in 2 of 3 studies, 1 of 3 trials generalized",
        "a: 70 steps, 2 of 3 trials generalized",
    ]
