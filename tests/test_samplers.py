"""Searches on recorded networks end as those do that train, by each rule."""

import math
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest
from clones import ROOT
from searches import ORDER, job_of, plan_of, search_task

from benchmarks import rounded_study, samplers
from benchmarks.recordings import MEDIAN, METRICS, CostCap, Median, NoRule, Recordings, Replay
from grokking.experiment import require_fit
from grokking.search.executor import train_seed
from grokking.search.seed_job import GENERALIZED, SeedJob, SeedOutcome
from grokking.search.space import FloatDimension

RATES = (0.03, 1e-4)  # one that generalizes in some tens of steps, one that does not within the budget
LIMIT = 12.0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return Recordings(tmp_path_factory.mktemp("recordings"), search_task(), ORDER)


def job(learning_rate: float, limit: float = math.inf, exempt: bool = False) -> SeedJob:
    plan = plan_of()
    values = {"model.init_scale": 0.1, "optimizer.learning_rate": learning_rate, "optimizer.decay_rate": 0.09}
    replica = plan.replicas(values, plan.config.search)[0]
    return job_of(replica, exempt, limit=limit, budget=plan.budget, memorization_step=5.0)


def ended(outcome: SeedOutcome) -> SeedOutcome:
    """Without what the machine adds."""
    return replace(outcome, seconds=0.0)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("limit", [math.inf, LIMIT])
@pytest.mark.parametrize("exempt", [False, True])
def test_a_replay_ends_as_training_does(recordings, rate, limit, exempt):
    own = job(rate, limit, exempt)
    trained = train_seed(own, recordings.task, ORDER, "cpu")
    assert ended(Replay(own, recordings).run()) == ended(trained)


def test_a_recording_is_read_from_its_file(recordings):
    own = job(RATES[0])
    first = Replay(own, recordings).run()
    again = Recordings(recordings.folder.parent, recordings.task, ORDER)
    assert Replay(own, again).run() == first  # also the seconds


def test_a_cost_cap_stops_at_the_limit_only(recordings):
    late = CostCap(job(RATES[1], limit=LIMIT), recordings).run()
    assert (late.reason, late.steps_run) == ("raced", LIMIT + 1)
    assert CostCap(job(RATES[1]), recordings).run().reason == "budget"


def test_without_a_rule_nothing_is_stopped(recordings):
    assert NoRule(job(RATES[1], limit=1.0), recordings).run().reason == "budget"


def test_the_median_stops_what_is_worse_than_half(recordings):
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    for _ in range(2):
        assert Median(job(RATES[0]), recordings, study).run().reason == GENERALIZED
    bad = Median(job(RATES[1]), recordings, study).run()
    assert bad.reason == MEDIAN
    assert bad.steps_run < plan_of().budget
    assert study.trials[-1].state == optuna.trial.TrialState.PRUNED


@pytest.mark.parametrize("rate", RATES)
def test_the_median_stops_a_network_where_it_would_stop_its_recording(recordings, rate):
    """The twin asks the same pruner at each evaluation of the whole network."""
    studies = [
        optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
        for _ in range(2)
    ]
    for study in studies:
        for _ in range(2):
            Median(job(RATES[0]), recordings, study).run()
    found = Median(job(rate), recordings, studies[0]).run()
    trial = studies[1].ask()
    for step, _, *values in recordings.of(job(rate)).evaluations:
        trial.report(values[METRICS.index("validation_accuracy")], step)
        if trial.should_prune():
            break
    assert found.steps_run == step
    assert (found.reason == MEDIAN) == trial.should_prune() == (rate == RATES[1])


def test_rows_of_a_run_take_the_place_of_kept_ones():
    kept = pd.DataFrame({"sampler": ["random", "tpe"], "rule": "ours", "search": 0, "confirmed": [1.0, 2.0]})
    rows = pd.DataFrame(
        {"sampler": "tpe", "rule": ["median", "ours"], "search": [0, 0], "confirmed": [3.0, 4.0]}
    )
    found = samplers.merged(kept, rows)
    assert [*zip(found["sampler"], found["rule"], found["confirmed"], strict=True)] == [
        ("tpe", "ours", 4.0), ("tpe", "median", 3.0), ("random", "ours", 1.0),
    ]  # fmt: skip
    assert len(samplers.merged(pd.DataFrame(), rows)) == 2


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_points_are_rounded_to_a_grid(kind):
    dimension = FloatDimension(kind, 0.01, 0.3)
    values = [0.01 + 0.29 * share / 1000 for share in range(1001)]
    grid = {rounded_study.nearest(value, dimension) for value in values}
    assert len(grid) == rounded_study.LEVELS
    assert (min(grid), max(grid)) == (0.01, 0.3)
    assert {rounded_study.nearest(value, dimension) for value in grid} == grid


def test_the_table_compares_searches_in_pairs():
    rows = pd.DataFrame(
        [
            {
                "sampler": sampler, "rule": rule, "search": n, "trials": 24, "confirmed": steps + n,
                "best": [math.inf, steps + 5, steps],
            }
            for sampler, rule, steps in (
                ("tpe", "ours", 30),
                ("random", "ours", 40),
                ("gp", "none", math.inf),
            )
            for n in range(8)
        ]
    )  # fmt: skip
    found = samplers.table(rows).set_index(["sampler", "rules"])
    assert found.loc[("tpe", "ours"), "p (Wilcoxon)"] == "—"
    assert found.loc[("random", "ours"), "p (Wilcoxon)"] == "0.008"  # 2 / 2⁸
    assert found.loc[("random", "ours"), "worse"] == "8 of 8"
    assert found.loc[("gp", "none"), "steps, median (range)"] == "inf (inf–inf)"
    along = [found.loc[("random", "ours"), f"best at {part} of the FLOP"] for part in ("25%", "50%", "100%")]
    assert along == ["inf", "45", "40"]


def test_the_best_along_a_search_counts_whole_trials_only():
    """Of four trials of equal FLOP: the second is the best, and is lacking a seed."""
    trials = pd.DataFrame(
        {"flops": [1.0] * 4, "cost": [50, 10, 40, 30], "confirmable": [True, False, True, True]}
    )
    assert samplers.best_along(trials) == [50, 50, 30]


@pytest.mark.parametrize("name", ["quick", *rounded_study.SMALL])
def test_a_study_is_read_without_points_that_it_was_given(name):
    study = rounded_study.Study.read(name)
    config = study.plan.config
    replicas = study.plan.replicas({}, config.search) + study.plan.replicas({}, config.confirm)
    assert config.initial_points == ()
    for replica in replicas:
        require_fit(replica, study.task, name)


@pytest.mark.parametrize("study", rounded_study.SMALL)
def test_the_table_of_the_page_is_of_the_searches_that_are_kept(study):
    found = samplers.table(samplers.kept_searches(study))
    rows = found.to_markdown(index=False, stralign="left", disable_numparse=True)
    assert rows in (ROOT / "docs/search.md").read_text()


def test_what_the_page_says_of_samplers_and_rules_holds():
    rows = samplers.kept_searches("small_mlp")
    assert (rows.groupby(["sampler", "rule"]).size() == 8).all()
    found = samplers.table(rows).set_index(["sampler", "rules"])
    p = found["p (Wilcoxon)"].replace("—", "1").astype(float)
    median = found.index.get_level_values("rules") == MEDIAN
    assert (p[~median] > 0.05).all()  # nothing else is told apart from TPE with our rules
    assert (p[median] == 0.008).all()
    assert (found["worse"][median] == "8 of 8").all()
    under_median = rows[rows["rule"] == MEDIAN].pivot(index="search", columns="sampler", values="confirmed")
    assert under_median["tpe"].equals(under_median["random"])
    assert under_median["gp"].equals(under_median["cma-es"])
    trials = found["trials"].astype(float)
    tpe = rows[rows["sampler"] == "tpe"].groupby("rule")["confirmed"].median()
    assert tpe[["ours", "cost cap", "none"]].tolist() == [45.5, 44.5, 47.5]
    for sampler in samplers.SAMPLERS:
        assert 4 <= trials[sampler, MEDIAN] / trials[sampler, "ours"] <= 5.5


def test_what_the_page_says_of_samplers_on_the_transformer_holds():
    rows = samplers.kept_searches("small_transformer")
    assert (rows.groupby(["sampler", "rule"]).size() == 8).all()
    found = samplers.table(rows).set_index(["sampler", "rules"])
    p = found["p (Wilcoxon)"].replace("—", "1").astype(float)
    better, worse = (
        found[name].str.partition(" of ")[0].astype(int) for name in ("better than tpe with ours", "worse")
    )
    assert not ((p < 0.05) & (better > worse)).any()  # the default is not beaten
    ours = found.xs("ours", level="rules")
    assert ours["steps, median (range)"].str.startswith(("234 ", "394 ")).sum() == 2
    assert (ours["worse"]["random"], ours["worse"]["gp"]) == ("7 of 8", "6 of 8")
    assert (ours["p (Wilcoxon)"]["random"], ours["p (Wilcoxon)"]["gp"]) == ("0.078", "0.039")
    assert ours["steps, median (range)"]["cma-es"].startswith("226 ")
    assert (p.xs("ours", level="rules")[["cma-es", "qmc"]] > 0.05).all()  # cannot be told from it
    failed = (
        rows[rows["rule"] == "ours"].groupby("sampler")["confirmed"].agg(lambda x: int(np.isinf(x).sum()))
    )
    assert failed.to_dict() == {"tpe": 0, "random": 3, "qmc": 3, "gp": 5, "cma-es": 2}
    own = rows[rows["rule"] == "ours"]
    found_nothing = own["best"].map(lambda best: np.isinf(best[-1])).groupby(own["sampler"]).sum()
    assert found_nothing.to_dict() == {"tpe": 0, "random": 1, "qmc": 2, "gp": 2, "cma-es": 1}


def test_what_the_page_says_of_ten_minutes_is_of_its_tables():
    page = (ROOT / "docs/search.md").read_text()
    first, second = page.split("benchmark: python -m benchmarks.ten_minutes")[1:]
    cells = cells_of(first)
    faster = [float(row[8]) for row in cells if "one_hot_mlp" in row[2]]
    assert len(cells) == 6
    assert f"The MLPs take {min(faster)} to {max(faster)} times fewer steps" in page
    now = {row[1].strip(): row for row in cells_of(second)}
    assert list(now) == [row[1].strip() for row in cells]
    shares = [int(row[4].strip().removesuffix("%")) for row in now.values()]
    assert f"within their ten minutes ({min(shares)} to {max(shares)} %)" in page
    noisy = now.pop("one label of ten is wrong")
    assert f"with wrong labels, takes {float(noisy[8])} times fewer" in page
    assert all(float(row[8].strip().removeprefix("> ")) > 2 for row in now.values())
    assert all("10 of 10" in row[5] for row in [*cells, *now.values(), noisy])
    subtraction = int(now["subtraction"][5].split()[0])
    assert f"{148 / subtraction:.1f} times as many as the search's {subtraction}" in page


def cells_of(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("|") and "| grokking search " in line]
    return [line.split("|") for line in lines]
