"""The factorised tangent kernel against Jacobians by autograd and against dense matrices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import jacrev
from torch.nn.functional import gelu, one_hot

from grokking.data.table import all_pairs
from grokking.diagnostics import kernel
from grokking.diagnostics.kernel import Part
from grokking.diagnostics.known_solutions import cosine_mlp
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP

P, WIDTH = 7, 6
PLAIN = {"relu": torch.relu, "square": torch.square, "gelu": gelu}


def network(activation="gelu", biases=True, classes=P):
    random = np.random.default_rng(0)
    first_a, first_b = random.standard_normal((2, P, WIDTH))
    first_bias, readout = random.standard_normal(WIDTH), random.standard_normal((classes, WIDTH))
    readout_bias = random.standard_normal(classes)
    if not biases:
        return TwoLayerMLP(first_a, first_b, readout, activation, scale=WIDTH**-0.5, output_scale=1.7)
    return TwoLayerMLP(
        first_a, first_b, readout, activation, first_bias, readout_bias, scale=WIDTH**-0.5, output_scale=1.7
    )


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
    return net.output_scale * (hidden @ parameters["readout"].T + parameters.get("readout_bias", 0))


def jacobian_kernels(net, a, b):
    """By parameter: Σ_c J_c J_cᵀ of the Jacobians that autograd gives."""
    jacobians = jacrev(lambda parameters: plain_logits(net, parameters, a, b))(tensors(net))
    flat = {name: jacobian.flatten(2) for name, jacobian in jacobians.items()}
    return {name: torch.einsum("xcp,ycp->xy", j, j).numpy() for name, j in flat.items()}


def dense(part):
    """The part as a matrix (B, B)."""
    kernel_BB = part.rows_BN @ part.rows_BN.T
    return kernel_BB if part.group_B is None else kernel_BB * np.equal.outer(part.group_B, part.group_B)


def dense_alignment(one, two):
    """Cosine of two centred matrices."""
    centring = np.eye(len(one)) - 1 / len(one)
    one, two = (centring @ each @ centring for each in (one, two))
    return (one * two).sum() / (np.linalg.norm(one) * np.linalg.norm(two))


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
        assert relative_error(dense(part), expected[name]) < 1e-12, name
    whole = sum(map(dense, found.values()))
    assert relative_error(whole, sum(expected.values())) < 1e-12


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("pairs", [slice(None), np.random.default_rng(1).permutation(P * P)[:20]])
def test_alignments_equal_those_of_matrices(pairs, biases):
    """On all pairs and on some, whose tokens then stand in groups of different sizes."""
    net, (a, b) = network("relu", biases), (token[pairs] for token in all_pairs(P))
    answer = (a + b) % P
    parts, target = kernel.mlp_kernel(net, a, b), np.equal.outer(answer, answer).astype(float)
    matrices = {name: dense(part) for name, part in parts.items()}
    whole, found = sum(matrices.values()), kernel.class_alignments(parts, answer)
    assert found.pop("whole") == pytest.approx(dense_alignment(whole, target), rel=1e-11)
    cosine = (whole * target).sum() / np.linalg.norm(whole) / np.linalg.norm(target)
    assert found.pop("uncentred") == pytest.approx(cosine, rel=1e-11)
    assert found.pop("readout_bias", 0) == 0  # constant: nothing is left of it when centred
    expected = {name: dense_alignment(matrices[name], target) for name in found}
    assert found == pytest.approx(expected, rel=1e-11)


def test_feature_distance_compares_the_kernels_of_two_layers():
    random = np.random.default_rng(0)
    one, other = random.standard_normal((30, 6)) + 3, random.standard_normal((30, 4))
    expected = 1 - dense_alignment(one @ one.T, other @ other.T)
    assert kernel.feature_distance(one, other) == pytest.approx(expected, rel=1e-10)
    rotation = np.linalg.qr(random.standard_normal((6, 6)))[0]
    assert kernel.feature_distance(one, 5 * one @ rotation + 1) == pytest.approx(0, abs=1e-12)


def test_uncentred_alignment_of_a_constant_kernel_is_its_floor():
    a, b = all_pairs(97)
    found = kernel.class_alignments({"constant": Part(np.ones((len(a), 1)))}, (a + b) % 97)
    assert found["uncentred"] == pytest.approx(97**-0.5)
    assert found["whole"] == 0


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
        matrix = dense(kernel.mlp_kernel(net, a, b)[name])
        assert matrix[target].sum() == pytest.approx(np.trace(matrix), rel=1e-12)


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
