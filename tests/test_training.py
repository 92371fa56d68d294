"""The loop: when replicas stop, what is kept, and that packing and processes change nothing."""

import math
import subprocess
import sys
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import every_evaluation, make_task
from examples import experiment

from grokking.config import ConfigError
from grokking.engine.evaluation_steps import snapshot_steps
from grokking.engine.events import hold_end
from grokking.engine.stack import ReplicaStack
from grokking.experiment import expand
from grokking.search.monitored_task import monitored
from grokking.training import history
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import train
from grokking.training.records import Evaluation, Observation
from grokking.training.workers import stacks, train_all

ROOT = Path(__file__).parents[1]


def test_evaluations_are_at_the_steps_of_the_grid(tiny_task):
    (replica,) = expand(experiment("one_hot_mlp", budget=12), "e")
    made = train([replica], tiny_task, "cpu", evaluated_at=lambda budget: chain([0, 5], count(budget)))
    assert [evaluation.step for evaluation in made] == [0, 5, 12]


def test_training_does_not_import_what_it_does_not_need():
    """torch imports sympy for gradients of anything but scalars, half a second in every worker."""
    script = """
import sys
sys.path[:0] = ["tests", "src"]
from conftest import make_task
from examples import experiment
from grokking.experiment import expand
from grokking.training.loop import train
for family in ("one_hot_mlp", "transformer"):
    list(train(expand(experiment(family, budget=2), "e"), make_task(), "cpu"))
assert "sympy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def learning_replicas(budget: int, **changes):
    """One replica that learns a + b mod 23, and one with a tiny learning rate, and their task."""
    grid = {"optimizer.learning_rate": [1e-2, 1e-6]}
    mapping = experiment(grid=grid, budget=budget, loss="mean_squared_error", **changes)
    mapping["model"] |= {"hidden_widths": [128], "activation": "square", "alpha": 0.0}
    mapping["optimizer"]["weight_decay"] = 1.0
    return expand(mapping, "e"), make_task(modulus=23, train_fraction=0.8)


def test_training_stops_when_generalization_is_sustained_and_at_the_budget(device):
    """One replica learns a + b mod 23 and leaves; one with a tiny learning rate stays to the end."""
    replicas, task = learning_replicas(700)
    evaluations = list(train(replicas, task, device))
    fast, slow = history.replica_table(replicas, evaluations, task).to_dict("records")
    assert fast["observed"]
    assert hold_end(fast["generalization_step"]) <= fast["steps_run"] < 700
    assert fast["examples"] == fast["generalization_step"] * round(0.8 * 23**2)
    assert not slow["observed"]
    assert slow["steps_run"] == 700
    assert [e.finished for e in evaluations].count(True) == 2
    for replica in (0, 1):
        kept = {e.step for e in evaluations if e.replica == replica and e.parameters is not None}
        last = max(e.step for e in evaluations if e.replica == replica)
        assert kept == {step for step in snapshot_steps(700) if step <= last} | {last}


def test_a_crossing_pending_at_the_budgets_end_is_followed_until_it_is_sustained(device):
    """The budget ends 20 steps after the crossing; training goes on until the trial is over, no further."""
    (fast, slow), task = learning_replicas(700)
    crossing = history.replica_table([fast], list(train([fast], task, device)), task)["generalization_step"][
        0
    ]
    budget = int(crossing) + 20
    replicas = [replace(r, config=replace(r.config, budget=budget)) for r in (fast, slow)]
    evaluations = list(train(replicas, task, device))
    table = history.replica_table(replicas, evaluations, task)
    assert table["generalization_step"][0] == crossing
    assert hold_end(crossing) <= table["steps_run"][0] <= 1.02 * hold_end(crossing) + 1
    assert table["steps_run"][1] == budget


def test_a_crossing_that_falls_back_after_the_budget_is_censored(device, monkeypatch):
    """It crosses at the last evaluation of its budget; 100 steps later its network is destroyed."""
    (fast, _), task = learning_replicas(700)
    whole = history.replica_table([fast], list(train([fast], task, device)), task)
    crossing = int(whole["generalization_step"][0])

    update = ReplicaStack.update

    def destroy_later(stack: ReplicaStack, count: int) -> None:
        update(stack, count)
        if stack.step > crossing + 100:
            stack.params.data.neg_()

    monkeypatch.setattr(ReplicaStack, "update", destroy_later)
    fast = replace(fast, config=replace(fast.config, budget=crossing))
    table = history.replica_table([fast], list(train([fast], task, device)), task)
    assert table["first_crossing_step"][0] == crossing
    assert crossing + 100 < table["steps_run"][0] < crossing + 110
    assert not table["observed"][0]


@pytest.mark.parametrize(("highest", "until"), [(1.0, 200), (0.9, 900)])
def test_costs_are_until_generalization_or_the_end(highest, until, tiny_task):
    """The seconds too: not those of the steps that only show whether the crossing holds."""
    (replica,) = expand(experiment(budget=900), "e")
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    evaluations = [
        Evaluation(0, step, step / 100, "cpu", dict.fromkeys(names, accuracy), None, step == 900)
        for step, accuracy in ((0, 0.1), (200, highest), (500, highest), (900, highest))
    ]
    row = history.replica_row(replica, evaluations, tiny_task)
    assert (row["steps_run"], row["seconds"]) == (900, until / 100)
    assert row["examples"] == until * tiny_task.train_size(0)
    assert row["flops"] == row["examples"] * history.flops_per_example(replica, tiny_task)


def test_a_diverged_replica_is_stopped_and_censored(tiny_task):
    grid = {"optimizer.learning_rate": [1e30, 1e-2]}
    mapping = experiment(optimizer="sgd", grid=grid, loss="mean_squared_error", precision="float32")
    replicas = expand(mapping, "e")
    table = history.replica_table(replicas, list(train(replicas, tiny_task, "cpu")), tiny_task)
    assert table["steps_run"].tolist()[0] < 30
    assert table["steps_run"].tolist()[1] == 30
    assert table["diverged"].tolist() == [True, False]
    assert not table["observed"].any()


@pytest.mark.parametrize("family", ["one_hot_mlp", "numpy_mlp"])
def test_number_of_processes_changes_nothing(family, tiny_task, monkeypatch, tmp_path):
    """Histories and last parameters are bitwise equal with one process and with two."""
    replicas = expand(
        experiment(family, "sgd", "with_replacement", seeds=(0, 1, 2), precision="float32"), "e"
    )
    runs = []
    for processes in ("1", "2"):
        monkeypatch.setenv("GROKKING_PROCESSES", processes)
        monkeypatch.setenv("GROKKING_DEVICE", "cpu")
        seen = []
        runs.append(every_evaluation(train_all(replicas, tiny_task, [seen.append], tmp_path / processes)))
        assert len(seen) <= len(runs[-1])
    assert history.history_table(runs[0]).equals(history.history_table(runs[1]))
    for first, second in zip(*runs, strict=True):
        for name, value in (first.parameters or {}).items():
            assert (value == second.parameters[name]).all()


@pytest.mark.parametrize(("variable", "value"), [("PROCESSES", "two"), ("PROCESSES", "0"), ("DEVICE", "gpu")])
def test_a_wrong_environment_variable_is_told_in_one_line(variable, value, tiny_task, monkeypatch, tmp_path):
    monkeypatch.setenv(f"GROKKING_{variable}", value)
    with pytest.raises(ConfigError, match=f"GROKKING_{variable} must be .*, but got '{value}'"):
        every_evaluation(train_all(expand(experiment(), "e"), tiny_task, [], tmp_path))


def test_stacks_hold_replicas_that_differ_in_values_only(tiny_task):
    grid = {
        "model.hidden_widths": [[8], [16]],
        "optimizer.learning_rate": [0.1, 0.2],
        "model.alpha": [0.0, 0.5],
    }
    groups = stacks(expand(experiment(seeds=(0, 1), grid=grid), "e"), tiny_task)
    assert [len(group) for group in groups] == [8, 8]
    for group in groups:
        assert len({replica.config.model.hidden_widths for replica in group}) == 1


def test_training_sets_of_other_sizes_are_other_stacks(tiny_task):
    task = replace(tiny_task, splits=tiny_task.splits.assign(**{"1": tiny_task.splits["0"]}))
    task.splits.loc[np.flatnonzero(task.train_mask(1))[0], "1"] = False
    groups = stacks(expand(experiment(seeds=(0, 1, 2)), "e"), task)
    assert sorted(sorted(r.split_seed for r in group) for group in groups) == [[0, 2], [1]]


def test_fingerprint_tells_configurations_and_data_apart(tiny_task):
    replicas, others = expand(experiment(), "e"), expand(experiment(budget=31), "e")
    own = fingerprint(replicas, tiny_task)
    assert own == fingerprint(expand(experiment(), "e"), make_task())
    assert own != fingerprint(others, tiny_task)
    assert own != fingerprint(replicas, make_task("subtract"))


def test_a_stop_rule_ends_a_replica(tiny_task, device):
    replicas = expand(experiment(seeds=(0, 1, 2)), "test")

    def second_stops(observation: Observation) -> bool:
        assert set(observation.parameters()) >= {"first.weight"}
        return observation.replica.index == 1 and observation.step >= 4

    evaluations = list(train(replicas, tiny_task, device, stop=second_stops))
    last = {e.replica: e.step for e in evaluations if e.finished}
    assert last == {0: 30, 1: 4, 2: 30}


def test_monitor_is_a_tenth_of_the_equations_that_no_replica_trains_on(tiny_task):
    task = monitored(tiny_task)
    for seed in (0, 1, 2):
        mask = task.validation_mask(seed)
        assert mask.sum() == round(0.1 * len(task.equations))
        assert not (mask & task.train_mask(seed)).any()
        np.testing.assert_array_equal(mask, monitored(tiny_task).validation_mask(seed))
    assert (task.validation_mask(0) != task.validation_mask(1)).any()
    replica = expand(experiment(budget=1), "test")[0]
    *_, last = train([replica], task, "cpu")
    assert last.metrics["validation_equations"] == round(0.1 * len(task.equations))


def test_the_monitor_part_is_drawn_anew_for_each_split_seed(tiny_task):
    """Also where all have one training set: each of the other equations is judged by about as often."""
    train = tiny_task.train_mask(0)
    task = monitored(replace(tiny_task, splits=pd.DataFrame({str(seed): train for seed in range(400)})))
    counts = sum(task.validation_mask(seed).astype(int) for seed in range(400))[~train]
    share = 12 / len(counts)
    assert abs(counts - 400 * share).max() < 5 * math.sqrt(400 * share * (1 - share))


def test_the_monitor_part_is_the_one_that_committed_searches_were_judged_by(tiny_task):
    """Drawn from a stream of its own, and not from that of the split."""
    found = monitored(tiny_task).validation_mask(0)
    assert np.flatnonzero(found).tolist() == [0, 29, 38, 46, 60, 61, 69, 77, 78, 80, 116, 117]
