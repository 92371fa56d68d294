"""Censored medians by hand, summaries, the comparison and the pages made of it."""

import itertools
import typing
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest

from grokking.analysis import comparison, pages, results, sentences, tuning
from grokking.analysis.circuits import circuits
from grokking.analysis.published import PUBLISHED
from grokking.analysis.survival import median
from grokking.experiment import ExperimentConfig
from grokking.figures import comparisons
from grokking.storage.runs import Run


@pytest.mark.parametrize(
    ("times", "observed", "expected"),
    [
        ([10, 20, 30], [1, 1, 1], 20),
        ([10, 20, 30, 40], [1, 1, 1, 1], 20),
        ([10, 20, 99, 99], [1, 1, 0, 0], 20),
        ([10, 99, 99], [1, 0, 0], None),
        ([99, 99], [0, 0], None),
        # censored at 15: survival 3/4 after 10, then 3/4 * 1/2 after 20
        ([10, 15, 20, 30], [1, 0, 1, 1], 20),
    ],
)
def test_kaplan_meier_median_by_hand(times, observed, expected):
    assert median(np.array(times, float), np.array(observed, bool)) == expected


def replica_rows(steps, budget=1000, experiment="wide_mlp", **columns):
    """A table as `train` writes it, for replicas that generalized at `steps` (None: censored)."""
    rows = [
        {
            "replica": i,
            "seed": i,
            "split_seed": i,
            "system": 2,
            "role": "reproduction",
            "task": "t",
            "budget": budget,
            "model.alpha": 0.0,
            "memorization_step": 20.0,
            "generalization_step": np.nan if step is None else float(step),
            "observed": step is not None,
            "diverged": False,
            "steps_run": budget if step is None else step + 500,
            "final_validation_accuracy": 0.5 if step is None else 1.0,
            "examples": 10,
            "flops": 10,
            "seconds": 1.0,
        }
        for i, step in enumerate(steps)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_summary_never_drops_or_averages_a_censored_replica():
    whole = results.summary(replica_rows([100, None, None]))
    assert (whole["n"], whole["generalized"], whole["median_step"]) == (3, 1, None)
    assert results.summary(replica_rows([100, 300, None]))["median_step"] == 300
    assert results.summary(replica_rows([100, 300, None]))["last_step"] == 300


def test_a_replica_that_diverged_early_is_one_that_never_generalized():
    """It stopped at step 50; taken for one that was not watched beyond, it would make the median 100."""
    lost = replica_rows([100, 300, None], steps_run=[600, 800, 50], diverged=[False, False, True])
    assert results.summary(lost)["median_step"] == 300


def test_grokking_is_claimed_from_three_times_memorization_on():
    assert results.summary(replica_rows([59, 60, None]))["grokked"] == 1


def test_results_are_the_same_but_for_timing():
    tables = {"wide_mlp": replica_rows([100, 200])}
    slower = {"wide_mlp": replica_rows([100, 200], seconds=9.0)}
    first, second = results.results(tables, {}), results.results(slower, {})
    assert first["experiments"] == second["experiments"]
    assert first["timing"] != second["timing"]


def test_grid_points_and_map():
    parts = [
        replica_rows([100 * (1 + i + j)], **{"model.alpha": alpha, "optimizer.weight_decay": decay})
        for i, alpha in enumerate((0.0, 0.5))
        for j, decay in enumerate((0.1, 1.0))
    ]
    table = pd.concat(parts, ignore_index=True)
    assert results.grid_map(replica_rows([1, 2]), "median_step") is None
    assert results.grid_map(table, "median_step").to_numpy().tolist() == [[100, 200], [200, 300]]
    points = results.results({"g": table}, {})["experiments"]["g"]["grid"]
    assert points["model.alpha=0.5, optimizer.weight_decay=0.1"]["median_step"] == 200


def test_plain_keys_are_those_of_an_experiment_that_hold_a_value():
    kinds = typing.get_type_hints(ExperimentConfig)
    members = {
        field.name: typing.get_args(kinds[field.name]) or (kinds[field.name],)
        for field in fields(ExperimentConfig)
    }
    plain = [name for name, kinds in members.items() if not any(map(is_dataclass, kinds))]
    assert list(results.PLAIN_KEYS) == plain


def points_of(*points):
    """A table of a replica for each point, which differ in these columns; one may lack a column."""
    tables = [replica_rows([100 * (1 + i)], **point) for i, point in enumerate(points)]
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    ("key", "values"), [("label_noise", (0.0, 0.3)), ("loss", ("a", "b")), ("budget", (500, 1000))]
)
def test_a_grid_of_a_key_without_a_section_has_its_points(key, values):
    table = points_of(*({key: value} for value in values))
    found = results.results({"g": table}, {})["experiments"]["g"]["grid"]
    assert {point: part["n"] for point, part in found.items()} == {f"{key}={value}": 1 for value in values}
    assert list(results.key_numbers_of_all({"g": table})) == [f"g, {key}={value}" for value in values]


FILTERS = {"gradient_filter.name": "none"}, {"gradient_filter.name": "ema", "gradient_filter.decay": 0.9}


def test_a_grid_of_whole_sections_has_all_points():
    table = points_of(*FILTERS)
    assert set(results.grid_points(table)) == {
        "gradient_filter.name=none", "gradient_filter.name=ema, gradient_filter.decay=0.9"
    }  # fmt: skip
    names = ["g, gradient_filter.name=ema, decay=0.9", "g, gradient_filter.name=none"]
    assert sorted(results.key_numbers_of_all({"g": table})) == names
    assert results.grid_map(table, "median_step") is None  # it has one axis, of two columns


def test_the_best_point_of_whole_sections_may_lack_a_key():
    table = points_of(*FILTERS)
    assert tuning.best_replicas(table, results.varying(table))["gradient_filter.name"].tolist() == ["none"]


def test_a_map_has_names_booleans_lists_and_budgets_on_its_axes(tmp_path):
    values = {"loss": ("a", "b"), "model.bias": (True, False), "model.hidden_widths": ("16", "16 16")}
    for one, other in itertools.combinations(values | {"budget": (500, 1000)}, 2):
        axes = {key: (values | {"budget": (500, 1000)})[key] for key in (one, other)}
        table = points_of(
            *(dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values()))
        )
        medians, budgets = (results.grid_map(table, number) for number in ("median_step", "budget"))
        comparisons.grid(medians, budgets, "g", tmp_path / "map.png")
        assert (tmp_path / "map.png").stat().st_size > 5000
    assert [results.value_text(value) for value in (0.1, True, "16 16", 500)] == [
        "0.1",
        "True",
        "16 16",
        "500",
    ]


def comparison_of(**tables):
    """As `report` makes it, from histories in which accuracy jumps at the step of the row."""
    found = {name: Run(table, history_of(table), {}) for name, table in tables.items()}
    answers = {"by_published_criterion": results.by_published_criterion(found)}
    return results.comparison(results.results(tables, {}) | answers)


def history_of(replicas):
    """Two evaluations of each replica: before its step, and at it or at its end."""
    last = replicas["generalization_step"].fillna(replicas["steps_run"])
    accuracy = replicas["observed"].astype(float)
    first = replicas[["replica"]].assign(step=0.0, validation_accuracy=0.0)
    return pd.concat([first, replicas[["replica"]].assign(step=last, validation_accuracy=accuracy)])


def test_comparison_and_its_markdown():
    comparison = comparison_of(wide_mlp=replica_rows([100, 200, 400]))
    (row,) = comparison.to_dict("records")
    assert row["published"] == "14,600 (95%)"
    assert row["ours at that accuracy"] == "200 (100–400), 3 of 3"
    assert (row["ours, sustained"], row["times faster"]) == ("200", "73")
    assert row["ratio"] == "10.0 (≥ 5.0)"
    assert "[14,600 (95%)](https://" in pages.markdown(comparison)


def test_comparison_of_a_system_that_did_not_generalize():
    (row,) = comparison_of(numpy_mlp_momentum=replica_rows([None, None])).to_dict("records")
    assert (row["published"], row["ours at that accuracy"]) == ("> 40,000 (99%)", "> 1,000, 0 of 2")
    assert (row["ours, sustained"], row["ratio"], row["times faster"]) == ("—", "—", "—")


def test_a_grid_is_compared_point_by_point():
    grid = pd.concat([replica_rows([100, 200]), replica_rows([300, None], label_noise=0.3)])
    grid = grid.assign(label_noise=grid["label_noise"].fillna(0.0), replica=range(4))
    one, other = comparison_of(wide_mlp=grid).to_dict("records")
    assert (one["system"][-17:], other["system"][-17:]) == ("; label_noise=0.0", "; label_noise=0.3")
    assert (one["ours at that accuracy"], one["ours, sustained"]) == ("100 (100–200), 2 of 2", "100")
    assert (other["ours at that accuracy"], other["ours, sustained"]) == ("300 (300–∞), 1 of 2", "300")


def test_a_replica_that_diverged_is_told():
    lost = replica_rows([100, None]).assign(diverged=[False, True])
    assert results.summary(lost)["diverged"] == 1
    (row,) = comparison_of(wide_mlp=lost).to_dict("records")
    assert row["ours, sustained"] == "100, 1 diverged"
    assert sentences.overall(lost).endswith("(medians), 1 diverged")
    assert results.diverged({"a": lost, "b": replica_rows([100])}) == {"a": "1 of 2"}


def test_a_comparison_without_published_numbers_says_so():
    comparison = comparison_of(mine=replica_rows([100]))
    assert comparison.empty
    assert pages.markdown(comparison) == "No experiment here answers a published number.\n"


def test_every_system_is_compared():
    assert {p.system for p in PUBLISHED} == {0, 1, 2, 3, 4}


def snapshots_of(restricted, validation, excluded):
    return pd.DataFrame(
        {
            "replica": 0,
            "step": [0, 10, 20, 40],
            "restricted_loss/validation": restricted,
            "loss/validation": validation,
            "excluded_loss/train": excluded,
            "loss/train": [4.0, 2.0, 0.5, 0.25],
        }
    )


def test_a_circuit_forms_where_losses_fall_for_good():
    replicas = pd.DataFrame(
        [{"replica": 0, "seed": 7, "memorization_step": 20, "generalization_step": None, "diverged": False}]
    ).assign(**{"model.family": "transformer"})
    found = snapshots_of([4.0, 1.0, 3.0, 1.0], [4.0, 5.0, 6.0, 2.0], [4.0, 1.0, 2.0, 3.0])
    (row,) = circuits({"e": found}, {"e": replicas}).to_dict("records")
    assert row["restricted_loss_falls"] == 30  # from 3 at step 20 to 1 at 40; the dip at 10 did not last
    assert np.isnan(row["validation_loss_falls"])  # half is not below half
    assert np.isnan(row["generalized"])
    assert "| —  " in pages.plain(pages._circuits(pd.DataFrame([row])))
    assert (row["excluded_loss_lowest"], row["excluded_loss_final"], row["train_loss_final"]) == (1, 3, 0.25)
    (lost,) = circuits({"e": found}, {"e": replicas.assign(diverged=True)}).to_dict("records")
    assert "| diverged " in pages.plain(pages._circuits(pd.DataFrame([lost])))
    assert len(circuits({"e": found}, {"e": replicas.assign(**{"model.family": "one_hot_mlp"})})) == 0
    without_order = found.assign(**{"restricted_loss/validation": np.nan})
    assert len(circuits({"e": without_order}, {"e": replicas})) == 0


def test_a_grid_is_a_row_per_point_or_a_column_per_value():
    """Of a group of long runs: two fractions, three decays."""
    decays = [0.0, 1e-5, 1e-3]
    table = pd.DataFrame({"optimizer.weight_decay": decays, "task": "t"})
    group = comparison.Group("", "", {"entry": comparison._name, "task": comparison._task})
    rows = comparison.comparison_table(group, {"one": table, "two": table[:1]})
    assert rows["entry"].to_dict()[0] == "`one: optimizer.weight_decay=0.0`"
    assert rows["entry"].to_dict()[3] == "`two`"
    side_by_side = replace(
        group,
        columns={"task": comparison._task, "decay": lambda name, part: name[:3]},
        across=comparison._decay,
    )
    wide = comparison.comparison_table(side_by_side, {"one": table, "two": table[:2].assign(task="u")})
    assert list(wide) == ["task", "decay 0", "decay 1e-05", "decay 0.001"]
    assert list(wide["decay 0.001"]) == ["one", "—"]


def test_a_median_ratio_counts_replicas_that_did_not_generalize():
    """Ratios 10, 40 and none: the middle one is 40. Ratio 10 and two of none: there is no middle one."""
    table = replica_rows([200, 800, None])
    assert results.summary(table)["median_ratio"] == 40
    assert results.summary(replica_rows([200, None, None]))["median_ratio"] is None
    assert results.summary(replica_rows([200, None, None]))["lowest_ratio"] == 10
    assert results.median_and_range(results.summary(table)) == "800 (200–∞)"
    never = table.assign(memorization_step=[None, 20.0, 20.0])  # generalized, and no ratio can be told
    assert results.ratios(never).tolist() == [40, float("inf")]


def test_the_best_point_of_a_grid_is_the_one_that_generalizes_first():
    points = {0.0: [90, 95], 0.5: [80, 85], 1.0: [None, None]}
    tables = [replica_rows(steps).assign(**{"model.alpha": alpha}) for alpha, steps in points.items()]
    point, best = results.best_of_grid(pd.concat(tables))
    assert results.without_sections(point) == "alpha=0.5"
    assert best["generalization_step"].tolist() == [80, 85]
    assert results.best_of_grid(tables[0])[0] == ""
