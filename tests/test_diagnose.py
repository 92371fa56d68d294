"""Diagnostics of trained replicas: the networks are the trained ones, whoever computes them."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_task
from draws import normal
from examples import MODELS, experiment
from reference import LOGITS
from safetensors.numpy import load_file, save_file
from test_diagnostics_kernel import dense
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from grokking.diagnostics import cyclic, fourier, geometry, kernel, landscape, snapshots, spectrum, suite
from grokking.diagnostics.differentiable import differentiable
from grokking.diagnostics.internals import INTERNALS, rebuild
from grokking.diagnostics.measured_network import MeasuredNetwork, MeasurementContext, key_frequencies
from grokking.diagnostics.network_arrays import arrays_of
from grokking.diagnostics.suite import NAMES, SINGLE, SUITE, Diagnostic
from grokking.engine.answers import answers
from grokking.experiment import expand
from grokking.storage.run_folder import RunFolder
from grokking.training.loop import train

ORDER = cyclic.find_order("add", 11)
PAGE = Path(__file__).parents[1] / "docs" / "diagnostics.md"


def trained(family="one_hot_mlp", task=None, **changes):
    """One short run: its replica, task and evaluations with snapshots."""
    optimizer = "sgd" if family == "numpy_mlp" else "adamw"
    (replica,) = expand(experiment(family, optimizer, **changes), "e")
    task = task or make_task()
    return replica, task, list(train([replica], task, "cpu"))


def kept(evaluations):
    return [e for e in evaluations if e.parameters is not None]


def context_of(replica, task, order=ORDER):
    return MeasurementContext(task, task.train_mask(replica.split_seed), answers(replica, task), order)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two replicas of a two-layer network as `train` leaves them."""
    model = MODELS["one_hot_mlp"] | {"hidden_widths": [24]}
    replicas, task = expand(experiment(model=model, seeds=(0, 1), budget=40), "e"), make_task()
    evaluations = [e for replica in replicas for e in train([replica], task, "cpu")]
    at = tmp_path_factory.mktemp("runs")
    RunFolder(at / "small", replicas, task, at / "snapshots").add(evaluations)
    return at / "snapshots", replicas, task


@pytest.mark.parametrize("family", MODELS)
def test_losses_of_snapshots_are_those_measured_in_training(family):
    """So logits are the trained network's: its scales too, which are not in the snapshot."""
    replica, task, evaluations = trained(family)
    for evaluation in kept(evaluations):
        net = MeasuredNetwork(arrays_of(replica, task, evaluation.parameters), context_of(replica, task))
        found = suite.measure(net, before_last=1)
        for part in ("train", "validation"):
            assert found[f"loss/{part}"] == pytest.approx(evaluation.metrics[f"{part}_loss"], rel=1e-9)
            assert found[f"accuracy/{part}"] == pytest.approx(evaluation.metrics[f"{part}_accuracy"])
        assert found["logit_rms"] == pytest.approx(evaluation.metrics["logit_rms"], rel=0.05)


@pytest.mark.parametrize("family", INTERNALS)
def test_features_are_what_the_readout_is_applied_to(family):
    replica, task, evaluations = trained(family)
    parameters = evaluations[-1].parameters
    arrays = arrays_of(replica, task, parameters)
    weight, bias = {
        "one_hot_mlp": ("layers.1.weight", "layers.1.bias"),
        "embedding_mlp": ("layers.1.weight", "layers.1.bias"),
        "transformer": ("unembedding.weight", "unembedding.bias"),
        "numpy_mlp": ("layer_2.weight", "layer_2.bias"),
    }[family]
    readout = parameters[weight] if family == "numpy_mlp" else parameters[weight].T
    scale = float(np.float32(MODELS[family].get("output_scale", 1.0)))
    expected = scale * (arrays.features_PN @ readout + parameters[bias])
    np.testing.assert_allclose(arrays.logits_PV, expected, rtol=1e-9, atol=1e-12)


def test_the_tangent_kernel_is_that_of_the_network_itself():
    """Against Jacobians by autograd through the package's own module, output scale and alpha included."""
    model = MODELS["one_hot_mlp"] | {"hidden_widths": [6]}
    replica, task, evaluations = trained(task=make_task(modulus=5), model=model)
    parameters = evaluations[-1].parameters
    a, b = task.equations[["a", "b"]].to_numpy().T
    parts = kernel.mlp_kernel(arrays_of(replica, task, parameters).two_layer, a, b)
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
    np.testing.assert_allclose(sum(map(dense, parts.values())), expected, rtol=1e-9)


def test_another_networks_snapshot_is_refused():
    replica, task, evaluations = trained()
    parameters = evaluations[-1].parameters
    with pytest.raises(ValueError, match="or other shapes; train it again"):
        arrays_of(replica, task, parameters | {"first.weight": parameters["first.weight"][:, 1:]})


def test_table_has_what_direct_computation_gives(folder):
    at, replicas, task = folder
    table, _ = snapshots.diagnose(snapshots.of_folder(at, replicas, task, ORDER), portrayed=0)
    steps = sorted(table.loc[table["replica"] == 1, "step"])
    last = table[(table["replica"] == 1) & (table["step"] == steps[-1])].iloc[0]
    seen = snapshots.of_folder(at, replicas, task, ORDER)[1].arrays(steps[-1])
    logits = seen.logits_PV.reshape(11, 11, 11)
    assert last["r_sum"] == pytest.approx(fourier.sum_energy(logits))
    power = fourier.power(np.hstack(np.split(seen.parameters["first.weight"], 2)))
    assert last["neuron_ipr"] == pytest.approx(fourier.inverse_participation_ratio(power).mean())
    answer = task.equations["c"].to_numpy()
    features = {"features": kernel.Part(seen.features_PN.astype(np.float64))}
    alignments = kernel.class_alignments(features, answer)
    assert last["class_alignment"] == pytest.approx(alignments["whole"])
    assert last["uncentred_alignment"] == pytest.approx(alignments["uncentred"])
    assert last["participation_ratio"] == pytest.approx(spectrum.participation_ratio(seen.features_PN))
    singular_values = np.linalg.svd(seen.parameters["first.weight"], compute_uv=False)
    assert last["effective_rank"] == pytest.approx(spectrum.effective_rank(singular_values))
    initial = snapshots.of_folder(at, replicas, task, ORDER)[1].arrays(0)
    distance = kernel.feature_distance(initial.features_PN, seen.features_PN)
    assert last["feature_distance"] == pytest.approx(distance)
    assert distance > 0.01


def test_what_is_dear_is_computed_at_every_fourth_or_twelfth_from_the_last(folder):
    at, replicas, task = folder
    table, _ = snapshots.diagnose(snapshots.of_folder(at, replicas, task, ORDER), portrayed=0)
    own = table[table["replica"] == 0].sort_values("step", ascending=False).reset_index(drop=True)
    assert own.index[own["rqi"].notna()].tolist() == list(range(0, len(own), 4))
    assert own.index[own["ntk/whole"].notna()].tolist() == list(range(0, len(own), 12))
    assert own["r_sum"].notna().all()


def test_number_of_processes_changes_nothing(folder, monkeypatch):
    at, replicas, task = folder
    tables, portraits = [], []
    for count in ("1", "2"):
        monkeypatch.setenv("GROKKING_PROCESSES", count)
        table, portrait = snapshots.diagnose(snapshots.of_folder(at, replicas, task, ORDER), portrayed=1)
        tables.append(table)
        portraits.append(portrait)
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    np.testing.assert_equal(*portraits)


def test_a_table_without_cyclic_order_has_what_needs_none():
    task = make_task("latin_square")
    replica, task, evaluations = trained(task=task)
    context = context_of(replica, task, None)
    net = MeasuredNetwork(arrays_of(replica, task, evaluations[-1].parameters), context)
    found = suite.measure(net, before_last=0)
    assert {"loss/train", "rqi", "class_alignment", "effective_rank", "norm/total"} <= set(found)
    assert not {"r_sum", "neuron_ipr", "restricted_loss/all", "circularity"} & set(found)


@pytest.mark.parametrize("operation", ["multiply", "divide"])
def test_pairs_with_a_zero_are_left_out_of_products(operation):
    task, order = make_task(operation), cyclic.find_order(operation, 11)
    (replica,) = expand(experiment(), "e")
    context = context_of(replica, task, order)
    pairs = task.equations.iloc[context.pair_nn.ravel()]
    assert len(pairs) == 100
    assert (pairs[["a", "b"]] > 0).all(axis=None)
    sums = np.add.outer(np.arange(10), np.arange(10)).ravel() % 10
    assert (pairs["c"].to_numpy() == order.c[sums]).all()


def test_no_name_is_without_a_diagnostic():
    """Every column of the table is computed for some family, and nothing that is computed has no column."""
    two_layer = MODELS["one_hot_mlp"] | {"hidden_widths": [24]}
    found = set()
    for changes in ({"family": "embedding_mlp"}, {"model": two_layer}):
        replica, task, evaluations = trained(**changes)
        parameters = evaluations[-1].parameters
        context, arrays = context_of(replica, task), arrays_of(replica, task, parameters)
        keys = key_frequencies(arrays, context)
        found |= set(suite.measure(MeasuredNetwork(arrays, context, keys, arrays.features_PN), 0))
        found |= set(suite.measure_single(differentiable(replica, task, parameters), context))
    assert {name for name in found if not name.startswith("norm/")} == set(NAMES)


def test_a_value_that_has_no_column_is_refused_by_name(monkeypatch):
    """Nothing that a diagnostic gives is dropped on the way to the table."""
    replica, task, evaluations = trained()
    net = MeasuredNetwork(arrays_of(replica, task, evaluations[-1].parameters), context_of(replica, task))
    monkeypatch.setitem(SUITE, "margin", Diagnostic(lambda net: {"train": 1.0, "test": 2.0}, ("train",)))
    with pytest.raises(ValueError, match="margin/test would have no column; list its parts at `margin`"):
        suite.measure(net, before_last=0)


@pytest.mark.parametrize("family", INTERNALS)
def test_a_family_that_internals_do_not_know_has_what_needs_logits_and_weights_only(family, monkeypatch):
    """As if it had just been added; where it is known nothing else changes."""
    replica, task, evaluations = trained(family)
    measured, parameters = [], evaluations[-1].parameters
    for _ in range(2):
        arrays, context = arrays_of(replica, task, parameters), context_of(replica, task)
        net = MeasuredNetwork(arrays, context, key_frequencies(arrays, context), arrays.features_PN)
        measured.append(suite.measure(net, before_last=0))
        monkeypatch.delitem(INTERNALS, family, raising=False)
    known, unknown = measured
    assert {"loss/train", "r_sum", "restricted_loss/all", "margin/train", "norm/total"} <= set(unknown)
    assert {"class_alignment", "neuron_ipr", "effective_rank"} <= set(known) - set(unknown)
    for name, value in unknown.items():
        assert value == pytest.approx(known[name], rel=1e-6, abs=1e-9, nan_ok=True), name


def test_a_replica_that_diverged_gives_nan_and_the_others_go_on(folder, tmp_path):
    """Also where it is the one portrayed and measured further."""
    at, replicas, task = folder
    shutil.copytree(at, tmp_path / "snapshots")
    todo = snapshots.of_folder(tmp_path / "snapshots", replicas, task, ORDER)
    steps = sorted(todo[0].files)
    for step in steps[len(steps) // 2 :]:
        parameters = load_file(todo[0].files[step])
        lost = {name: np.full_like(array, np.nan) for name, array in parameters.items()}
        save_file(lost, todo[0].files[step])
    table, portrait = snapshots.diagnose(todo, portrayed=0)
    expected, _ = snapshots.diagnose(snapshots.of_folder(at, replicas, task, ORDER), portrayed=0)
    lost = (table["replica"] == 0) & (table["step"] >= steps[len(steps) // 2])
    assert table.loc[lost].drop(columns=["replica", "step"]).isna().all(axis=None)
    assert table.loc[~lost, "r_sum"].notna().all()
    other = table["replica"] == 1
    pd.testing.assert_frame_equal(table[other], expected[other], check_exact=True)
    assert portrait == {}


def test_the_page_lists_every_diagnostic():
    text = PAGE.read_text()
    block = text[text.index("<!-- columns") : text.index("<!-- end of columns")]
    listed = set(re.findall(r"`([^`\s]+)`", block))
    columns = [column for name, each in (SUITE | SINGLE).items() for column in each.columns(name)]
    missing = [name for name in columns if name not in listed]
    assert not missing, f"add {', '.join(missing)} to docs/diagnostics.md, from suite.markdown()"
    assert suite.markdown() in text


@pytest.mark.parametrize("needed", sorted({need for each in SUITE.values() for need in each.needs}))
def test_the_page_says_what_each_need_is(needed):
    assert f"- `{needed}`: " in PAGE.read_text()


def test_single_measurements_are_of_the_portrayed_replica_at_the_last_snapshot_and_the_eighth_before(folder):
    at, replicas, task = folder
    todo = snapshots.of_folder(at, replicas, task, ORDER)
    table, _ = snapshots.diagnose(todo, portrayed=1)
    measured = table[table["top_eigenvalue"].notna()].sort_values("step")
    steps = sorted(todo[1].files)
    assert measured["replica"].unique().tolist() == [1]
    assert measured["step"].tolist() == [steps[-9], steps[-1]]
    assert measured[["smoothed_excess/mean", "smoothed_excess/standard_error"]].notna().all(axis=None)
    network = differentiable(replicas[1], task, todo[1].arrays(steps[-1]).parameters)
    expected = suite.measure_single(network, todo[1].context())
    assert measured["top_eigenvalue"].iloc[-1] == pytest.approx(expected["top_eigenvalue"], rel=1e-6)


def test_the_loss_around_a_network_is_that_of_256_random_equations_that_it_was_trained_on():
    task = make_task(modulus=23)
    (replica,) = expand(experiment(label_noise=0.2), "e")
    context = context_of(replica, task)
    a, b, answer = (column.tolist() for column in suite.some_training_equations(context))
    numbers = [23 * of_a + of_b for of_a, of_b in zip(a, b, strict=True)]  # of equations, in the task's order
    assert len(set(numbers)) == len(numbers) == 256
    assert context.train_P[numbers].all()
    assert answer == context.answer_P[numbers].tolist()  # wrong ones among them, as trained on
    assert set(a) == set(range(23))  # of the first 256 none has a = 22
    assert suite.some_training_equations(context)[0].tolist() == a
    few = context_of(replica, make_task())
    assert len(suite.some_training_equations(few)[0]) == few.train_P.sum() == 73


def bowl(curvatures):
    """A network whose mean loss is ½ Σ h w², at its minimum, and how often that was computed."""
    h = torch.tensor(curvatures, dtype=torch.float64)
    w, calls = torch.zeros(len(h), dtype=torch.float64, requires_grad=True), []

    def mean_loss(*equations):
        calls.append(equations)
        return (h * w**2).sum() / 2

    return SimpleNamespace(parameters=[w], mean_loss=mean_loss), calls


def some_context():
    (replica,) = expand(experiment(), "e")
    return context_of(replica, make_task())


def test_sharpness_is_what_ten_products_find():
    """By powers of the curvatures: of a start v the k-th quotient is Σ h^(2k-1) v² / Σ h^(2k-2) v²."""
    h, v = np.linspace(0.5, 2.0, 30), normal(30).numpy()
    found = suite.top_eigenvalue(bowl(h)[0], some_context())
    assert found == pytest.approx((h**19 * v**2).sum() / (h**18 * v**2).sum(), rel=1e-9)
    assert found == pytest.approx(2.0, rel=0.1)


def test_the_excess_of_the_suite_is_that_of_weights_a_thirtieth_apart():
    """In a shallow bowl: the pull alone takes a fifth of a weight away in each step, noise adds ε = 4e-4.

    After k steps from the minimum the variance is ε (1 + 0.64 + ... + 0.64^(k-1)): 1 / 900 in the end.
    """
    network, calls = bowl([0.01] * 20_000)
    variance = np.cumsum(4e-4 * 0.64 ** np.arange(19))[9:].mean()  # of steps 10 to 19
    assert variance**0.5 == pytest.approx(1 / 30, rel=0.01)
    found = suite.smoothed_excess(network, some_context())
    equations = 73
    assert found["mean"] == pytest.approx(
        equations / np.log(equations) * 0.01 / 2 * 20_000 * variance, rel=0.02
    )
    assert 0 < found["standard_error"] < 0.02 * found["mean"]
    assert len(calls) == 1 + 2 * (10 + 10)  # at the minimum, then two chains of twenty steps


TINY = {
    "one_hot_mlp": {"hidden_widths": [4, 3]},
    "embedding_mlp": {"embedding_width": 3, "hidden_widths": [4, 3]},
    "transformer": {"width": 4, "heads": 2},
    "numpy_mlp": {"hidden_widths": [4, 3]},
}


def tiny(family):
    """A trained network with few parameters: replica, task, parameters."""
    replica, task, evaluations = trained(family, make_task(modulus=5), model=MODELS[family] | TINY[family])
    return replica, task, evaluations[-1].parameters


@pytest.mark.parametrize("family", TINY)
def test_curvature_is_that_of_the_reference_networks_dense_hessian(family):
    replica, task, parameters = tiny(family)
    a, b, c = (torch.tensor(task.equations[column].to_numpy()) for column in "abc")
    network, module = differentiable(replica, task, parameters), rebuild(replica, task, parameters)
    names, shapes = list(parameters), [array.shape for array in parameters.values()]

    class Reference(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self):
            return LOGITS[family](self.inner, a, b)

    def loss(flat):
        pieces = flat.split([int(np.prod(shape)) for shape in shapes])
        named = {f"inner.{name}": p.view(shape) for name, p, shape in zip(names, pieces, shapes, strict=True)}
        logits = functional_call(Reference(), named, ())
        return torch.nn.functional.cross_entropy(logits, c)

    flat = torch.cat([torch.tensor(parameters[name]).flatten() for name in names])
    with sdpa_kernel(SDPBackend.MATH):  # the others cannot be differentiated twice
        expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat, vectorize=True))[
            -1
        ].item()
    found = landscape.top_eigenvalue(lambda: network.mean_loss(a, b, c), network.parameters, 500, 0)
    assert network.mean_loss(a, b, c).item() == pytest.approx(loss(flat).item(), rel=1e-12)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", MODELS)
def test_differentiable_networks_have_the_logits_of_the_packages_own(family):
    replica, task, evaluations = trained(family)
    a, b = torch.tensor(task.equations[["a", "b"]].to_numpy()).T
    logits = differentiable(replica, task, evaluations[-1].parameters).logits(a, b).detach().numpy()
    expected = rebuild(replica, task, evaluations[-1].parameters)(a, b).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", ["embedding_mlp", "transformer"])
def test_gradients_of_operands_are_differences_of_the_logit(family):
    """Each row of the tables moved by itself, in the reference network."""
    replica, task, parameters = tiny(family)
    a, b, c = torch.tensor([0, 3]), torch.tensor([1, 4]), torch.tensor([2, 2])
    of_a, of_b = differentiable(replica, task, parameters).operand_grads(a, b, c)
    table = "token" if family == "transformer" else "embedding_a"
    for token, pair, found in ((0, 0, of_a[0]), (3, 1, of_a[1]), (1, 0, of_b[0]), (4, 1, of_b[1])):
        for dimension in range(len(found)):
            either_way = []
            for shift in (1e-6, -1e-6):
                moved = parameters | {table: parameters[table].copy()}
                moved[table][token, dimension] += shift
                logits = LOGITS[family](rebuild(replica, task, moved), a, b)
                either_way.append(logits[pair, c[pair]].item())
            slope = (either_way[0] - either_way[1]) / 2e-6
            assert found[dimension] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_gradients_of_operands_need_tokens_that_differ():
    replica, task, parameters = tiny("embedding_mlp")
    network = differentiable(replica, task, parameters)
    with pytest.raises(ValueError, match="tokens that differ from each other"):
        network.operand_grads(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([0, 0]))


def test_symmetricity_is_the_mean_over_triples_and_only_where_operands_are_embedded_apart():
    replica, task, parameters = tiny("embedding_mlp")
    context, network = context_of(replica, task, None), differentiable(replica, task, parameters)
    gradients = [
        network.operand_grads(*(torch.tensor([number]) for number in (a, b, c)))
        for a in range(5)
        for b in range(5)
        for c in range(5)
        if a != b
    ]
    of_a, of_b = (np.concatenate(of) for of in zip(*gradients, strict=True))
    every_triple = geometry.gradient_symmetricity(of_a, of_b)
    found = suite.gradient_symmetricity(network, context)
    assert found == pytest.approx(every_triple, abs=0.2)
    added = MODELS["embedding_mlp"] | {"combine": "sum"}
    replica, task, evaluations = trained(model=added)
    added = differentiable(replica, task, evaluations[-1].parameters)
    assert np.isnan(suite.gradient_symmetricity(added, context))


def test_neurons_of_a_transformer_are_those_of_its_last_mlp_at_equals():
    """And a wave in the sum, to which neither operand adds anything by itself, is one frequency."""
    replica, task, evaluations = trained("transformer")
    seen = arrays_of(replica, task, evaluations[-1].parameters)
    module = rebuild(replica, task, evaluations[-1].parameters)
    a, b = torch.tensor(task.equations[["a", "b"]].to_numpy()).T
    block, inputs = module.blocks[-1], []
    block.down.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    module(a, b)
    np.testing.assert_allclose(np.maximum(seen.neurons_PN, 0), inputs[-1].detach(), atol=1e-12)
    angle = 2 * np.pi * 3 * np.add.outer(np.arange(11), np.arange(11)).ravel() / 11
    waves = replace(seen, neurons_PN=np.cos(angle[:, None] + np.arange(4)))
    found = suite.measure(MeasuredNetwork(waves, context_of(replica, task)), before_last=1)
    assert found["neuron_ipr"] == pytest.approx(1)


def test_products_mod_a_composite_have_no_cyclic_order():
    assert cyclic.find_order("multiply", 12) is None
    assert cyclic.find_order("permutation_product", None) is None
    assert len(cyclic.find_order("add", 12).a) == 12
