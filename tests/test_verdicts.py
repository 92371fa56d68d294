"""Verdicts on published numbers: by the author's criterion, with replicas that were stopped before it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokking.analysis import verdicts
from grokking.analysis.crossings import Crossings, first_at, sustained, times_faster
from grokking.analysis.published import PUBLISHED, Published
from grokking.storage.runs import Run

PLAIN = Published(2, "a network, data", "preset", 1000, "", "https://example.org", None)


def crossings(*times, missing=()):
    return Crossings(
        np.array([*times, *missing], float), np.array([True] * len(times) + [False] * len(missing), bool)
    )


@pytest.mark.parametrize(
    ("found", "qualifier", "expected"),
    [
        (crossings(), "", "not run"),
        (crossings(900, 1100, 1150), "", "reproduced, at 1.10 times the step"),
        (crossings(400, 500, 600), "", "2.0 times earlier"),
        (crossings(2000, 3000, 3500), "", "3.0 times later"),
        (
            crossings(400, 500, 1000),
            "",
            "reproduced, at 0.50 times the step",
        ),  # the published step lies among ours
        (crossings(missing=[500, 600]), "", "not run to 1,000"),
        (crossings(missing=[5000, 5000]), "", "not reproduced"),
        (crossings(900, missing=[5000, 5000]), "", "not reproduced"),
        (crossings(missing=[1000, 1000]), ">", "reproduced"),
        (crossings(1500, missing=[2000]), ">", "reproduced"),
        (crossings(700, missing=[1000]), ">", "not reproduced: 1 of 2 by then"),
        (crossings(700, missing=[1000, 1000]), ">", "reproduced, 1 of 3 by then"),
        (crossings(missing=[900]), ">", "not run to 1,000"),
        (crossings(20_000, 30_000), "≥", "reproduced"),
        (crossings(missing=[20_000, 20_000]), "≥", "reproduced"),
        (crossings(missing=[900]), "≥", "not run to 1,000"),
        (crossings(200, 300, 400), "≥", "3.3 times earlier"),
    ],
)
def test_verdict(found, qualifier, expected):
    assert verdicts.verdict(replace(PLAIN, qualifier=qualifier), found) == expected


def run_of(accuracies, **columns):
    """Replicas evaluated at steps 0, 10, 20 ...; the row says what the definition of time-to-grok says."""
    history = [
        {"replica": i, "step": 10 * j, "validation_accuracy": accuracy, "train_accuracy": 1.0}
        for i, curve in enumerate(accuracies)
        for j, accuracy in enumerate(curve)
    ]
    replicas = pd.DataFrame(
        [
            {
                "replica": i,
                "observed": False,
                "generalization_step": None,
                "memorization_step": 1,
                "steps_run": 10 * len(curve) - 10,
                "budget": 10 * len(curve) - 10,
            }
            for i, curve in enumerate(accuracies)
        ]
    )
    return Run(replicas.assign(**columns), pd.DataFrame(history), {})


def test_authors_count_the_first_evaluation_whether_it_holds_or_not():
    run = run_of([[0, 0.5, 0.96, 0.5, 0.99], [0, 0.1, 0.2, 0.95, 0.97]])
    assert first_at(run, 0.95).times.tolist() == [20, 30]
    at_99 = first_at(run, 0.99)
    assert (at_99.times.tolist(), at_99.observed.tolist()) == ([40, 40], [True, False])
    assert at_99.numbers() == {"median": 40, "low": 40, "high": None, "crossed": 1, "n": 2, "longest": 40}
    assert Crossings.text_of(at_99.numbers()) == "40 (40–∞), 1 of 2"
    assert not sustained(run).observed.any()
    assert Crossings.text_of(sustained(run).numbers()) == "> 40, 0 of 2"
    assert Crossings.text_of(first_at(None, 0.99).numbers()) == "—"


def test_a_replica_that_diverged_counts_until_its_budget():
    """It ended at step 10, before the others crossed: as one that was stopped there, it would not count."""
    run = run_of([[0, 0, 0.99, 1.0], [0, 0.1], [0, 0, 0, 0.99]], budget=30)
    assert first_at(run, 0.99).times.tolist() == [20, 30, 30]
    assert first_at(run, 0.99).median == 30
    assert sustained(run).times.tolist() == [30, 30, 30]


def judged_of(number, preset, ours):
    rows = verdicts.judged({number.preset: preset}, {number.experiment: ours})
    return next(row for row in rows if row["preset"] == number.preset)


@pytest.mark.parametrize(
    ("qualifier", "published", "median", "text"),
    [
        (">", 40_000, 3_091.0, "> 12"),  # 12.94: more than 12 is proven, more than 13 is not
        ("≥", 10_000, 432.0, "≥ 23"),
        ("", 637_000, 511.0, "1,200"),
        ("", 3_600, 229.0, "16"),
        ("", 82, 100.0, "0.82"),
        ("", 82, None, "—"),
    ],
)
def test_a_bound_is_never_rounded_up(qualifier, published, median, text):
    assert times_faster(qualifier, published, median) == text


def test_of_a_grid_only_the_published_point_is_judged():
    run = run_of([[0, 0.97], [0, 0.2]], **{"model.alpha": [0.0, 0.5], "optimizer.weight_decay": [1.0, 1.0]})
    wide = next(p for p in PUBLISHED if p.preset == "wide_mlp_published")
    assert verdicts.repeated(wide, {wide.preset: run}).replicas["replica"].tolist() == [0]
    elsewhere = replace(wide, point={"model.alpha": 0.25})
    assert verdicts.repeated(elsewhere, {wide.preset: run}) is None
    ours = run_of([[0, 0.97], [0, 0.2]])
    row = judged_of(wide, run, ours)
    assert (row["verdict"], row["first_crossing"]["n"], row["ours"]["n"]) == ("1460.0 times earlier", 1, 2)
    of_grid = judged_of(wide, run, run)
    assert (of_grid["verdict"], of_grid["ours"]["n"]) == (row["verdict"], 0)  # a grid is no one recipe
    shown = verdicts.verdict_table([row]).iloc[0]
    assert (shown["published"], shown["times faster"]) == (f"[14,600 (95%)]({wide.source})", "1,500")
    assert verdicts.detail_table([row])["memorized, published"].tolist() == ["200"]
    assert verdicts.short_table([row], {"wide_mlp"})["our recipe"].tolist() == [shown["our recipe"]]
    assert verdicts.short_table([row], {"transformer"}).empty
    assert verdicts.without_number({wide.preset: run, "other": run})["entry"].tolist() == ["`other`"]


def test_a_known_power_law_is_found():
    presets = {}
    for published in (p for p in PUBLISHED if p.system == 4):
        step = round(100 * float(published.setting.rpartition("=")[2]) ** -2 / 10)
        presets[published.preset] = run_of([[0.0] * step + [1.0]])
    points = verdicts.over_train_fraction(presets, {})
    assert points.groupby("what")["crossed"].sum().to_dict() == {
        "published, a run each": 5, "the same recipe here": 6
    }  # fmt: skip
    law = verdicts.power_law(points)
    assert law["exponent"] == pytest.approx(2, abs=0.05)
    assert law["factor"] == pytest.approx(100, rel=0.05)
    assert law["published_exponent"] == pytest.approx(2.41, abs=0.1)  # of five runs and a censored one
    assert (law["replicas"], law["censored"]) == (len(presets), 0)
    low, high = law["interval"]
    assert low < 2 < high
    early = points.assign(crossed=points["crossed"] & (points["train_fraction"] < 0.5))
    assert verdicts.power_law(early)["censored"] == 1
    assert verdicts.power_law(points[points["train_fraction"] < 0.32]) is None
