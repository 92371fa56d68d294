"""AUROC and lead time against counts by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from grokking.analysis import early_warning, pages
from grokking.diagnostics import suite
from grokking.figures.diagnostics import LOSSES, PANELS


def snapshots(generalized=(8.0, 8.0, np.nan), **scores):
    """Replicas at steps 1, 2, 4, 8, by default two that generalize at 8 and one that does not by 16."""
    runs = range(len(generalized))
    steps = np.array([1, 2, 4, 8])
    diagnosed = pd.concat(
        pd.DataFrame({"replica": replica, "step": steps} | {name: of[replica] for name, of in scores.items()})
        for replica in runs
    )
    replicas = pd.DataFrame({
        "replica": runs,
        "system": 2,
        "memorization_step": 2,
        "generalization_step": generalized,
        "steps_run": 16,
    })  # fmt: skip
    diagnosed = diagnosed.reindex(columns=["replica", *early_warning.DIRECTIONS])
    return early_warning.labelled({"e": diagnosed}, {"e": replicas})


def test_soon_is_within_twice_the_step():
    steps = np.array([0, 1, 49, 50, 99, 100, 200])
    np.testing.assert_array_equal(
        early_warning.soon(steps, np.full(7, 100), np.full(7, 300)), [0, 0, 0, 1, 1, np.nan, np.nan]
    )
    never = early_warning.soon(steps, np.full(7, np.nan), np.full(7, 150))
    np.testing.assert_array_equal(never, [0, 0, 0, 0, np.nan, np.nan, np.nan])


def auroc(score, positive):
    """Of one replica, against itself."""
    return early_warning.Wins.count(score, positive, np.zeros(len(score), int), 1).auroc(np.ones(1))


def test_auroc_counts_pairs_won_and_half_of_ties():
    score, positive = np.array([3.0, 1.0, 2.0, 1.0]), np.array([1, 1, 0, 0])
    assert auroc(score, positive) == (1 + 1 + 0 + 0.5) / 4
    assert np.isnan(auroc(score, np.ones(4)))


def test_threshold_lets_five_percent_pass():
    assert early_warning.threshold(np.arange(19.0)) == 18
    assert early_warning.threshold(np.arange(20.0)) == 18
    assert early_warning.threshold(np.arange(100.0)) == 94


def test_lead_is_from_the_alarm_that_lasts():
    steps = np.array([1, 2, 4, 8, 16])
    assert early_warning.lead(steps, np.array([9, 0, 9, 9, 0]), 5, generalization=12) == 3
    assert early_warning.lead(steps, np.array([9, 9, 9, 9, 0]), 5, generalization=12) == 12
    assert early_warning.lead(steps, np.array([9, 9, 9, 5, 9]), 5, generalization=12) == 1


def test_a_diagnostic_is_judged_after_memorization_and_by_its_direction():
    rising = [[9, 0, 5, 9], [9, 1, 3, 9], [9, 2, 2, 4]]
    falling = [[-x for x in of] for of in rising]
    found = snapshots(r_sum=rising, **{"loss/validation": falling})
    row = early_warning.judge(found, "r_sum")
    # positives after memorization are the two at step 4; negatives those at 2, and 4 and 8 of the last
    assert row["positives"] == 2
    assert row["snapshots"] == 7
    assert row["auroc"] == (5 + 4) / 10
    # the largest score of the last replica is 4: replica 0 passes it from step 4 on, replica 1 never does
    assert row["lead"] == (2 + 1) / 2
    assert row["warned"] == 0.5
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
    assert early_warning.judge(found, "loss/validation") == row


def test_the_lead_is_the_median_over_replicas_that_generalized():
    """Alarms at 2, 2 and none: leads 4, 4 and 1. The mean would be 3."""
    scores = [[0, 9, 9, 9], [0, 9, 9, 9], [0, 0, 0, 0], [5, 5, 5, 5]]
    row = early_warning.judge(snapshots((8.0, 8.0, 8.0, np.nan), r_sum=scores), "r_sum")
    assert (row["lead"], row["warnable"]) == (4, 3)
    assert row["warned"] == pytest.approx(2 / 3)


def test_an_interval_holds_the_middle_95_of_100_resampled_values():
    """Those without a value are no part of it."""
    resampled = [*range(1001), np.nan, np.inf]
    assert early_warning._interval("lead", 7.0, resampled) == {"lead": 7.0, "lead_low": 25, "lead_high": 975}


def test_systems_are_not_compared_but_for_the_pooled_figure():
    one, other = snapshots(r_sum=[[0, 0, 5, 9]] * 3), snapshots(r_sum=[[100, 100, 105, 109]] * 3)
    other = other.assign(run=other["run"] + 3, group="4")
    row = early_warning.judge(pd.concat([one, other]), "r_sum")
    assert row["auroc"] == early_warning.judge(one, "r_sum")["auroc"]
    assert row["auroc_pooled"] < row["auroc"]


def test_a_study_in_which_nothing_generalizes_has_a_table():
    found = snapshots(r_sum=[[0, 1, 2, 3]] * 3)
    never = found.assign(soon=0.0, generalization_step=np.nan)
    table = early_warning.warning_table(never)
    assert table["auroc"].isna().all()
    page = pages.diagnostics(table, pd.DataFrame(), {"lost": "1 of 2"})
    assert "—" in page
    assert "early_warning.png" not in page  # it is not drawn
    assert "`lost` 1 of 2" in page


def test_no_experiment_has_a_page_without_a_table():
    table = early_warning.warning_table(early_warning.labelled({}, {}))
    assert table.empty
    assert "No experiment here has snapshots." in pages.diagnostics(table, pd.DataFrame(), {})


def test_every_name_that_reports_choose_is_of_a_diagnostic_that_is_computed():
    known = {"step", "norm/total", *suite.NAMES}
    assert set(early_warning.DIRECTIONS) <= known
    assert {name for _, columns, _ in PANELS for name in columns} | set(LOSSES) <= known
    assert {*early_warning.PUBLISHED_FIVE, *early_warning.IN_HINDSIGHT} <= set(early_warning.DIRECTIONS)


def test_an_unknown_name_is_refused():
    table = snapshots(r_sum=[[0, 1, 2, 3]] * 3).drop(columns="rqi")
    with pytest.raises(ValueError, match="no diagnostic is called rqi"):
        early_warning.warning_table(table)


MARKED = {
    "step": "", "loss/validation": " ↓", "r_sum": "",
    "rqi": " ²", "effective_rank": " ↓ ²", "participation_ratio": " ↓ ²", "uncentred_alignment": " ²",
    "mean_free_ratio": " ²",
    "restricted_loss/validation": " ↓ *", "excluded_loss/train": " *",
}  # fmt: skip


def test_the_table_marks_what_falls_the_published_five_and_what_is_known_in_hindsight():
    found = snapshots(**{name: [[0, 1, 2, 3]] * 3 for name in MARKED})
    page = pages.diagnostics(early_warning.warning_table(found), pd.DataFrame(), {})
    marks = dict(re.findall(r"^\| `([^`]+)`([^|]*?) *\|", page, re.MULTILINE))
    assert marks == MARKED
