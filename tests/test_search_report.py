"""What is made of a study: tables with known answers, importances, figures, pages, runs in MLflow."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from test_analysis import replica_rows
from test_tracking import rows

from grokking import figures
from grokking.analysis import pareto, studies, study_pages
from grokking.analysis.search_axes import axes, shown, space_table
from grokking.analysis.studies import Study
from grokking.analysis.survival import logrank_p, reached
from grokking.config import load
from grokking.search.importance import importances
from grokking.search.space import Space
from grokking.search.study_key import NOT_IN_KEY
from grokking.storage import runs
from grokking.tracking import identity, store
from grokking.tracking import studies as study_runs
from grokking.tracking.studies import Searched

SPACE = {
    "optimizer.learning_rate": {"kind": "log", "low": 0.001, "high": 0.1},
    "optimizer.beta1": {"kind": "linear", "low": 0.5, "high": 0.9},
    "batch": {
        "kind": "choice",
        "values": [{"sampling": "full"}, {"sampling": "with_replacement", "size": 8}],
    },
    "weight_clamp": {
        "kind": "branch",
        "branches": {
            "none": {"fixed": {"name": "none"}, "space": {}},
            "row_norm": {
                "fixed": {"name": "row_norm"},
                "space": {"max_norm": {"kind": "log", "low": 1.0, "high": 9.0}},
            },
        },
    },
}
CONFIG = {
    "experiment": {
        "system": 4,
        "task": "t",
        "model": {"family": "table_mlp"},
        "budget": 1000,
        "schedule": {"name": "constant"},
    },
    "space": SPACE,
    "initial_points": [],
    "published": {},
    "objective": "steps",
    "trials": 4,
    "search": {"seeds": [0, 1, 2], "split_seeds": [0, 1, 2]},
    "sustain_seeds": {"seeds": [3], "split_seeds": [0]},
    "confirm": {"seeds": [10, 11, 12], "split_seeds": [10, 11, 12]},
    "sampler": {"name": "tpe", "seed": 0, "startup_trials": 2},
    "pruner": {"name": "progress", "racing_factor": 1.5},
}
TASK = {"split": {"name": "random", "train_fraction": 0.3}}
RULES = pd.DataFrame(
    {
        "pruner": ["rules", "median/accuracy"],
        "replicas": [20, 20],
        "stopped": [14, 0],
        "doubtful": [10, 0],
        "wrong": [1, 0],
        "rate": [0.1, np.nan],
        "low": [0.02, np.nan],
        "high": [0.4, np.nan],
        "good": [5, 5],
        "saved": [0.5, 0.0],
    }
)
MACHINE = {"processor": "a processor", "torch": "1", "gpu": None}


def trial(number, cost, arm="search", state="COMPLETE", reason="generalized", rate=0.01, clamp="none"):
    done = reason == "generalized"
    return {
        "trial": number, "arm": arm, "state": state, "reason": reason, "value": float(np.log10(cost)),
        "cost": float(cost) if done else None, "seeds": 3 if done else 1, "generalized": 3 if done else 0,
        "confirmable": done, "sustained": number != 2 if done else None, "exempt": False,
        "flops": 1e12, "seconds": 2.0,
        "params/optimizer.learning_rate": rate, "params/optimizer.beta1": 0.9,
        "params/batch": '{"sampling": "full"}', "params/weight_clamp": clamp,
        "params/weight_clamp.row_norm.max_norm": 3.0 if clamp == "row_norm" else None,
    }  # fmt: skip


def trial_rows(*more) -> pd.DataFrame:
    return pd.DataFrame([
        trial(0, 200),
        trial(1, 1300, reason="budget"),
        trial(2, 100, clamp="row_norm", rate=0.02),
        trial(3, 1500, state="PRUNED", reason="raced"),
        *more,
        trial(0, 150, arm="random"),
    ])  # fmt: skip


def seed_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """A row per trial and seed: trained twice as long as it took to generalize, a step in a hundredth."""
    seeds = trials.loc[trials.index.repeat(trials["seeds"]), ["trial", "arm", "cost"]].reset_index(drop=True)
    return seeds.assign(step=seeds["cost"], steps_run=2 * seeds["cost"], seconds=0.02 * seeds["cost"])


def study(objective="steps", **confirmed) -> Study:
    trials = trial_rows()
    arms = {"winner": [110, 120, 130], "runner_up": [210, 220, None], "random_best": [150, 160, 170]}
    arms |= {"published": [400, None, None]}
    best = {
        "winner": {"trial": 2, "searched_cost": 100.0},
        "runner_up": {"trial": 0, "searched_cost": 200.0},
        "random_best": {"trial": 0, "searched_cost": 150.0},
    }
    return Study(
        "small",
        CONFIG | {"objective": objective},
        TASK,
        trials,
        replicas=seed_rows(trials),
        best=best,
        confirmed={arm: replica_rows(steps) for arm, steps in (arms | confirmed).items()},
    )


def test_confirmed_arms_with_medians_intervals_and_p_by_hand():
    table = studies.arm_table(study()).set_index("arm")
    assert list(table.index) == ["winner", "runner up", "random best", "published"]
    assert table.loc["winner", "median steps (95 %)"].startswith("120 (")
    assert table.loc["runner up", "generalized"] == "2 of 3"
    assert table.loc["published", "median steps (95 %)"] == "1 of 3 by 1,000"
    assert table.loc["winner", "log-rank p"] == "—"
    everybody = np.ones(3, bool)
    p = logrank_p(np.array([150.0, 160, 170]), everybody, np.array([110.0, 120, 130]), everybody)
    assert table.loc["random best", "log-rank p"] == f"{p:.3f}"
    assert table.loc["winner", "memorized at step"] == "20"
    assert table.loc["winner", "ratio"] == "6.00"
    assert "number 2" in table.loc["winner", "description"]
    assert "best of 1 random trials" in table.loc["random best", "description"]


def test_a_point_that_the_study_was_given_is_called_so():
    """The first trials are those of `initial_points`; random search begins from nothing."""
    drawn = study()
    given = replace(drawn, config=drawn.config | {"initial_points": [{}, {}]})
    assert [arm for arm in given.confirmed if given.was_given(arm)] == ["runner_up"]
    assert not any(drawn.was_given(arm) for arm in drawn.confirmed)
    texts = studies.arm_table(given).set_index("arm")["description"]
    assert texts["runner up"].endswith("number 0, a point that the study was given")
    assert texts["winner"].endswith("number 2")
    assert studies.results(given)["arms"]["runner_up"]["given"] is True
    all_given = replace(drawn, config=drawn.config | {"initial_points": [{}] * 3})  # trial 2, the winner, too
    assert study_pages.headline(all_given).startswith(
        "The search's winner, a point that the study was given, takes 120 (110–130) steps on 3 fresh seeds, "
    )
    assert study_pages.headline(given).startswith("The search's winner takes 120 (110–130) steps on ")


def test_a_trial_that_was_drawn_before_the_sampler_knew_anything_is_called_so():
    """Numbers 0 and 1 are random with two trials to start from; random search and others learn nothing."""
    assert studies.overview(study())["winner"] == "120 (110–130)"
    early = replace(study(), config=CONFIG | {"sampler": CONFIG["sampler"] | {"startup_trials": 3}})
    assert studies.overview(early)["winner"] == "120 (110–130), drawn at random"
    arms = studies.results(early)["arms"]
    assert [arm for arm, found in arms.items() if found["drawn_at_random"]] == ["winner", "runner_up"]
    texts = studies.arm_table(study()).set_index("arm")["description"]
    assert texts["runner up"].endswith("number 0, drawn at random before TPE began")
    assert texts["winner"].endswith("number 2")
    assert texts["random best"].endswith("number 0")
    blind = replace(study(), config=CONFIG | {"objective": "steps", "sampler": {"name": "random"}})
    assert studies.arm_table(blind).set_index("arm").loc["runner up", "description"].endswith("number 0")


def test_the_overview_says_how_many_seeds_of_a_winner_generalize_and_whether_it_was_given():
    assert studies.overview(study())["winner"].startswith("120 (")
    assert studies.overview(study())["winner"].endswith(")")
    lost = study(winner=[110, 120, None])
    assert studies.overview(lost)["winner"].endswith("), 2 of 3")
    given = replace(lost, config=lost.config | {"initial_points": [{}] * 3})
    assert studies.overview(given)["winner"].endswith("), 2 of 3, given")


def test_the_overview_tells_a_configuration_that_was_published_for_another_setting():
    assert "other setting" not in studies.overview(study())["published, our run"]
    of_none = CONFIG["experiment"] | {"system": "none"}
    other = replace(study(), config=CONFIG | {"objective": "steps", "experiment": of_none})
    assert studies.overview(other)["published, our run"].endswith(", other setting")


def test_costs_of_a_replica_that_stopped_early_are_those_of_its_whole_budget():
    replicas = replica_rows([100, None]).assign(flops=[500.0, 80.0], steps_run=[600, 200])
    for objective, expected in (("steps", [100, 1000]), ("flops", [500, 400])):
        cost, observed = studies.times(replicas, objective)
        assert (list(cost), list(observed)) == (expected, [True, False])


@pytest.mark.parametrize(
    ("objective", "value", "text"),
    [
        ("steps", 12345, "12,345"),
        ("flops", 2.2e11, "220G"),
        ("seconds", 0.1234, "0.123"),
        ("steps", None, "—"),
    ],
)
def test_costs_as_text(objective, value, text):
    assert studies.number(value, objective) == text


def test_regression_is_confirmed_over_searched():
    table = studies.regression_table(study()).set_index("arm")
    assert table.loc["winner", "ratio"] == "1.20"
    assert table.loc["runner up", "ratio"] == "1.10"
    assert "published" not in table.index


def test_trials_are_counted_and_their_compute_summed():
    counts = studies.count_table(study()).set_index(["state", "reason"])
    assert counts.loc[("COMPLETE", "generalized")].to_dict() == {"search": "2", "random": "1"}
    assert counts.loc[("PRUNED", "raced"), "search"] == "1"
    compute = studies.compute_table(study()).set_index("part")
    assert compute.loc["search"].to_dict() == {
        "trials": "4", "replicas": "8", "FLOP": "4T", "seconds of training": "8"
    }  # fmt: skip
    assert compute.loc["confirmation", "replicas"] == "12"


def test_overview_has_the_published_number_of_the_systems_fraction():
    row = studies.overview(study())
    assert "637,000" in row["published steps"]
    # the published configuration did not generalize in the 1000 steps of the budget, which says nothing
    assert (row["published, our run"], row["times faster"]) == ("1 of 3 by 1,000", "—")
    lacking = study()
    lacking = replace(lacking, confirmed={"winner": lacking.confirmed["winner"]})
    row = studies.overview(lacking)
    assert (row["times faster"], row["random best"]) == ("—", "—")


def test_results_are_numbers_for_every_arm():
    found = studies.results(study())
    assert found["trials"] == {"search": 4, "random": 1}
    assert found["arms"]["winner"]["median"] == 120
    assert found["arms"]["published"]["median"] is None
    assert found["arms"]["winner"]["p_against_winner"] is None


def test_share_reached_is_a_step_function_from_zero():
    x, y = reached(np.array([10.0, 20, 99]), np.array([True, True, False]))
    assert (x[0], y[0], x[-1]) == (0, 0, 99)
    assert y[-1] == pytest.approx(2 / 3)
    assert list(reached(np.array([5.0, 5]), np.zeros(2, bool))[1]) == [0, 0]


def test_arms_that_all_generalize_at_one_time_do_not_differ():
    same = studies.results(study(winner=[50, 50, 50], runner_up=[50, 50, 50]))
    assert same["arms"]["runner_up"]["p_against_winner"] == 1
    none = studies.results(study(winner=[None, None], runner_up=[None, None]))
    assert none["arms"]["runner_up"]["p_against_winner"] == 1


def test_axes_place_values_between_the_ends_of_their_range():
    found = {axis.name: axis for axis in axes(SPACE)}
    assert found["optimizer.learning_rate"].place(0.01) == pytest.approx(0.5)
    assert found["optimizer.beta1"].place(0.6) == pytest.approx(0.25)
    assert found["weight_clamp"].place("row_norm") == 1
    assert found["batch"].place('{"sampling": "full"}') == 0
    assert found["optimizer.learning_rate"].at_edge(0.0011)
    assert not found["weight_clamp"].at_edge("row_norm")
    assert "weight_clamp.row_norm.max_norm" in found
    assert shown('{"sampling": "with_replacement", "size": 8}') == "with_replacement, size: 8"


def test_space_table_marks_values_at_the_edge():
    table = space_table(study().axes, study().chosen).set_index("parameter")
    assert table.loc["`optimizer.beta1`", "winner"] == "0.9 *"
    assert table.loc["`optimizer.learning_rate`", "winner"] == "0.02"
    assert table.loc["`weight_clamp.row_norm.max_norm`", "winner"] == "3"
    assert table.loc["`weight_clamp.row_norm.max_norm`", "random best"] == "—"


def planted(number=60) -> pd.DataFrame:
    """Trials whose value only the learning rate decides; a third of them were stopped."""
    random = np.random.default_rng(0)
    table = []
    for index in range(number):
        rate = 10 ** random.uniform(-3, -1)
        cost = 100 * 10 ** abs(np.log10(rate / 0.03))
        clamp = str(random.choice(["none", "row_norm"]))
        row = trial(index, cost, rate=rate, clamp=clamp, state="PRUNED" if cost > 300 else "COMPLETE")
        row["params/batch"] = str(random.choice(axes(SPACE)[2].choices))
        table.append(row | {"params/optimizer.beta1": random.uniform(0.5, 0.9)})
    return pd.DataFrame(table)


def test_importances_find_what_was_planted_also_among_stopped_trials(tmp_path):
    trials = planted()
    trials.to_parquet(tmp_path / "trials.parquet")  # as they are read
    shares = importances(pd.read_parquet(tmp_path / "trials.parquet"), load_space())
    assert shares.index[0] == "optimizer.learning_rate"
    assert shares["fanova"].idxmax() == "optimizer.learning_rate"
    assert shares["fanova"].max() > 0.8
    assert shares["ped_anova"].sum() == pytest.approx(1)
    assert np.isnan(shares.loc["weight_clamp.row_norm.max_norm", "fanova"])
    pd.testing.assert_frame_equal(shares, importances(trials, load_space()))


def test_a_logarithmic_range_counts_by_its_logarithm():
    """On a linear scale, the lower half of a range of two decades would be a tenth of it."""
    trials = planted()
    low = trials["params/optimizer.learning_rate"] < 0.01
    trials["value"] = np.where(low, 2.0, 2.3) + 0.7 * trials["params/optimizer.beta1"]
    share = importances(trials, load_space()).loc["optimizer.learning_rate", "fanova"]
    assert share == pytest.approx(0.78, abs=0.1)  # 0.3²/4 of variance, beside 0.28²/12; else 0.53


def overviews(*found: Study) -> pd.DataFrame:
    return pd.DataFrame([studies.overview(one) for one in found])


def load_space() -> Space:
    return load(Space, SPACE, "space")


def page_of(of_study):
    return study_pages.page(of_study, MACHINE, RULES, 0.1, {"seeds": [7], "split_seeds": [8]})


def test_page_holds_result_conditions_tables_figures_and_parameters(tmp_path):
    page = page_of(study())
    assert "no search has used; earlier searches of this study were confirmed on the same |" in page
    anew = replace(study(), config=CONFIG | {"round": 2})
    of_round_2 = page_of(anew)
    assert "confirmation of an earlier round has used; this is round 2 |" in of_round_2
    assert "searches) of this study and [what was not kept](" in of_round_2
    assert (
        "on four fifths of 1 more, on splits of the search; rejected because a crossing did not hold: 1 |"
        in page
    )
    assert "The search's winner takes 120 (110–130) steps on 3 fresh seeds, of the published" in page
    assert "of the published configuration 1 of 3 by 1,000 steps, where its budget ends" in page
    assert "| `confirm.seeds` | [7] |" in page  # of the round, not what is written for the first one
    assert "[637,000](" in page
    assert "| budget | 1,000 steps a replica |" in page
    assert "99% accuracy" in page
    assert "a processor" in page
    assert "| `sampler.startup_trials` | 2 |" in page
    assert re.search(r"\| 14 +\| 10 +\| 1 +\| 10.0% \(2.0%–40.0%\)", page)  # stopped, doubtful, wrong
    assert "1 of 5" in page
    for name in ("survival", "parallel", "slices", "importances", "history", "pareto"):
        assert f"(small/{name}.png)" in page
    assert "Not counted: the check of the best trials on their own and on further seeds, and [earlier" in page
    cosine = CONFIG["experiment"] | {"schedule": {"name": "cosine"}}
    assert "did not hold: 1. From step 1,000 on the learning rate is 0" in page_of(
        replace(study(), config=CONFIG | {"experiment": cosine})
    )
    lost = replace(study(), confirmed=study().confirmed | {"winner": study().confirmed["runner_up"]})
    assert "steps on 3 fresh seeds, of which 2 generalize, of the published" in page_of(lost)
    given = replace(study(), config=CONFIG | {"objective": "steps", "initial_points": [{}, {}]})
    assert "find the 2 points that the study was given, and [earlier" in page_of(given)
    overview = study_pages.overview(overviews(study(), study("flops")), RULES, RULES.assign(rule="raced"))
    assert overview.count("[small](search/small.md)") == 2
    assert "No rule applied" in study_pages.overview(overviews(study()), RULES, pd.DataFrame())
    assert study_pages.short_table(overviews(study())).count("[small](search/small.md)") == 1


def test_steps_and_seconds_are_medians_over_the_seeds_of_whole_trials_of_the_search():
    """Trial 2 lost its crossing on further seeds, the random search is another one."""
    points = study().whole_trials
    assert [*points["trial"]] == [0]
    assert (points["steps"][0], points["seconds"][0]) == (200, pytest.approx(2.0))


@pytest.mark.parametrize("draw", range(5))
def test_the_front_is_what_no_other_trial_beats_in_both(draw):
    """The obvious way, over random points: a point is out where another is as good in both, better in one."""
    steps, seconds = np.random.default_rng(draw).integers(1, 30, (2, 40))
    points = pd.DataFrame({"trial": range(40), "steps": steps, "seconds": seconds.astype(float)})

    def is_beaten(own):
        no_worse = (steps <= own.steps) & (seconds <= own.seconds)
        return (no_worse & ((steps < own.steps) | (seconds < own.seconds))).any()

    kept = {(own.steps, own.seconds) for own in points.itertuples() if not is_beaten(own)}
    found = pareto.front(points)
    assert len(found) == len(kept)  # one trial of those that are equal
    assert {(own.steps, own.seconds) for own in found.itertuples()} == kept
    none = points.head(0)
    assert len(pareto.front(none)) == 0


def test_figures_are_drawn_of_branches_choices_and_censored_arms(tmp_path):
    found = study()
    figures.trial_history(found.trials, "steps", 1000, tmp_path / "history.png")
    figures.slices(found.trials, found.axes, "steps", tmp_path / "slices.png")
    figures.parallel(found.trials, found.axes, "steps", tmp_path / "parallel.png")
    figures.importances(importances(planted(), load_space()), tmp_path / "importances.png")
    figures.pareto(found.whole_trials, tmp_path / "pareto.png")
    arms = {arm: studies.times(replicas, "steps") for arm, replicas in found.confirmed.items()}
    figures.survival(arms, "steps", tmp_path / "survival.png")
    assert [file.stat().st_size > 5000 for file in sorted(tmp_path.glob("*.png"))] == [True] * 6


def test_a_study_is_read_from_its_files_and_none_where_it_was_not_run(tmp_path):
    searched, confirmed = written(study(), tmp_path / "search"), tmp_path / "confirm"
    assert studies.read("small", CONFIG, TASK, searched, confirmed) is None
    written_run(study().confirmed["winner"], confirmed / "winner")
    found = studies.read("small", CONFIG, TASK, searched, confirmed)
    assert (list(found.confirmed), found.chosen["winner"]["value"]) == (["winner"], 2.0)


def written_run(replicas, folder):
    """The files of a trained experiment."""
    folder.mkdir(parents=True)
    replicas.to_parquet(folder / "replicas.parquet")
    pd.DataFrame({"replica": [], "step": []}).to_parquet(folder / "history.parquet")
    checksums = {name: runs.checksum(folder / name) for name in runs.TABLES}
    (folder / "run.json").write_text(json.dumps({"sha256": checksums}))


def written(of: Study, folder):
    """The files of the stage `search`, and a figure."""
    folder.mkdir(parents=True, exist_ok=True)
    of.trials.to_parquet(folder / "trials.parquet")
    of.replicas.to_parquet(folder / "replicas.parquet")
    curves = [
        {"step": step, "validation_accuracy": step / 300, "validation_loss": 1 / (step + 1)}
        | {"trial": row["trial"], "arm": row["arm"], "seed_number": seed}
        for row in of.trials.to_dict("records")
        for seed in range(row["seeds"])
        for step in range(250)
    ]
    pd.DataFrame(curves).to_parquet(folder / "curves.parquet")
    with (folder / "best.yaml").open("w") as file:
        YAML().dump(of.best, file)
    (folder / "history.png").write_bytes(b"a figure")
    return folder


def of_search(client) -> dict:
    runs = client.search_runs([store.experiment_id(client, identity.SEARCHED)])
    return {run.info.run_name: run for run in runs}


@pytest.mark.filterwarnings("ignore")
def test_a_study_is_published_once_and_grows_by_children_only(client, tmp_path):
    folder = written(study(), tmp_path / "search")
    searched = Searched(study(), "k" * 64, folder, folder, folder / "page.md")
    assert study_runs.publish(client, searched)
    runs = of_search(client)
    assert len(runs) == 5  # the random search's trials are in the files only
    parent, best, stopped = (runs[name] for name in ("study small", "small trial 2", "small trial 3"))
    assert parent.data.metrics["result/confirmed_winner"] == 120
    assert "result/confirmed_published" not in parent.data.metrics
    assert parent.data.metrics["result/value"] == 2
    assert parent.data.tags["storage_study"] == "small-" + "k" * 12
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} >= {"trials.parquet", "best.yaml"}
    assert client.list_artifacts(parent.info.run_id, "figures")
    assert best.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert best.data.params["weight_clamp.row_norm.max_norm"] == "3.0"
    assert "weight_clamp.row_norm.max_norm" not in stopped.data.params
    assert (stopped.data.tags["state"], stopped.info.status) == ("PRUNED", "FINISHED")
    assert "result/cost" not in stopped.data.metrics
    curve = client.get_metric_history(best.info.run_id, "accuracy/validation")
    assert (curve[0].step, curve[-1].step) == (0, 249)
    assert len(curve) <= 101

    before = rows(tmp_path)
    assert not study_runs.publish(client, searched)
    client.delete_tag(parent.info.run_id, "published")  # as after a crash half-way
    assert study_runs.publish(client, searched)
    assert rows(tmp_path) == before

    grown = replace(study(), trials=trial_rows(trial(4, 1200, reason="budget")))
    assert study_runs.publish(client, replace(searched, study=grown, folder=written(grown, folder)))
    after = of_search(client)
    assert set(after) - set(runs) == {"small trial 4"}
    assert all(after[name].info.run_id == run.info.run_id for name, run in runs.items())


@pytest.mark.filterwarnings("ignore")
def test_a_study_that_was_proven_otherwise_is_published_again(client, tmp_path):
    """Under the same key, as when `sustain_seeds` was changed. MLflow lets no parameter change."""
    assert set(NOT_IN_KEY) <= set(study_runs.MAY_CHANGE)
    folder = written(study(), tmp_path / "search")
    searched = Searched(study(), "k" * 64, folder, folder, folder / "page.md")
    study_runs.publish(client, searched)
    changes = {"sustain_seeds": {"seeds": [4, 5], "split_seeds": [0, 1]}, "random_baseline": True}
    proven = replace(study(), config=CONFIG | changes, trials=trial_rows().assign(sustained=True))
    assert study_runs.publish(client, replace(searched, study=proven, folder=written(proven, folder)))
    params = of_search(client)["study small"].data.params
    assert not any(name.startswith(("sustain_seeds", "confirm")) for name in params)
    assert params["random_baseline"] == "True"

    other = replace(proven, config=CONFIG | {"random_baseline": False}, trials=trial_rows())
    assert study_runs.publish(client, replace(searched, study=other, folder=written(other, folder)))
    assert of_search(client)["study small"].data.params["random_baseline"] == "True"  # as it was searched
