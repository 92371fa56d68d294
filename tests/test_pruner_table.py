"""Pruners replayed on complete curves: what counts as stopped too soon, and our own rules among them."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from benchmarks import pruners


def curve(falls_from=None, last=200):
    """Memorized at step 20; the validation loss is flat, or falls to 0 in a straight line within 40 steps."""
    step = np.arange(0, last + 1)
    loss = np.full(len(step), 5.0)
    if falls_from is not None:
        loss = np.interp(step, [falls_from, falls_from + 40], [5.0, 0.0])
    return pd.DataFrame(
        {
            "step": step,
            "train_loss": np.interp(step, [0, 20], [4.0, 0.01]),
            "train_accuracy": np.interp(step, [0, 20], [0.0, 1.0]),
            "validation_loss": loss,
            "validation_accuracy": np.where(loss < 0.1, 1.0, 0.01),
            "weight_norm": 1.0,
            "memorization_step": 20.0,
        }
    )


def test_looks_are_those_of_a_study():
    looks = pruners.at_looks(curve())["step"].tolist()
    assert looks[0] == pruners.FIRST_CHECK
    assert all(math.ceil(pruners.CHECK_RATIO * a) == b for a, b in itertools.pairwise(looks))


def test_a_trial_counts_by_what_was_known_before_it():
    assert pruners.RACING_FACTOR == 1.5
    generalized = np.array([100, math.nan, 60, 95, 90])  # the bests so far: 100, then 60; 95 is too late
    stop = np.array([math.nan, 50, 40, 70, math.nan])
    found = pruners.judged(generalized, np.full(5, 200), stop)
    assert (found["bests"], found["bests_stopped"]) == (2, 1)
    assert (found["good"], found["good_stopped"]) == (3, 1)  # 100, 60 and 90
    assert found["best_kept"] == 90 / 60
    assert found["saved"] / found["steps"] == (150 + 160 + 130) / 1000


def test_a_pruner_that_stops_all_keeps_no_best():
    found = pruners.judged(np.array([50.0]), np.array([200]), np.array([10.0]))
    assert found["best_kept"] == math.inf


def test_our_rules_stop_what_is_behind_and_not_what_comes_sooner():
    curves = [pruners.at_looks(curve(60)), pruners.at_looks(curve()), pruners.at_looks(curve(20))]
    first, flat, sooner = pruners.our_stops(curves, [100.0, math.nan, 60.0], 200)
    assert math.isnan(first)
    assert 100 < flat <= 200
    assert math.isnan(sooner)


@pytest.mark.parametrize("name", pruners.OPTUNAS)
def test_no_pruner_stops_a_trial_that_has_generalized(name):
    curves = [pruners.at_looks(curve(60)) for _ in range(12)]
    stopped = pruners.stops(pruners.OPTUNAS[name], curves, [10.0] * 12, 200)
    assert np.isnan(stopped).all()


def test_table_has_a_row_for_each_pruner_and_trials_come_from_curves():
    runs = [curve(10 * i) if i else curve() for i in range(8)]
    named = [
        run.assign(
            origin="submission",
            rule="a",
            workload="w",
            study=i % 2,
            trial=i,
            seed=i,
            budget=180,
            generalization_step=10.0 * i + 40 if i else math.nan,
        )
        for i, run in enumerate(runs)
    ]
    (trials,) = pruners.complete_trials(pd.concat(named))
    assert np.sort(trials.generalized)[:7].tolist() == [50, 60, 70, 80, 90, 100, 110]
    assert np.isnan(trials.generalized).sum() == 1
    assert set(trials.steps_run) == {180}
    table = pruners.pruner_table(pruners.judge(trials, orders=2))
    assert table["pruner"].tolist() == ["ours", *pruners.OPTUNAS]
    assert table["best kept"].str.match(r"[\d.inf]+ \([\d.inf]+–[\d.inf]+\)").all()


def test_counts_are_added_over_workloads_and_averaged_over_orders():
    fixed = {"pruner": "a", "best_kept": 1.0, "bests_stopped": 0, "good": 5, "good_stopped": 1, "steps": 100}
    rows = [
        fixed | {"order": order, "bests": bests, "saved": saved}
        for order, bests, saved in [(0, 2, 10), (0, 3, 30), (1, 2, 50), (1, 1, 70)]  # two workloads
    ]
    (row,) = pruners.pruner_table(pd.DataFrame(rows)).to_dict("records")
    assert row["new bests stopped"].startswith("0.0 of 4.0:")  # of 5 and 3
    assert row["stopped too soon"].startswith("2.0 of 10.0: 20%")
    assert row["steps saved"] == "40%"


def test_a_share_is_of_the_mean_counts_and_its_interval_of_whole_ones():
    low, high = (f"{end:.0%}" for end in pruners.pruner_audit.share(2, 2)[1:])
    assert pruners._share(1.6, 2.4) == f"1.6 of 2.4: 67% ({low}–{high})"
