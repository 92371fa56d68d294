"""Matrix products of stacked replicas, by the faster of torch's two libraries.

torch multiplies float32 matrices by MKL, which keeps to AVX2 on processors that are not Intel's. oneDNN,
which torch brings along for its compiler, uses AVX-512 wherever there is one: on an AMD EPYC of 2025 it
was twice as fast from matrices of 128 × 128 on (docs/performance.md). Without AVX-512, on a GPU and in
float64 torch's own product is used.
"""

# ... leading dimensions (none, or R replicas), B rows, I inputs, O outputs

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

AVX512 = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def suit(x: Tensor) -> bool:
    """Whether oneDNN should multiply this."""
    return AVX512 and x.device.type == "cpu" and x.dtype == torch.float32


def product(x: Tensor, y: Tensor, factors: torch.dtype | None = None) -> Tensor:
    """x @ y, (..., B, I) and (..., I, O); `factors`: a shorter type to which all three are rounded."""
    if factors is not None:
        return (x.to(factors) @ y.to(factors)).to(x.dtype)
    return _affine(x, y.mT, None) if suit(x) else x @ y


def affine(x: Tensor, weight: Tensor, bias: Tensor, factors: torch.dtype | None = None) -> Tensor:
    """x @ weight.T + bias, (..., B, I), (..., O, I) and (..., O); `factors` as in `product`."""
    if factors is not None:
        return product(x, weight.mT, factors) + bias.unsqueeze(-2)
    if suit(x):
        return _affine(x, weight, bias)
    if x.dim() == 2:
        return torch.addmm(bias, x, weight.mT)
    return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)


def add_product(total: Tensor, x: Tensor, y: Tensor, factors: torch.dtype | None = None) -> None:
    """Add x @ y, stacked matrices, to `total`."""
    if factors is None and not suit(x):
        total.baddbmm_(x, y)
    else:
        total.add_(product(x, y, factors))


@torch.no_grad()
def array_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x @ y for NumPy's matrices, whose own library is as slow as MKL where AVX-512 counts."""
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    return product(*tensors).numpy() if suit(tensors[0]) else x @ y


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A replica after the other, so that its bits do not depend on its neighbours."""
    if x.dim() == 2:
        multiply = _Affine.apply if torch.is_grad_enabled() else _by_onednn
        return cast(Tensor, multiply(x, weight, bias))
    each = [
        _affine(x[replica], weight[replica], None if bias is None else bias[replica])
        for replica in range(len(x))
    ]
    return each[0].unsqueeze(0) if len(each) == 1 else torch.stack(each)


class _Affine(Function):
    """Differentiable as often as one likes: its gradients are products of the same kind."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _by_onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        (gradient,) = gradients
        return (
            product(gradient, weight) if of_x else None,
            product(gradient.mT, x) if of_weight else None,
            gradient.sum(-2) if ctx.biased and of_bias else None,
        )


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    dense = _dense(x), _dense(weight)
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(*dense, bias, "none", [], ""))


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps between rows or between columns: others oneDNN would copy entry by entry."""
    rows, columns = matrix.shape
    return matrix if matrix.stride() in ((columns, 1), (1, rows)) else matrix.contiguous()
