"""Optimizers in lockstep with torch.optim, schedules, batches, events, and the loop's stopping."""

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_task
from examples import experiment
from torch.testing import assert_close

from grokking.config import ConfigError
from grokking.data.batches import Batches, FullBatchConfig, MinibatchConfig, batch_size
from grokking.data.monitor import monitored
from grokking.engine import events
from grokking.engine.events import CrossingDetector, evaluation_steps, first_crossing, sustained_crossing
from grokking.experiment import expand
from grokking.training import history
from grokking.training.fingerprint import fingerprint
from grokking.training.loop import Observation, train
from grokking.training.workers import stacks, train_all
from grokking.updates.losses import stablemax_cross_entropy
from grokking.updates.optimizers import OPTIMIZERS, orthogonalised
from grokking.updates.schedules import ScheduleConfig, factor

ROOT = Path(__file__).parents[1]
ADAM = {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8}
PAIRS = [
    ("sgd", {"momentum": 0.0}, lambda p, c: torch.optim.SGD(p, **c)),
    ("sgd", {"momentum": 0.9}, lambda p, c: torch.optim.SGD(p, momentum=0.9, **c)),
    ("nesterov", {"momentum": 0.9}, lambda p, c: torch.optim.SGD(p, momentum=0.9, nesterov=True, **c)),
    ("adam", ADAM, lambda p, c: torch.optim.Adam(p, betas=(0.9, 0.98), **c)),
    ("adamw", ADAM, lambda p, c: torch.optim.AdamW(p, betas=(0.9, 0.98), **c)),
]


@pytest.mark.parametrize(("name", "own", "torch_optimizer"), PAIRS)
def test_optimizer_in_lockstep_with_torch(name, own, torch_optimizer):
    """Three replicas with their own rates and decays on random gradients, parameters after every step."""
    random = torch.Generator().manual_seed(0)
    rates, decays = [0.1, 0.01, 0.003], [0.0, 0.1, 1.0]
    stacked = torch.randn(3, 20, dtype=torch.float64, generator=random)
    singles = [stacked[r].clone().requires_grad_() for r in range(3)]
    pairs = zip(rates, decays, strict=True)
    theirs = [
        torch_optimizer([p], {"lr": lr, "weight_decay": wd})
        for p, (lr, wd) in zip(singles, pairs, strict=True)
    ]
    values = {"learning_rate": rates, "weight_decay": decays} | {k: [v] * 3 for k, v in own.items()}
    values = {key: torch.tensor(value, dtype=torch.float64).view(3, 1) for key, value in values.items()}
    state = {slot: torch.zeros_like(stacked) for slot in OPTIMIZERS[name].state}
    for step in range(1, 21):
        gradient = torch.randn(3, 20, dtype=torch.float64, generator=random)
        values["step"] = torch.full((3, 1), float(step), dtype=torch.float64)
        OPTIMIZERS[name].update(stacked, gradient, state, values, lambda tensor: [])
        for replica, optimizer in enumerate(theirs):
            singles[replica].grad = gradient[replica].clone()
            optimizer.step()
            assert_close(stacked[replica], singles[replica].detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_muon_brings_singular_values_near_one_and_keeps_singular_vectors(shape):
    matrix = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    others = [torch.ones(2, 9, 4, dtype=torch.float64), matrix.mT.flip(0)]
    together = orthogonalised([others[0], matrix, others[1]])
    assert [x.shape for x in together] == [others[0].shape, matrix.shape, others[1].shape]
    inner = left.mT @ together[1] @ right.mT
    on_diagonal = inner.diagonal(dim1=1, dim2=2)
    assert (on_diagonal[values > 0.05 * values.amax()] > 0.6).all()
    assert (on_diagonal < 1.25).all()
    assert_close(inner, torch.diag_embed(on_diagonal), rtol=0, atol=1e-12)


def test_muon_follows_torchs_own():
    """torch.optim.Muon iterates in bfloat16, ours in the parameters' type: updates agree to 2 %."""
    random = torch.Generator().manual_seed(0)
    ours = torch.randn(1, 24, 16, generator=random)
    theirs = ours[0].clone().requires_grad_()
    start = ours.clone()
    settings = {"momentum": 0.95, "weight_decay": 0.1}
    optimizer = torch.optim.Muon([theirs], lr=0.1, **settings)
    values = {"learning_rate": 0.1, "adamw_learning_rate": 0.1, "adamw_weight_decay": 0.0, **settings}
    values |= {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8}
    values = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in values.items()}
    flat = ours.view(1, -1)  # shares memory
    state = {slot: torch.zeros_like(flat) for slot in OPTIMIZERS["muon"].state}
    for step in range(1, 6):
        gradient = torch.randn(1, 24, 16, generator=random)
        values["step"] = torch.tensor([[float(step)]], dtype=torch.float64)
        OPTIMIZERS["muon"].update(
            flat, gradient.view(1, -1), state, values, lambda tensor: [tensor.view(1, 24, 16)]
        )
        theirs.grad = gradient[0].clone()
        optimizer.step()
    moved = (ours[0] - start[0]).norm()
    assert (ours[0] - theirs.detach()).norm() < 0.02 * moved


def test_stablemax_by_hand():
    """s(2) = 3, s(0) = 1, s(-1) = 1/2."""
    logits = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
    loss = stablemax_cross_entropy(logits, torch.tensor([0]), torch.float64)
    assert loss.item() == pytest.approx(math.log(4.5 / 3))
    loss.sum().backward()
    assert logits.grad[0].tolist() == pytest.approx([1 / 4.5 - 1 / 3, 1 / 4.5, 0.25 / 4.5])


def test_schedules_at_known_steps():
    warm, cosine = ScheduleConfig("constant", 10), ScheduleConfig("cosine", 10)
    assert [factor(warm, step, 100) for step in (1, 5, 10, 11, 100)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    assert factor(cosine, 10, 110) == 1.0
    assert factor(cosine, 60, 110) == pytest.approx(0.5)
    assert factor(cosine, 110, 110) == pytest.approx(0, abs=1e-15)
    assert factor(ScheduleConfig("cosine", 0), 25, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_batch_is_at_most_half_the_training_set():
    assert batch_size(MinibatchConfig("with_replacement", 512), 4656) == 512
    assert batch_size(MinibatchConfig("with_replacement", 512), 78) == 39
    assert batch_size(FullBatchConfig("full"), 78) == 78


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_a_replicas_batches_depend_on_its_seed_alone(sampling):
    train_RN = torch.arange(120).view(3, 40)
    config = MinibatchConfig(sampling, 8)
    three, one = Batches(config, train_RN, [5, 6, 7]), Batches(config, train_RN[1:2], [6])
    for step in range(17):
        if step == 8:
            three.keep([1, 2])
        position = 1 if step < 8 else 0
        step_of_each = [step + 1] * len(three.key_R)
        assert torch.equal(three.at(step_of_each)[position], one.at([step + 1])[0])


def test_evaluation_grid_is_dense_then_within_two_percent():
    for budget in (1, 49, 50, 1234, 10**6):
        steps = evaluation_steps(budget)
        assert steps[0] == 0
        assert steps[-1] == budget
        assert all(later - step <= max(1, 0.02 * step) for step, later in pairwise(steps))
    assert evaluation_steps(1234)[:102] == [*range(101), 102]
    assert len(evaluation_steps(10**8)) <= 1000  # what MLflow's charts can take, without thinning out


def test_snapshots_are_at_powers_of_two_and_later_of_its_root():
    steps = sorted(events.snapshot_steps(1000))
    assert steps[:13] == [0, 1, 2, 4, 8, 16, 23, 32, 46, 64, 91, 128, 183]
    assert steps[-1] == 734
    assert events.snapshot_steps(1000) <= set(evaluation_steps(1000))


def test_a_coarser_grid_ends_with_the_budget_too(tiny_task):
    steps = evaluation_steps(300, share=20)
    assert steps[:42] == [*range(41), 42]
    assert all(later - step <= max(1, 0.05 * step) for step, later in pairwise(steps))
    assert steps[-1] == 300
    (replica,) = expand(experiment("one_hot_mlp", budget=12), "e")
    made = train([replica], tiny_task, "cpu", grid=lambda budget: [0, 5, budget])
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


def test_events_by_hand():
    steps = np.array([0, 10, 20, 30, 400, 530, 531, 600])
    spike = np.array([0.1, 0.995, 0.2, 0.99, 0.986, 1.0, 1.0, 1.0])
    assert first_crossing(steps, spike) == 10
    assert sustained_crossing(steps, spike) == 30
    assert sustained_crossing(steps, np.minimum(spike, 0.98)) is None
    late_dip = np.array([0.1, 0.1, 0.99, 1.0, 1.0, 0.5, 0.5, 0.5])  # after the trial of 20, which ends at 520
    assert sustained_crossing(steps, late_dip) == 20
    short = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.99])  # on trial when training ended
    assert sustained_crossing(steps, short) == 600


def test_watch_agrees_with_the_definition():
    """On random walks around the threshold the watch fires at the end of the crossing's trial."""
    random = np.random.default_rng(0)
    steps = np.array(evaluation_steps(5000))
    fired = 0
    for _ in range(300):
        accuracy = np.clip(
            0.99 + random.normal(0, 0.004, len(steps)).cumsum() / 5 * random.choice([-1, 1]), 0, 1
        )
        watch = CrossingDetector()
        ended = None
        for i, step in enumerate(steps):
            watch.take(int(step), float(accuracy[i]))
            if watch.settled:
                ended = i
                break
        event = sustained_crossing(steps, accuracy)
        if ended is None:
            assert event is None or events.trial_end(event) >= steps[-1]
        else:
            fired += 1
            assert event == watch.candidate
            assert steps[ended - 1] < events.trial_end(event) <= steps[ended]
    assert 50 < fired < 300


def test_training_stops_when_generalisation_is_sustained_and_at_the_budget(device):
    """One replica learns a + b mod 23 and leaves; one with a tiny learning rate stays to the end."""
    task = make_task(modulus=23, train_fraction=0.8)
    grid = {"optimizer.learning_rate": [1e-2, 1e-6]}
    mapping = experiment(grid=grid, budget=700, loss="mean_squared_error")
    mapping["model"] |= {"hidden_widths": [128], "activation": "square", "alpha": 0.0}
    mapping["optimizer"]["weight_decay"] = 1.0
    replicas = expand(mapping, "e")
    evaluations = list(train(replicas, task, device))
    fast, slow = history.replica_table(replicas, evaluations, task).to_dict("records")
    assert fast["observed"]
    assert events.trial_end(fast["generalization_step"]) <= fast["steps_run"] < 700
    assert fast["examples"] == fast["generalization_step"] * round(0.8 * 23**2)
    assert not slow["observed"]
    assert slow["steps_run"] == 700
    assert [e.finished for e in evaluations].count(True) == 2
    for replica in (0, 1):
        kept = {e.step for e in evaluations if e.replica == replica and e.parameters is not None}
        last = max(e.step for e in evaluations if e.replica == replica)
        assert kept == {step for step in events.snapshot_steps(700) if step <= last} | {last}


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
        runs.append(train_all(replicas, tiny_task, [seen.append], tmp_path / processes))
        assert len(seen) <= len(runs[-1])
    assert history.history_table(runs[0]).equals(history.history_table(runs[1]))
    for first, second in zip(*runs, strict=True):
        for name, value in (first.parameters or {}).items():
            assert (value == second.parameters[name]).all()


@pytest.mark.parametrize(("variable", "value"), [("PROCESSES", "two"), ("PROCESSES", "0"), ("DEVICE", "gpu")])
def test_a_wrong_environment_variable_is_told_in_one_line(variable, value, tiny_task, monkeypatch, tmp_path):
    monkeypatch.setenv(f"GROKKING_{variable}", value)
    with pytest.raises(ConfigError, match=f"GROKKING_{variable} must be .*, but got '{value}'"):
        train_all(expand(experiment(), "e"), tiny_task, [], tmp_path)


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


def test_judge_stops_a_replica_and_its_place_is_taken(tiny_task, device):
    replicas = expand(experiment(seeds=(0, 1, 2)), "test")

    def second_stops(reading: Observation) -> bool:
        assert set(reading.parameters()) >= {"first.weight"}
        return reading.replica.index == 1 and reading.step >= 4

    evaluations = list(train(replicas, tiny_task, device, slots=2, judge=second_stops))
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
