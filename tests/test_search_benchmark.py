"""The plain search trains what ours trains, and both agree on when it generalized."""

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import optuna
import pytest
import torch
from conftest import make_task
from examples import CLAMPS, FILTERS, MODELS, experiment
from torch import Tensor
from torch.testing import assert_close

from benchmarks import machine, our_search, page, search
from benchmarks.cases import Case
from benchmarks.our_search import Study
from benchmarks.ours import make_stack, plain_parameters
from benchmarks.plain_search import EVERY, PlainSearch, time_to_grok
from benchmarks.plain_tuned import TunedLoop
from benchmarks.search import SearchResult
from grokking.experiment import Replica, expand
from grokking.search.config import read_study
from grokking.search.monitored_task import monitored
from grokking.search.pruning import PruningContext
from grokking.search.seed_job import SeedJob
from grokking.search.trial_monitor import TrialMonitor
from grokking.training.loop import train

SMALL: dict[str, Any] = MODELS["one_hot_mlp"] | {
    "hidden_widths": [64],
    "activation": "square",
    "alpha": 0.0,
    "bias": False,
    "initialisation": "standard_normal",
    "init_scale": 0.1,
    "output_scale": 1.0,
}
ADAMW = {
    "name": "adamw", "learning_rate": 1e-2, "weight_decay": 2.0, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
}  # fmt: skip
POINTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "squares": {"model": SMALL, "loss": "mean_squared_error"},
    "grokfast": {"gradient_filter": FILTERS["grokfast_ema"], "loss": "stablemax_cross_entropy"},
    "orthogonal": {"gradient_projection": "orthogonal", "model": SMALL | {"activation": "gelu"}},
    "clamped": {"weight_clamp": CLAMPS["row_norm"]},
}


@pytest.fixture(scope="module")
def task():
    """a + b mod 23; the network below generalizes on it in about 100 steps."""
    return monitored(make_task(modulus=23, train_fraction=0.6))


def generalizing() -> dict[str, Any]:
    return experiment(model=SMALL, loss="mean_squared_error", budget=300) | {"optimizer": deepcopy(ADAMW)}


def plain_loop(replica: Replica, task) -> TunedLoop:
    """The plain loop in float64, from the engine's own initial parameters."""
    loop = TunedLoop(Case("test", replica, task), "cpu")
    parameters = make_stack([replica], task, "cpu").snapshot(0)
    loop.model.double().load_state_dict(with_plain_names(parameters))
    loop.inputs, loop.monitor_inputs = loop.inputs.double(), loop.monitor_inputs.double()
    return loop


def with_plain_names(ours: dict[str, Any]) -> dict[str, Tensor]:
    """The layers of `TunedMLP` are numbered without the activations between them."""
    named = plain_parameters(ours)
    return {f"layers.{int(name.split('.')[1]) // 2}.{name.split('.')[2]}": p for name, p in named.items()}


@pytest.mark.parametrize("name", POINTS)
def test_plain_loop_makes_the_engines_updates(name, task):
    """But for N^-alpha, which the engine keeps in float32."""
    replica = expand(experiment(optimizer="adamw", **POINTS[name]), "test")[0]
    ours, plainly = make_stack([replica], task, "cpu"), plain_loop(replica, task)
    for _ in range(3):
        ours.update(1)
        plainly.update(1)
        for key, parameter in with_plain_names(ours.snapshot(0)).items():
            assert_close(plainly.model.state_dict()[key], parameter, rtol=1e-5, atol=1e-7)


def test_both_agree_on_when_a_replica_generalized(task):
    """The plain loop looks every ten steps, the engine at each of the first hundred."""
    replica = replace(expand(generalizing(), "test")[0], index=0)
    context = PruningContext(300, math.inf, 0.0, False, None, None, math.inf)
    monitor = TrialMonitor(SeedJob(0, 0, replica, "steps", context, exempt=True), task, None)
    list(train([replica], task, "cpu", stop=monitor))
    step = monitor.outcome().step
    assert step is not None
    seen: list[int] = []
    found = time_to_grok(plain_loop(replica, task), lambda step, accuracy: seen.append(step))
    assert found - EVERY < step <= found
    assert seen[-1] < 300  # it ended when the crossing had held


def test_budget_is_the_time_where_it_was_not_reached_or_lost(task):
    loop = plain_loop(expand(generalizing(), "test")[0], task)
    loop.update = lambda count: None  # type: ignore[method-assign]
    assert time_to_grok(loop, lambda step, accuracy: None) == 300
    loop.last_loss, seen = torch.tensor(math.nan), []
    assert time_to_grok(loop, lambda step, accuracy: seen.append(step)) == 300
    assert seen == [EVERY]


@pytest.fixture(scope="module")
def study(task) -> Study:
    """Three trials of two seeds, of which the first is known to generalize."""
    network = {key: value for key, value in generalizing().items() if key != "replicas"}
    seeds, fresh, further = ({"seeds": s, "split_seeds": s} for s in ([0, 1], [2], [3]))
    mapping = {
        "experiment": network,
        "space": {"optimizer.learning_rate": {"kind": "log", "low": 1e-3, "high": 1e-1}},
        "initial_points": [{"optimizer.learning_rate": 1e-2}],
        "published": {},
        "objective": "steps",
        "trials": 12,
        "search": seeds,
        "sustain_seeds": further,
        "confirm": fresh,
        "sampler": {"name": "tpe", "seed": 0, "startup_trials": 2},
        "pruner": {"name": "progress", "racing_factor": 1.5, "exempt_first": 4, "exempt_every": 10},
        "random_baseline": False,
    }
    plan = our_search.shortened(read_study(mapping, "tiny", "studies.tiny"), 3)
    return Study(plan, task, None, our_search.draw_points(plan))


def test_a_short_study_keeps_the_share_of_unpruned_trials(study):
    assert study.plan.config.trials == 3
    assert study.plan.config.pruner.exempt_first == 1


def test_points_are_the_studys_first_and_then_random_ones(study):
    rates = [point["optimizer.learning_rate"] for point in study.points]
    assert rates[0] == 1e-2
    assert len(set(rates)) == 3
    assert our_search.draw_points(study.plan) == study.points


def test_both_searches_try_the_points_and_find_the_same_best(study):
    ours = search.run_ours("ours", study, 1)
    plainly = PlainSearch(study.plan, study.task, "cpu")
    trials = plainly.run(study.points)
    assert [trial.params for trial in trials.trials] == study.points
    assert ours.best == pytest.approx(trials.best_value, rel=0.35)  # other initial weights, coarser looks
    assert min(ours.steps, plainly.steps) > 3 * ours.best


def test_without_rules_nothing_is_stopped(study):
    free = our_search.without_rules(study)
    assert search.run_ours("ours", free, 1).steps >= search.run_ours("ours", study, 1).steps
    assert free.points == study.points


def test_a_pruned_trial_ends_the_plain_loop(study, monkeypatch):
    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", lambda *_: True)
    plainly = PlainSearch(study.plan, study.task, "cpu")
    trials = plainly.run(study.points[:1])
    assert plainly.steps == EVERY
    assert trials.trials[0].state == optuna.trial.TrialState.PRUNED


def test_ratio_is_that_of_steps_times_that_of_their_speed():
    found = [SearchResult("plain", 100.0, 9000, 40.0), SearchResult("ours", 10.0, 3000, None)]
    row = search.table(found, 5).iloc[1]
    assert row["trials per hour"] == "1,800"
    assert (row["times plain"], row["fewer steps"], row["faster steps"]) == ("10.00", "3.00", "3.33")
    assert row["best, steps"] == "none"


def test_command_prints_a_row_per_search(study, capsys, monkeypatch):
    before = page.PERFORMANCE.read_text()
    measured = [SearchResult(name, 1.0, 10, 5.0) for name in ("plain Optuna loop", "ours")]
    monkeypatch.setattr(search, "measure", lambda study, threads: measured)
    search.main(["--trials", "2", "--no-write"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"## Searches on {machine.processor()}\n\nStudies of params.yaml.")
    assert "### Study quick\n\n| search" in printed
    assert "2 trials of up to 3 seeds and 150 steps;" in printed
    assert page.PERFORMANCE.read_text() == before
