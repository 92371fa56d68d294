"""Curvature against dense Hessians, and the excess around minima whose learning coefficient is known."""

import numpy as np
import pytest
import torch
from draws import normal
from torch.nn.functional import cross_entropy

from grokking.diagnostics.landscape import Langevin, smoothed_excess, top_eigenvalue


def tiny_net():
    """A network of 5 · 6 + 6 · 4 parameters and its loss, as a closure and as a function of them."""
    x, label = normal(30, 5), torch.arange(30) % 4
    parameters = [normal(5, 6, seed=1).requires_grad_(), normal(6, 4, seed=2).requires_grad_()]

    def of(first, second):
        return cross_entropy(torch.tanh(x @ first) @ second, label)

    return parameters, lambda: of(*parameters), of


def test_top_eigenvalue_is_that_of_the_dense_hessian():
    parameters, loss, of = tiny_net()
    blocks = torch.autograd.functional.hessian(of, tuple(parameters))
    dense = torch.cat([torch.cat([b.flatten(-2).flatten(0, -2) for b in row], 1) for row in blocks])
    expected = torch.linalg.eigvalsh(dense)[-1].item()
    assert top_eigenvalue(loss, parameters, 300, 0) == pytest.approx(expected, rel=1e-6)
    assert top_eigenvalue(loss, parameters, 25, 0) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("curvatures", [[5.0, 1, -2], [1.0, 2, -7], [-1.0, -4, -9], [0.0, 0, 0]])
def test_top_eigenvalue_is_the_largest_not_the_largest_in_size(curvatures):
    h, w = torch.tensor(curvatures, dtype=torch.float64), normal(3).requires_grad_()
    linear = torch.ones(2, dtype=torch.float64, requires_grad=True)  # enters without curvature

    def loss():
        return (h * w**2).sum() / 2 + 3 * linear.sum()

    expected = max([*curvatures, 0])
    assert top_eigenvalue(loss, [w, linear], 200, 0) == pytest.approx(expected, abs=1e-6)


LANGEVIN = Langevin(step_size=5e-4, localization=1.0, steps=1000, burn_in=100, chains=4)


def test_smoothed_excess_with_a_weak_pull_at_a_regular_minimum_is_half_the_dimension():
    """Linear regression with 6 coefficients, at its least-squares fit."""
    x, n = normal(2000, 6), 2000
    y = x @ normal(6, seed=1) + normal(n, seed=2)
    w = torch.linalg.lstsq(x, y).solution.requires_grad_()
    before = w.detach().clone()
    found = smoothed_excess(lambda: (x @ w - y).square().mean() / 2, [w], n, LANGEVIN, 0)
    assert found.mean == pytest.approx(3, rel=0.1)
    assert 0 < found.standard_error < 0.3
    assert torch.equal(w.detach(), before)


def test_smoothed_excess_counts_only_directions_that_matter():
    """The same loss with two of the six coefficients unused, spread over two tensors."""
    n, h = 2000, torch.tensor([1.0, 2, 1, 0.5], dtype=torch.float64)
    used, unused = torch.zeros(4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    parameters = [used.requires_grad_(), unused.requires_grad_()]

    def loss():
        return (h * used**2).sum() / 2 + 0 * unused.sum()

    found = smoothed_excess(loss, parameters, n, LANGEVIN, 0)
    assert found.mean == pytest.approx(2, rel=0.1)


def test_smoothed_excess_at_a_degenerate_minimum_is_smaller():
    """L = w⁴ has λ = 1/4 against 1/2 of w²; the pull must be weak beside a flat loss."""
    free = Langevin(step_size=4e-3, localization=1e-3, steps=1500, burn_in=100, chains=4)
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    found = smoothed_excess(lambda: (w**4).sum(), [w], 2000, free, 0)
    assert found.mean == pytest.approx(0.25, rel=0.25)


def test_a_diverging_chain_gives_nan_and_restores_the_parameters():
    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    wild = Langevin(step_size=10.0, localization=1.0, steps=300, burn_in=0, chains=1)
    assert np.isnan(smoothed_excess(lambda: (w**4).sum(), [w], 1000, wild, 0).mean)
    assert w.tolist() == [1, 1]


def test_one_chain_has_no_standard_error():
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    one = Langevin(step_size=1e-4, localization=1.0, steps=5, burn_in=0, chains=1)
    assert np.isnan(smoothed_excess(lambda: (w**2).sum(), [w], 100, one, 0).standard_error)
