"""The page of advice: good trials of searches, good cells of sweeps, and what moves from one to another."""

import pandas as pd
import pytest

from grokking.analysis import advice
from grokking.analysis.good_cells import fraction_table, is_a_map, moved
from grokking.analysis.good_trials import good_trials, spread_table, study_table

EXPERIMENT = {
    "task": "addition", "loss": "cross_entropy", "model": {"family": "transformer"},
    "optimizer": {"name": "adamw", "beta1": 0.9, "weight_decay": 1.0},
}  # fmt: skip


def trials(*rows: dict) -> pd.DataFrame:
    """One with all its seeds for each row; keys are those of the space."""
    about = {"confirmable": True, "sustained": None}
    return pd.DataFrame(
        [about | {n if n == "cost" else f"params/{n}": v for n, v in r.items()} for r in rows]
    )


def three(rate: float, decay_rate: float) -> pd.DataFrame:
    """A good trial at these values, and two near it."""
    return trials(
        *(
            {
                "cost": 10 + n,
                "optimizer.learning_rate": rate * (1 + n),
                "optimizer.decay_rate": decay_rate * (1 + n / 10),
            }
            for n in range(3)
        )
    )


def test_only_trials_near_the_best_that_were_trained_whole_are_good():
    table = trials(*({"cost": cost, "optimizer.decay_rate": 0.1} for cost in (10, 15, 16, 5, 4)))
    table.loc[3, "confirmable"], table.loc[4, "sustained"] = False, False
    assert [*good_trials({"experiment": EXPERIMENT}, table)["cost"]] == [10, 15]


def test_a_weight_decay_follows_from_the_decay_rate_that_was_searched():
    found = good_trials({"experiment": EXPERIMENT}, three(0.01, 0.02)).iloc[0]
    assert (found["learning_rate"], found["decay_rate"]) == (0.01, 0.02)
    assert found["weight_decay"] == pytest.approx(2.0)  # not the experiment's, which it replaced


def test_a_decay_rate_follows_from_the_weight_decay_of_the_experiment():
    table = trials({"cost": 10, "optimizer.learning_rate": 0.01})
    found = good_trials({"experiment": EXPERIMENT}, table).iloc[0]
    assert (found["weight_decay"], found["beta1"]) == (1.0, 0.9)
    assert found["decay_rate"] == pytest.approx(0.01)


def test_hyperparameters_of_branches_are_those_of_the_branch_that_was_taken():
    table = trials(
        {"cost": 10, "optimizer": "muon", "optimizer.muon.learning_rate": 0.07},
        {"cost": 11, "optimizer": "adamw", "optimizer.adamw.learning_rate": 0.002},
    )
    table["params/optimizer.muon.adamw_learning_rate"] = 9.0  # of the other parameters, not the main rate
    found = good_trials({"experiment": EXPERIMENT}, table)
    assert [*zip(found["optimizer"], found["learning_rate"], strict=True)] == [
        ("muon", 0.07),
        ("adamw", 0.002),
    ]


def test_a_row_says_with_which_loss_its_values_go():
    table = pd.concat([three(0.01, 0.02), three(0.02, 0.02)], ignore_index=True)
    fixed = good_trials({"experiment": EXPERIMENT}, table).assign(study="s")
    assert study_table(fixed)["loss"].tolist() == ["cross_entropy"]
    table["params/loss"] = ["mean_squared_error"] * 4 + ["cross_entropy"] * 2
    searched = good_trials({"experiment": EXPERIMENT}, table).assign(study="s")
    assert study_table(searched)["loss"].tolist() == ["mean_squared_error (4 of 6)"]


def test_ranges_of_two_studies_that_do_not_meet_are_told_apart():
    studies = {"slow": three(0.001, 0.02), "fast": three(0.1, 0.02)}
    good = {name: good_trials({"experiment": EXPERIMENT}, table) for name, table in studies.items()}
    whole = pd.concat([table.assign(study=name) for name, table in good.items()])
    spread = spread_table(whole).set_index("hyperparameter")
    assert spread.loc["learning rate", "largest over smallest"] == "100"
    meet = spread["pairs of searches whose ranges meet"]
    assert (meet["learning rate"], meet["learning rate · weight decay"]) == ("0 of 1", "1 of 1")
    shown = study_table(whole).set_index("study")["learning rate"]
    assert shown["[slow](search/slow.md)"] == "0.002 (0.001–0.003)"
    fixed = whole["study"].eq("slow")
    whole.loc[fixed, "learning_rate"] = 0.001
    assert "learning rate" not in set(spread_table(whole)["hyperparameter"])  # one study is left to compare


def networks(steps: dict[tuple[float, float, float], float | None]) -> pd.DataFrame:
    """A sweep of one network a cell: steps by fraction, learning rate and weight decay."""
    return pd.DataFrame(
        [
            {
                "cell": number, "task.split.train_fraction": fraction, "optimizer.learning_rate": rate,
                "optimizer.weight_decay": decay, "observed": step is not None, "diverged": False,
                "generalization_step": step, "memorization_step": 5.0, "first_crossing_step": step,
                "budget": 1000, "steps_run": 1000, "final_train_accuracy": 1.0,
                "final_validation_accuracy": 0.5, "model.family": "transformer", "seed": 0,
                "task.operation.name": "add", "task.classes": 31, "best_train_accuracy": 1.0,
            }
            for number, ((fraction, rate, decay), step) in enumerate(steps.items())
        ]
    )  # fmt: skip


def test_the_best_cell_of_each_fraction_and_the_range_of_the_good_ones():
    table = networks(
        {(0.5, 0.01, 1.0): 140, (0.5, 0.1, 1.0): 100, (0.5, 0.1, 3.0): 151,
         (0.3, 0.01, 1.0): None, (0.3, 0.1, 1.0): None, (0.3, 0.1, 3.0): None}
    )  # fmt: skip
    assert is_a_map(table)
    none, half = fraction_table(table).to_dict("records")
    assert (none["cells that generalize"], none["learning rate"]) == ("0 of 3", "—")
    assert half["steps of the best"] == "100"
    assert (half["learning rate"], half["weight decay"]) == ("0.1 (0.01–0.1) *", "1 *")
    wide = networks(
        {(0.5, 0.01, 1.0): 120, (0.5, 0.1, 1.0): 100, (0.5, 1.0, 1.0): 300, (0.3, 0.1, 3.0): None}
    )
    assert fraction_table(wide)["learning rate"].tolist() == ["—", "0.1 (0.01–0.1)"]  # 1.0 was tried, too


def test_what_the_best_cell_of_a_fraction_is_worth_at_another():
    """At 0.4 the best of 0.5 takes twice the steps; at 0.5 the best of 0.4 does not generalize."""
    table = networks(
        {(0.5, 0.1, 1.0): 100, (0.5, 0.01, 3.0): None, (0.4, 0.1, 1.0): 400, (0.4, 0.01, 3.0): 200}
    )
    assert [*moved(table).values()] == ["2", "0", "1", "∞"]


def test_a_checkout_without_searches_and_sweeps_has_a_page():
    assert advice.page({}, {}).count("Too few were run here.") == 4


def test_a_sweep_that_is_no_map_is_left_out():
    table = networks({(0.5, 0.1, 1.0): 100, (0.5, 0.1, 3.0): 200})  # one fraction
    assert not is_a_map(table)
    assert "wide" not in advice.page({}, {"wide": table})
