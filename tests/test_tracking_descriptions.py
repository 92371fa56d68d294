"""Names and sentences of runs."""

import pandas as pd
import pytest

from grokking.tracking import descriptions, identity
from grokking.tracking.descriptions import About

NONE = float("nan")
ROW = {
    "memorization_step": 33.0,
    "generalization_step": 229.0,
    "diverged": False,
    "steps_run": 40_600,
    "budget": 40_000,
    "final_validation_accuracy": 0.5,
}


@pytest.mark.parametrize(
    ("change", "beginning", "word"),
    [
        ({}, "Memorized at 33, generalized at 229, ratio 6.9: this is grokking.", "grokked"),
        ({"memorization_step": 200.0}, "Memorized at 200, generalized at 229, ratio 1.1: ", "generalized"),
        ({"generalization_step": NONE}, "Memorized at 33, did not generalize within 40,000 ", "censored"),
        ({"memorization_step": NONE}, "Never memorized, generalized at 229", "generalized"),
        ({"generalization_step": NONE, "diverged": True}, "Memorized at 33, diverged at 40,600", "diverged"),
    ],
)
def test_a_network_says_what_became_of_it(change, beginning, word):
    """In the words of analysis.sentences, which has its own tests."""
    assert descriptions.outcome(ROW | change).startswith(beginning)
    assert descriptions.outcome_tag(ROW | change) == word


def table(steps: list[float], decays: list[float]) -> pd.DataFrame:
    """A row per step of generalization; all memorized at 10."""
    frame = pd.DataFrame({"generalization_step": steps, "optimizer.weight_decay": decays})
    return frame.assign(
        observed=frame["generalization_step"].notna(), memorization_step=10, budget=1000, examples=1, flops=1,
        final_validation_accuracy=1.0, diverged=False,
    )  # fmt: skip


def test_an_experiment_says_the_median_and_how_many():
    assert descriptions.parent_outcome(table([100.0, 200.0, 300.0], [1.0] * 3)) == (
        "3 of 3 grokked: memorized at 10, generalized at 200 (100–300), ratio 20.0 (medians)."
    )
    assert descriptions.parent_outcome(table([NONE, NONE], [1.0] * 2)) == (
        "0 of 2 grokked: memorized at 10, none generalized within 1,000 steps (medians)."
    )
    found = table([100.0, NONE], [1.0] * 2)
    assert descriptions.parent_outcome_tag(found) == "1 of 2 grokked"
    lost = found.assign(diverged=[False, True])
    assert descriptions.parent_outcome_tag(lost) == "1 of 2 grokked, 1 diverged"
    assert descriptions.parent_outcome(lost).endswith("(medians), 1 diverged.")


def test_a_grid_says_its_best_point():
    found = descriptions.parent_outcome(table([100.0, 110.0, 50.0, NONE], [1.0, 1.0, 0.25, 0.25]))
    assert found.startswith("A grid of 2 points, the best of them wd=1.0. There: 2 of 2 grokked")


def test_a_grid_of_whole_sections_says_its_best_point():
    grid = table([50.0, NONE], [1.0, 1.0]).assign(
        **{"gradient_filter.name": ["none", "ema"], "gradient_filter.decay": [NONE, 0.9]}
    )
    found = descriptions.parent_outcome(grid)
    assert found.startswith(
        "A grid of 2 points, the best of them gradient_filter=none. There: 1 of 1 grokked"
    )


def test_a_summary_says_nothing_where_there_is_no_value():
    grid = table([50.0, NONE], [1.0, 1.0]).assign(
        replica=[0, 1], seed=[0, 1], split_seed=[0, 1], steps_run=100, seconds=1.0,
        **{"gradient_filter.name": ["none", "ema"], "gradient_filter.decay": [NONE, 0.9]},
    )  # fmt: skip
    page = descriptions.summary_page("grid", About("A network.", "", ""), grid)
    assert "nan" not in page
    assert page.count("—") == 2


def test_a_run_says_what_sets_it_apart_and_where_it_is_compared():
    about = About("A network.", "Like `b`, but loss x (there y).", "reports/table.md", "reproduced")
    text = descriptions.of_parent(about, table([100.0], [1.0]))
    for part in (about.what, about.apart, about.page, "The published number: reproduced."):
        assert part in text
    assert about.apart in descriptions.of_replica(about, ROW | {"seed": 3, "split_seed": 4})


def test_names_say_what_differs():
    row = {"system": 2, "seed": 0, "model.alpha": 0.25, "optimizer.weight_decay": 1.0, "frozen": "nothing"}
    assert identity.parent_name("wide_mlp", "systems", row) == "system 2 · wide_mlp · our recipe"
    assert identity.parent_name("muon", "tuning", row | {"system": "none"}) == "muon · tuned optimizer"
    axes = ["model.alpha", "optimizer.weight_decay"]
    assert identity.child_name(row, axes) == "α=0.25 wd=1.0 · seed 0"
    assert identity.child_name(row, []) == "seed 0"
    point = {"gradient_filter.name": "none", "gradient_filter.decay": NONE, "label_noise": 0.3}
    assert identity.child_name(row | point, list(point)) == "gradient_filter=none noise=0.3 · seed 0"
    assert identity.number(0.0943123) == "0.09431"
