"""Matrix products of stacked replicas, by the library that is faster on this processor.

torch multiplies float32 matrices by MKL, which keeps to AVX2 on processors that are not Intel's. oneDNN,
which torch brings along for its compiler, uses AVX-512 wherever there is one. That is twice as fast where
the processor computes 512 bits at once, as AMD's do from family 26 on (Zen 5); on AMD's family 25, which
takes two turns for them, and on Intel's, where MKL uses AVX-512 itself, MKL is at least as fast.
"""

# ... leading dimensions (none, or R replicas), B rows, I inputs, O outputs

import sys
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from grokking.ops.switch import is_fast

FIRST_FULL_WIDTH_AMD_FAMILY = 26


def linear(x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """x @ weight.T + bias, (..., B, I), (..., O, I) and (..., O); `dtype` as in `matmul`."""
    if dtype is not None:
        return matmul(x, weight.mT, dtype) + bias.unsqueeze(-2)
    if _by_onednn(x):
        return _of_each_replica(x, weight.mT, bias)
    if x.dim() == 2:
        return torch.addmm(bias, x, weight.mT)
    return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)


def matmul(x: Tensor, y: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """x @ y, (..., B, I) and (..., I, O); x, y and the product are rounded to `dtype`, a shorter one."""
    if dtype is not None:
        return (x.to(dtype) @ y.to(dtype)).to(x.dtype)
    return _of_each_replica(x, y) if _by_onednn(x) else x @ y


def add_product(total: Tensor, x: Tensor, y: Tensor, dtype: torch.dtype | None = None) -> None:
    """Add x @ y of two matrices to the total, in place."""
    if dtype is None and not _by_onednn(x):
        torch.addmm(total, x, y, out=total)
    else:
        total.add_(matmul(x, y, dtype))


def _of_each_replica(x: Tensor, *others: Tensor) -> Tensor:
    """oneDNN's x @ y, plus a bias where given; one replica is neither copied nor stacked."""
    if x.dim() == 2:
        return cast(Tensor, _Product.apply(x, *others)) if torch.is_grad_enabled() else _onednn(x, *others)
    if len(x) == 1:
        return _of_each_replica(*(tensor.squeeze(0) for tensor in (x, *others))).unsqueeze(0)
    return torch.stack([_of_each_replica(*replica) for replica in zip(x, *others, strict=True)])


class _Product(Function):
    """A product by oneDNN, differentiable as often as one likes: its gradients are products, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(x, y)
        return _onednn(x, y, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, y), (grad,) = ctx.saved_tensors, grads
        needs_x, needs_y, *needs_bias = ctx.needs_input_grad  # two or three, as `apply` was called
        grad_x = matmul(grad, y.mT) if needs_x else None
        grad_y = matmul(grad.mT, x).mT if needs_y else None  # laid out as a weight is, (O, I)
        return grad_x, grad_y, *(grad.sum(0) if needed else None for needed in needs_bias)


def _by_onednn(x: Tensor) -> bool:
    return x.dtype == torch.float32 and is_fast(x) and onednn_is_faster()


@cache
def onednn_is_faster() -> bool:
    """Whether this AMD processor has AVX-512 of full width, and torch's oneDNN multiplies as it should."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return is_full_width_amd(Path("/proc/cpuinfo")) and onednn_is_right()


def is_full_width_amd(cpuinfo: Path) -> bool:
    """Whether the kernel's description of the processor is of one with AVX-512 units of full width by AMD."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    family = int(facts.get("cpu family", 0))
    return facts.get("vendor_id") == "AuthenticAMD" and family >= FIRST_FULL_WIDTH_AMD_FAMILY


def onednn_is_right() -> bool:
    """Whether torch's operator, which is private and may change, is there and multiplies; if not, say so."""
    x, y = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4)
    try:
        right = torch.equal(_onednn(x, y), x @ y)
    except (AttributeError, RuntimeError, TypeError):
        right = False
    if not right:
        print("warning: oneDNN's product is missing in this torch; MKL multiplies instead", file=sys.stderr)
    return right


def _onednn(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(y.mT), bias, "none", [], ""))


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps between rows or between columns: others oneDNN would copy entry by entry."""
    rows, columns = matrix.shape
    return matrix if matrix.stride() in ((columns, 1), (1, rows)) else matrix.contiguous()
