"""Diagnostics of trained replicas: the networks are the trained ones, whoever computes them."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_task
from examples import MODELS, experiment

from grokking.diagnostics import cyclic, fourier, kernel, snapshots, spectrum, suite
from grokking.diagnostics.suite import Setting, Subject
from grokking.diagnostics.view import rebuild, view
from grokking.training import history
from grokking.training.experiment import expand
from grokking.training.labels import answers
from grokking.training.loop import train

ORDER = cyclic.find_order("add", 11)


def trained(family="one_hot_mlp", task=None, **changes):
    """One short run: its replica, task and evaluations with snapshots."""
    optimizer = "sgd" if family == "numpy_mlp" else "adamw"
    (replica,) = expand(experiment(family, optimizer, **changes), "e")
    task = task or make_task()
    return replica, task, list(train([replica], task, "cpu"))


def kept(evaluations):
    return [e for e in evaluations if e.parameters is not None]


def setting_of(replica, task, order=ORDER):
    return Setting(task, task.train_mask(replica.split_seed), answers(replica, task), order)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two replicas of a two-layer network as `train` leaves them."""
    model = MODELS["one_hot_mlp"] | {"hidden_widths": [24]}
    replicas, task = expand(experiment(model=model, seeds=(0, 1)), "e"), make_task()
    evaluations = [e for replica in replicas for e in train([replica], task, "cpu")]
    found = tmp_path_factory.mktemp("runs") / "small"
    history.save(found, replicas, evaluations, task)
    return found, replicas, task


@pytest.mark.parametrize("family", MODELS)
def test_losses_of_snapshots_are_those_measured_in_training(family):
    """So logits are the trained network's: its scales too, which are not in the snapshot."""
    replica, task, evaluations = trained(family)
    for evaluation in kept(evaluations):
        subject = Subject(view(replica, task, evaluation.parameters), setting_of(replica, task), None)
        found = suite.losses(subject)
        for part in ("train", "validation"):
            assert found[f"loss/{part}"] == pytest.approx(evaluation.metrics[f"{part}_loss"], rel=1e-9)
            assert found[f"accuracy/{part}"] == pytest.approx(evaluation.metrics[f"{part}_accuracy"])
        rms = suite.stabilities(subject)["logit_rms"]
        assert rms == pytest.approx(evaluation.metrics["logit_rms"], rel=0.05)


@pytest.mark.parametrize("family", MODELS)
def test_features_are_what_the_readout_is_applied_to(family):
    replica, task, evaluations = trained(family)
    parameters = evaluations[-1].parameters
    seen = view(replica, task, parameters)
    weight, bias = {
        "one_hot_mlp": ("layers.1.weight", "layers.1.bias"),
        "embedding_mlp": ("layers.1.weight", "layers.1.bias"),
        "transformer": ("unembedding.weight", "unembedding.bias"),
        "numpy_mlp": ("layer_2.weight", "layer_2.bias"),
    }[family]
    readout = parameters[weight] if family == "numpy_mlp" else parameters[weight].T
    expected = seen.output_scale * (seen.features_PN @ readout + parameters[bias])
    np.testing.assert_allclose(seen.logits_PV, expected, rtol=1e-9, atol=1e-12)


def test_the_tangent_kernel_is_that_of_the_network_itself():
    """Against Jacobians by autograd through the package's own module, output scale and alpha included."""
    model = MODELS["one_hot_mlp"] | {"hidden_widths": [6]}
    replica, task, evaluations = trained(task=make_task(modulus=5), model=model)
    parameters = evaluations[-1].parameters
    a, b = task.equations[["a", "b"]].to_numpy().T
    parts = view(replica, task, parameters).tangent_kernel(a, b)
    module = rebuild(replica, task, parameters)
    logits = module(torch.tensor(a), torch.tensor(b))
    expected = np.zeros((25, 25))
    for c in range(5):
        rows = [
            torch.cat(
                [g.ravel() for g in torch.autograd.grad(z, list(module.parameters()), retain_graph=True)]
            )
            for z in logits[:, c]
        ]
        expected += (torch.stack(rows) @ torch.stack(rows).T).numpy()
    np.testing.assert_allclose(sum(part.dense() for part in parts.values()), expected, rtol=1e-9)


def test_another_networks_snapshot_is_refused():
    replica, task, evaluations = trained()
    parameters = evaluations[-1].parameters
    with pytest.raises(ValueError, match="or other shapes; train it again"):
        view(replica, task, parameters | {"first.weight": parameters["first.weight"][:, 1:]})


def test_table_has_what_direct_computation_gives(folder):
    at, replicas, task = folder
    table, _ = snapshots.diagnose(snapshots.jobs(at, replicas, task, ORDER), portrayed=0)
    steps = sorted(table.loc[table["replica"] == 1, "step"])
    last = table[(table["replica"] == 1) & (table["step"] == steps[-1])].iloc[0]
    job = snapshots.jobs(at, replicas, task, ORDER)[1]
    seen = job.view(steps[-1])
    logits = seen.logits_PV.reshape(11, 11, 11)
    assert last["r_sum"] == pytest.approx(fourier.sum_energy(logits))
    power = fourier.power(np.hstack(np.split(seen.parameters["first.weight"], 2)))
    assert last["neuron_ipr"] == pytest.approx(fourier.inverse_participation_ratio(power).mean())
    answer = task.equations["c"].to_numpy()
    alignments = kernel.class_alignments(kernel.feature_kernel(seen.features_PN), answer)
    assert last["class_alignment"] == pytest.approx(alignments["whole"])
    assert last["uncentred_alignment"] == pytest.approx(alignments["uncentred"])
    assert last["participation_ratio"] == pytest.approx(spectrum.participation_ratio(seen.features_PN))
    assert last["effective_rank"] == pytest.approx(spectrum.effective_rank(seen.parameters["first.weight"]))


def test_what_is_dear_is_computed_at_every_fourth_or_eighth_from_the_last(folder):
    at, replicas, task = folder
    table, _ = snapshots.diagnose(snapshots.jobs(at, replicas, task, ORDER), portrayed=0)
    own = table[table["replica"] == 0].sort_values("step", ascending=False).reset_index(drop=True)
    assert own.index[own["rqi"].notna()].tolist() == list(range(0, len(own), 4))
    assert own.index[own["ntk/whole"].notna()].tolist() == list(range(0, len(own), 8))
    assert own["r_sum"].notna().all()


def test_number_of_processes_changes_nothing(folder, monkeypatch):
    at, replicas, task = folder
    tables, portraits = [], []
    for count in ("1", "2"):
        monkeypatch.setenv("GROKKING_PROCESSES", count)
        table, portrait = snapshots.diagnose(snapshots.jobs(at, replicas, task, ORDER), portrayed=1)
        tables.append(table)
        portraits.append(portrait)
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    np.testing.assert_equal(*portraits)


def test_a_table_without_cyclic_order_has_what_needs_none():
    task = make_task("latin_square")
    replica, task, evaluations = trained(task=task)
    subject = Subject(view(replica, task, evaluations[-1].parameters), setting_of(replica, task, None), None)
    found = suite.measure(subject, before_last=0)
    assert {"loss/train", "rqi", "class_alignment", "effective_rank", "norm/total"} <= set(found)
    assert not {"r_sum", "neuron_ipr", "restricted_loss/all", "circularity"} & set(found)


@pytest.mark.parametrize("operation", ["multiply", "divide"])
def test_pairs_with_a_zero_are_left_out_of_products(operation):
    task, order = make_task(operation), cyclic.find_order(operation, 11)
    (replica,) = expand(experiment(), "e")
    setting = setting_of(replica, task, order)
    pairs = task.equations.iloc[setting.pair_nn.ravel()]
    assert len(pairs) == 100
    assert (pairs[["a", "b"]] > 0).all(axis=None)
    sums = np.add.outer(np.arange(10), np.arange(10)).ravel() % 10
    assert (pairs["c"].to_numpy() == order.c[sums]).all()


def test_no_name_is_without_a_diagnostic():
    """Every column of the table is computed for some family, and nothing that is computed has no column."""
    two_layer = MODELS["one_hot_mlp"] | {"hidden_widths": [24]}
    found = set()
    for changes in ({}, {"model": two_layer}):
        replica, task, evaluations = trained(**changes)
        setting, seen = setting_of(replica, task), view(replica, task, evaluations[-1].parameters)
        found |= set(suite.measure(Subject(seen, setting, suite.key_frequencies(seen, setting)), 0))
    assert {name for name in found if not name.startswith("norm/")} == set(suite.NAMES)


def test_products_mod_a_composite_have_no_cyclic_order():
    assert cyclic.find_order("multiply", 12) is None
    assert cyclic.find_order("permutation_product", None) is None
    assert len(cyclic.find_order("add", 12).a) == 12
