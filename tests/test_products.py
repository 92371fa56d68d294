"""Products of float32 matrices by either library against the same in float64."""

import pytest
import torch
from torch.testing import assert_close

from grokking.ops import matmul as products
from grokking.ops.matmul import add_product, affine, array_product, product

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(params=["torch's", "oneDNN's"], autouse=True)
def library(request, monkeypatch):
    """Whatever this processor would choose; oneDNN multiplies without AVX-512, too."""
    if request.param == "oneDNN's" and not torch.backends.mkldnn.is_available():
        pytest.skip("needs a build of torch with oneDNN")
    monkeypatch.setattr(products, "AVX512", request.param == "oneDNN's")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def laid_out(matrix: torch.Tensor, layout: str) -> torch.Tensor:
    """The same entries, elsewhere in memory."""
    rows, columns = matrix.shape[-2:]
    if layout == "transposed":
        return matrix.mT.contiguous().mT
    wider = torch.full((*matrix.shape[:-2], rows + 3, columns + 2), torch.nan)
    gaps = wider[..., 1 : rows + 1, 2:]
    gaps.copy_(matrix)
    return {"dense": matrix, "with gaps": gaps}[layout]


@pytest.mark.parametrize("leading", [(), (1,), (3,)])
@pytest.mark.parametrize("of_y", ["dense", "transposed", "with gaps"])
@pytest.mark.parametrize("of_x", ["dense", "transposed", "with gaps"])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (7, 5, 3), (40, 33, 97)])
def test_a_product_is_that_in_float64(rows, inputs, outputs, of_x, of_y, leading):
    x, y = normal(*leading, rows, inputs), normal(*leading, inputs, outputs, seed=1)
    exact = (x.double() @ y.double()).float()
    found = product(laid_out(x, of_x), laid_out(y, of_y))
    assert found.is_contiguous()
    assert_close(found, exact, **TOLERANCE)
    if not leading:
        assert_close(
            torch.from_numpy(array_product(x.numpy(), laid_out(y, of_y).numpy())), exact, **TOLERANCE
        )
    bias = normal(*leading, outputs, seed=2)
    found = affine(laid_out(x, of_x), laid_out(y, of_y).mT, bias)
    assert_close(found, exact + bias.unsqueeze(-2), **TOLERANCE)
    if leading:
        total = torch.ones_like(exact)
        add_product(total, laid_out(x, of_x), laid_out(y, of_y))
        assert_close(total, 1 + exact, **TOLERANCE)


def test_a_replica_has_the_same_bits_beside_others():
    x, y, bias = normal(8, 50, 70), normal(8, 30, 70, seed=1), normal(8, 30, seed=2)
    together = affine(x, y, bias)
    for number in range(8):
        alone = slice(number, number + 1)
        assert torch.equal(affine(x[alone], y[alone], bias[alone])[0], together[number])


@pytest.mark.parametrize("leading", [(), (2,)])
def test_derivatives_are_those_of_operations_in_float64(leading):
    """First and second ones, of a function that is not linear in any of its arguments."""
    given = [normal(*leading, 6, 5), normal(*leading, 4, 5, seed=1), normal(*leading, 4, seed=2)]

    def derivatives(dtype, function):
        x, weight, bias = (tensor.to(dtype).requires_grad_() for tensor in given)
        value = function(x, weight, bias).pow(3).sum()
        first = torch.autograd.grad(value, (x, weight, bias), create_graph=True)
        along = sum((gradient * gradient.detach().cos()).sum() for gradient in first)
        return [*first, *torch.autograd.grad(along, (x, weight, bias))]

    exact = derivatives(torch.float64, lambda x, weight, bias: x @ weight.mT + bias.unsqueeze(-2))
    for found, expected in zip(derivatives(torch.float32, affine), exact, strict=True):
        assert_close(found, expected.float(), rtol=1e-4, atol=1e-3)


def test_what_is_not_needed_has_no_gradient():
    """Frozen weights and inputs from outside."""
    x, weight = normal(6, 5), normal(4, 5, seed=1).requires_grad_()
    product(x, weight.mT).sum().backward()
    assert_close(weight.grad, x.sum(0).expand(4, 5), **TOLERANCE)
    assert x.grad is None
