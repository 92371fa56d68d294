"""The long studies: choosing a point of a grid, comparing tuned methods, their tables and pages."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2
from test_analysis import replica_rows

from grokking.analysis import pages
from grokking.analysis.comparison import GROUPS, comparison_table
from grokking.analysis.methods import Method, by_speed, method_table
from grokking.analysis.published import PUBLISHED, RECORDS, main_experiments
from grokking.analysis.survival import logrank_p, median_interval
from grokking.analysis.tuning import best_point
from grokking.catalogue import FILES, read_catalogue

ROOT = Path(__file__).parents[1]
RATE = "optimizer.learning_rate"


def grid_rows(steps_of, budget=1000):
    """Two replicas at each rate, which generalized at the given steps."""
    tables = [replica_rows(steps, budget).assign(**{RATE: rate}) for rate, steps in steps_of.items()]
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    ("steps_of", "best"),
    [
        ({0.1: [400, 500], 0.2: [300, 310]}, 0.2),
        ({0.1: [400, 500], 0.2: [100, None]}, 0.1),  # all that generalize come before the fastest of some
        ({0.1: [None, None], 0.2: [None, 900], 0.4: [None, None]}, 0.2),
    ],
)
def test_best_point_counts_who_generalized_then_how_soon(steps_of, best):
    assert best_point(grid_rows(steps_of), {RATE: list(steps_of)}) == {RATE: best}


def test_best_point_of_a_grid_without_success_came_nearest():
    table = grid_rows({0.1: [None, None], 0.2: [None, None], 0.4: [None, None]})
    table["final_validation_accuracy"] = [0.1, 0.2, 0.1, 0.9, 0.3, 0.4]
    assert best_point(table, {RATE: [0.1, 0.2, 0.4]}) == {RATE: 0.2}


def test_best_point_names_every_axis():
    table = grid_rows({0.1: [400, 500], 0.2: [300, 310], 0.3: [600, 700]})
    point = best_point(table, {RATE: [0.1, 0.2, 0.3], "optimizer.weight_decay": [1.0]})
    assert point == {RATE: 0.2, "optimizer.weight_decay": 1.0}


@pytest.mark.parametrize(("rates", "edge"), [([0.1, 0.2, 0.3], "—"), ([0.1, 0.2], "learning_rate")])
def test_numbers_at_the_edge_of_a_grid_are_told(rates, edge):
    table = grid_rows({rate: [400, 500] for rate in rates}).assign(**{"model.bias": True})
    table.loc[0, "model.bias"] = False  # no number, and without an edge
    best = grid_rows({0.2: [300, 310]}).assign(**{"model.bias": True})
    row = method_table([Method("adamw", {RATE: rates, "model.bias": [True, False]}, table, best)]).iloc[0]
    assert row["at the grid's edge"] == edge


FILTER = "gradient_filter"
SECTIONS = [{"name": "none"}, {"name": "grokfast_ema", "decay": 0.9, "amplitude": 2.0}]


def section_rows(section, steps):
    """Replicas with this filter, as the stage writes them: a key that a filter has not is missing."""
    return replica_rows(steps).assign(**{f"{FILTER}.{key}": value for key, value in section.items()})


@pytest.mark.parametrize(("steps_of", "best"), [(([100, 110], [200, 210]), 0), (([300, 310], [200, None]), 0),
                                                (([300, 310], [200, 210]), 1)])  # fmt: skip
def test_the_best_point_may_be_a_section_a_list_or_a_word(steps_of, best):
    table = pd.concat([section_rows(*each) for each in zip(SECTIONS, steps_of, strict=True)])
    assert best_point(table, {FILTER: SECTIONS, "loss": ["cross_entropy"]}) == {
        FILTER: SECTIONS[best], "loss": "cross_entropy"
    }  # fmt: skip
    confirmed = section_rows(SECTIONS[best], [100, 110])
    row = method_table([Method("adamw", {FILTER: SECTIONS}, table, confirmed)]).iloc[0]
    told = ["name none", "name grokfast_ema, decay 0.9, amplitude 2"]
    assert row["tuned"] == told[best]
    assert row["points × seeds"] == "2 × 2"


def test_median_interval_by_hand():
    """With n distinct events, the log-log band at S = k/n has the ends S^exp(±1.96 se / ln S)."""
    times = np.arange(1, 21, dtype=float)
    survival = 1 - times[:-1] / 20
    se = np.sqrt(np.cumsum(1 / ((20 - np.arange(19)) * (19 - np.arange(19)))))
    half_width = 1.959964 * se / np.log(survival)
    low, high = survival ** np.exp(-half_width), survival ** np.exp(half_width)
    first_low, first_high = (
        times[:-1][edge <= 0.5][0] for edge in (np.minimum(low, high), np.maximum(low, high))
    )
    assert median_interval(times, np.ones(20, bool)) == (first_low, first_high)


def test_median_interval_at_its_ends():
    everybody = np.ones(5, bool)
    assert median_interval(np.full(5, 100.0), everybody) == (100, 100)
    assert median_interval(np.arange(5.0), ~everybody) == (None, None)
    low, high = median_interval(np.array([1.0, 2, 9, 9, 9]), np.array([1, 1, 0, 0, 0], bool))
    assert (low, high) == (1, None)


def test_logrank_by_hand():
    """Observed minus expected events of the first group over the hypergeometric variance, squared."""
    first, second = np.array([1.0, 2, 4]), np.array([3.0, 5, 6])
    difference, variance = 0.0, 0.0
    for time in (1, 2, 3, 4, 5, 6):
        at_risk, ours = (first >= time).sum() + (second >= time).sum(), (first >= time).sum()
        difference += (time in first) - ours / at_risk
        if at_risk > 1:
            variance += ours * (at_risk - ours) / at_risk**2
    expected = chi2.sf(difference**2 / variance, 1)
    assert logrank_p(first, np.ones(3, bool), second, np.ones(3, bool)) == pytest.approx(expected)


def methods():
    """A baseline and a faster method, one replica of which missed."""
    grid = {RATE: [0.1, 0.2]}
    slow = grid_rows({0.1: [400, 500], 0.2: [300, 310]})
    fast = grid_rows({0.1: [100, 110], 0.2: [None, None]})
    return [
        Method("adamw", grid, slow, grid_rows({0.2: [300, 310, 330]})),
        Method("muon", grid, fast, grid_rows({0.1: [100, 110, 120]})),
        Method("sgd", grid, fast, grid_rows({0.1: [90, 95, None]})),
    ]


def test_methods_are_ranked_and_compared_with_the_baseline():
    assert [method.name for method in by_speed(methods())] == ["muon", "adamw", "sgd"]
    table = method_table(methods()).set_index("method")
    assert table.loc["`muon`", "median (range)"] == "110 (100–120)"
    assert table.loc["`muon`", "tuned"] == "learning_rate 0.1"
    assert table.loc["`muon`", "points × seeds"] == "2 × 2"
    assert table.loc["`sgd`", "generalized"] == "2 of 3"
    assert table.loc["`adamw`", "log-rank p"] == "—"
    assert float(table.loc["`muon`", "log-rank p"]) < 0.05


def test_records_are_listed_with_what_was_published():
    tables = {RECORDS[0].experiment: replica_rows([41, 43, 42]), "new": replica_rows([9, None])}
    table = comparison_table(GROUPS["records"], tables)
    assert len(table) == 2
    assert RECORDS[0].steps in table["published steps"][0]
    assert RECORDS[0].setting == table["recipe"][0]
    assert table["our median (range)"][0] == "42 (41–43)"
    assert table.iloc[1][["recipe", "published steps", "generalized"]].tolist() == ["—", "—", "1 of 2"]


def test_operations_have_a_row_each_and_a_column_per_optimizer():
    def run(task, optimizer, steps):
        return replica_rows(steps).assign(
            **{"task": task, "formula": f"f({task})", "optimizer.name": optimizer}
        )

    tables = {
        "z_adamw": run("z", "adamw", [300, 310]),
        "z_muon": run("z", "muon", [100, 110]),
        "a_muon": run("a", "muon", [None, None]),
    }
    table = comparison_table(GROUPS["operations"], tables)
    assert list(table.columns) == ["operation", "task", "adamw", "muon"]
    assert table["operation"].tolist() == ["f(z)", "f(a)"]  # in the order of the experiments
    assert table["adamw"].tolist() == ["300 (300–310), 2 of 2, ratio 15.2", "—"]
    assert table["muon"][0].startswith("100 (100–110), 2 of 2, ratio ")
    assert table["muon"][1].startswith("> 1,000, 0 of 2, best accuracy ")


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_which_nothing_was_run_has_an_empty_table(name):
    assert len(comparison_table(GROUPS[name], {})) == 0


def test_every_group_of_long_runs_has_its_columns_and_every_record_its_run():
    catalogue = read_catalogue(ROOT)
    assert set(catalogue.files[FILES[1]]["reports"]["groups"]) == set(GROUPS)
    assert {record.experiment for record in RECORDS} == set(catalogue.names("experiments", "records"))


def test_the_main_experiment_of_a_system_has_most_replicas():
    answered = {
        "shared_mlp_f25": range(2),
        "shared_mlp_f30": range(3),
        "shared_mlp_f45": range(2),
        "wide_mlp": [0],
    }
    assert [p.experiment for p in main_experiments(answered)] == ["wide_mlp", "shared_mlp_f30"]
    assert set(answered) < {p.experiment for p in PUBLISHED}


def test_controls_tell_clean_and_corrupted_training_accuracy():
    noisy = replica_rows([None, None]).assign(**{"final_train_accuracy/corrupted": [0.1, 0.3]})
    noisy["final_train_accuracy"] = 0.7
    table = comparison_table(GROUPS["controls"], {"noisy": noisy}).iloc[0]
    assert (table["of it corrupted"], table["of it clean"]) == ("0.200", "—")


def test_a_groups_page_holds_its_table_and_all_parameters():
    entries = {
        "one": {"budget": 10, "optimizer": {"name": "adamw", "learning_rate": 0.1}},
        "two": {"budget": 10, "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}},
    }
    page = pages.comparison("Title", "Text.", pd.DataFrame([{"a": "cell"}]), entries, "picture.png")
    assert "| cell" in page
    assert "| `budget` | 10 |" in page
    assert "| `optimizer.learning_rate` | 0.1 |" in page
    assert "| entry | optimizer.name | optimizer.momentum |" in page
    assert "| `one` | adamw |  |" in page
    assert "| `two` | sgd | 0.9 |" in page
    assert "(picture.png)" in page
