"""The factorised tangent kernel against Jacobians by autograd, and its estimates by probes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import jacrev
from torch.nn.functional import gelu, one_hot

from grokking.diagnostics import kernel, probes
from grokking.diagnostics.analytic import cosine_mlp
from grokking.diagnostics.kernel import Part
from grokking.diagnostics.network import TwoLayerMLP, all_pairs

P, WIDTH = 7, 6
PLAIN = {"relu": torch.relu, "square": torch.square, "gelu": gelu}


def network(activation="gelu", biases=True, classes=P):
    random = np.random.default_rng(0)
    first_a, first_b = random.standard_normal((2, P, WIDTH))
    first_bias, readout = random.standard_normal(WIDTH), random.standard_normal((classes, WIDTH))
    readout_bias = random.standard_normal(classes)
    if not biases:
        return TwoLayerMLP(first_a, first_b, None, readout, None, WIDTH**-0.5, activation)
    return TwoLayerMLP(first_a, first_b, first_bias, readout, readout_bias, WIDTH**-0.5, activation)


def tensors(net):
    """The parameters that the network has, by the names of the kernel's parts."""
    arrays = {
        "first_a": net.first_a_TN,
        "first_b": net.first_b_TN,
        "first_bias": net.first_bias_N,
        "readout": net.readout_VN,
        "readout_bias": net.readout_bias_V,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}


def plain_logits(net, parameters, a, b):
    """Dense products with one-hot inputs, in torch."""
    x_a, x_b = (one_hot(torch.from_numpy(token), P).double() for token in (a, b))
    z = x_a @ parameters["first_a"] + x_b @ parameters["first_b"] + parameters.get("first_bias", 0)
    hidden = PLAIN[net.activation](net.scale * z)
    return hidden @ parameters["readout"].T + parameters.get("readout_bias", 0)


def jacobian_kernels(net, a, b):
    """By parameter: Σ_c J_c J_cᵀ of the Jacobians that autograd gives."""
    jacobians = jacrev(lambda parameters: plain_logits(net, parameters, a, b))(tensors(net))
    flat = {name: jacobian.flatten(2) for name, jacobian in jacobians.items()}
    return {name: torch.einsum("xcp,ycp->xy", j, j).numpy() for name, j in flat.items()}


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("activation", PLAIN)
def test_logits_are_those_of_the_plain_form(activation):
    net, (a, b) = network(activation), all_pairs(P)
    assert relative_error(net.logits(a, b), plain_logits(net, tensors(net), a, b).numpy()) < 1e-14


@pytest.mark.parametrize("activation", PLAIN)
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("classes", [P, 4])
def test_kernel_equals_that_of_jacobians(activation, biases, classes):
    net, (a, b) = network(activation, biases, classes), all_pairs(P)
    expected, found = jacobian_kernels(net, a, b), kernel.mlp_kernel(net, a, b)
    assert found.keys() == expected.keys()
    for name, part in found.items():
        assert relative_error(part.dense(), expected[name]) < 1e-12, name
    whole = sum(part.dense() for part in found.values())
    assert relative_error(whole, sum(expected.values())) < 1e-12


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("pairs", [slice(None), np.random.default_rng(1).permutation(P * P)[:20]])
def test_alignments_equal_those_of_matrices(pairs, biases):
    """On all pairs and on some, whose tokens then stand in groups of different sizes."""
    net, (a, b) = network("relu", biases), (token[pairs] for token in all_pairs(P))
    answer = (a + b) % P
    parts, target = kernel.mlp_kernel(net, a, b), np.equal.outer(answer, answer).astype(float)
    dense = {name: part.dense() for name, part in parts.items()}
    whole, found = sum(dense.values()), kernel.class_alignments(parts, answer)
    assert found.pop("whole") == pytest.approx(kernel.dense_alignment(whole, target), rel=1e-11)
    cosine = (whole * target).sum() / np.linalg.norm(whole) / np.linalg.norm(target)
    assert found.pop("uncentred") == pytest.approx(cosine, rel=1e-11)
    assert found.pop("readout_bias", 0) == 0  # constant: nothing is left of it when centred
    expected = {name: kernel.dense_alignment(dense[name], target) for name in found}
    assert found == pytest.approx(expected, rel=1e-11)
    assert kernel.alignment(parts, kernel.class_kernel(answer), centred=False) == pytest.approx(cosine)


def test_dense_alignment_is_the_cosine_of_centred_matrices():
    one, two = (x @ x.T for x in np.random.default_rng(0).standard_normal((2, 9, 4)))
    centring = np.eye(9) - 1 / 9
    flat = [(centring @ each @ centring).ravel() for each in (one, two)]
    expected = flat[0] @ flat[1] / np.sqrt((flat[0] @ flat[0]) * (flat[1] @ flat[1]))
    assert kernel.dense_alignment(one, two) == pytest.approx(expected)


def test_velocity_compares_kernels_of_two_steps():
    (a, b), net = all_pairs(P), network("relu")
    later = replace(net, first_a_TN=net.first_a_TN + 0.5)
    now, then = (kernel.mlp_kernel(each, a, b) for each in (net, later))
    dense = [sum(part.dense() for part in each.values()) for each in (now, then)]
    assert kernel.velocity(now, then) == pytest.approx(1 - kernel.dense_alignment(*dense), rel=1e-9)
    assert kernel.velocity(now, then) > 0.01
    assert kernel.velocity(now, kernel.mlp_kernel(net, a, b)) == pytest.approx(0, abs=1e-12)


def test_uncentred_alignment_of_a_constant_kernel_is_the_floor():
    a, b = all_pairs(97)
    answer = (a + b) % 97
    constant = {"constant": Part(np.ones((len(a), 1)))}
    floor = kernel.alignment(constant, kernel.class_kernel(answer), centred=False)
    assert floor == pytest.approx(97**-0.5) == pytest.approx(kernel.uncentred_floor(answer))
    assert kernel.alignment(constant, kernel.class_kernel(answer)) == 0
    uneven = np.array([0, 0, 0, 1])
    assert kernel.uncentred_floor(uneven) == pytest.approx(10**0.5 / 4)


def test_a_dead_network_has_no_alignment():
    (a, b), dead = all_pairs(P), replace(network("relu"), readout_VN=np.zeros((P, WIDTH)), scale=0.0)
    found = kernel.class_alignments(kernel.mlp_kernel(dead, a, b), (a + b) % P)
    assert {found[name] for name in found if name != "uncentred"} == {0}


def test_float32_weights_give_the_alignment_of_float64():
    (a, b), net = all_pairs(P), network("relu")
    single = {
        name: getattr(net, name).astype(np.float32) for name in ("first_a_TN", "first_b_TN", "readout_VN")
    }
    expected = kernel.class_alignments(kernel.mlp_kernel(net, a, b), (a + b) % P)
    found = kernel.class_alignments(kernel.mlp_kernel(replace(net, **single), a, b), (a + b) % P)
    assert found == pytest.approx(expected, rel=1e-5)


def test_first_layer_adds_to_class_alignment_on_the_diagonal_only():
    """Pairs of equal sum share no token unless they are the same."""
    (a, b), net = all_pairs(P), network("relu")
    answer = (a + b) % P
    target = np.equal.outer(answer, answer)
    for name in ("first_a", "first_b"):
        dense = kernel.mlp_kernel(net, a, b)[name].dense()
        assert dense[target].sum() == pytest.approx(np.trace(dense), rel=1e-12)


def test_relabelling_and_scale_do_not_change_alignment():
    (a, b), net = all_pairs(P), cosine_mlp(P, 40, "relu", np.random.default_rng(0))
    relabelled = 3 * np.arange(P) % P
    other = replace(
        net,
        first_a_TN=net.first_a_TN[relabelled],
        first_b_TN=net.first_b_TN[relabelled],
        readout_VN=2 * net.readout_VN[relabelled],
    )
    # twice the readout is twice the first layer's gradients, so twice the hidden layer restores the balance
    other = replace(other, first_a_TN=2 * other.first_a_TN, first_b_TN=2 * other.first_b_TN)
    answer = (a + b) % P
    expected = kernel.class_alignments(kernel.mlp_kernel(net, a, b), answer)
    assert kernel.class_alignments(kernel.mlp_kernel(other, a, b), answer) == pytest.approx(expected)


def dense_layers(net):
    """The network as a stack of dense layers on [one-hot a; one-hot b]."""
    a, b = all_pairs(P)
    inputs = np.hstack([np.eye(P)[a], np.eye(P)[b]])
    first = net.scale * np.vstack([net.first_a_TN, net.first_b_TN]).T
    return inputs, [first, net.readout_VN], [net.scale * net.first_bias_N, net.readout_bias_V]


def test_probed_kernel_converges_to_the_exact_one():
    """Its mean over many probes is within their standard error, entry by entry; a wrong sharing is not."""
    net = replace(network(), scale=1.0)
    inputs, weights, biases = dense_layers(net)
    drawn = np.random.default_rng(0).standard_normal((4000, P))
    estimates = np.array(
        [
            probes.probed_kernel(probes.dense_passes(inputs, weights, biases, "gelu", drawn[i : i + 8]))
            for i in range(0, len(drawn), 8)
        ]
    )
    exact = sum(part.dense() for part in kernel.mlp_kernel(net, *all_pairs(P)).values())
    error = estimates.std(0, ddof=1) / len(estimates) ** 0.5
    deviation = (estimates.mean(0) - exact) / error
    # entries share their probes, so all may deviate together, by about one standard error
    assert np.abs(deviation).max() < 4.5
    assert np.abs(deviation).mean() < 1.5
    assert relative_error(estimates.mean(0), exact) < 0.05 < relative_error(estimates[0], exact)


def test_a_probe_along_every_class_gives_the_exact_kernel():
    """√V e_c for each class c has the covariance of N(0, I)."""
    net = replace(network(), scale=1.0)
    inputs, weights, biases = dense_layers(net)
    passes = probes.dense_passes(inputs, weights, biases, "gelu", P**0.5 * np.eye(P))
    exact = sum(part.dense() for part in kernel.mlp_kernel(net, *all_pairs(P)).values())
    assert relative_error(probes.probed_kernel(passes), exact) < 1e-12


def test_probes_of_a_deep_stack_with_a_shared_embedding_equal_jacobians():
    """Embedding of both operands by one table, then three dense layers, one of them without bias."""
    random = np.random.default_rng(0)
    embedding, shapes = random.standard_normal((P, 3)), [(5, 6), (4, 5), (P, 4)]
    weights = [random.standard_normal(shape) for shape in shapes]
    biases = [random.standard_normal(5), None, random.standard_normal(P)]
    a, b = all_pairs(P)
    inputs = np.hstack([embedding[a], embedding[b]])
    passes = probes.dense_passes(inputs, weights, biases, "gelu", P**0.5 * np.eye(P))
    to_inputs = passes[0].gradients_PBSO[:, :, 0] @ weights[0]
    places = np.stack([np.eye(P)[a], np.eye(P)[b]], axis=1)
    table = probes.LayerPass(places, to_inputs.reshape(P, len(a), 2, 3), bias=False)

    def logits(parameters):
        table, first, second, third, first_bias, third_bias = parameters
        x = torch.cat([table[torch.from_numpy(a)], table[torch.from_numpy(b)]], dim=1)
        x = gelu(gelu(x @ first.T + first_bias) @ second.T)
        return x @ third.T + third_bias

    arrays = [embedding, *weights, biases[0], biases[2]]
    jacobians = jacrev(logits)([torch.from_numpy(array) for array in arrays])
    flat = torch.cat([jacobian.flatten(2) for jacobian in jacobians], dim=2)
    exact = torch.einsum("xcp,ycp->xy", flat, flat).numpy()
    assert relative_error(probes.probed_kernel([table, *passes]), exact) < 1e-12
