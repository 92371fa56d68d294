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
    if dtype is not None or _by_onednn(x):
        return matmul(x, weight.mT, dtype) + bias.unsqueeze(-2)
    if x.dim() == 2:
        return torch.addmm(bias, x, weight.mT)
    return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)


def matmul(x: Tensor, y: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """x @ y, (..., B, I) and (..., I, O); x, y and the product are rounded to `dtype`, a shorter type."""
    if dtype is not None:
        return (x.to(dtype) @ y.to(dtype)).to(x.dtype)
    if not _by_onednn(x):
        return x @ y
    if x.dim() == 2:
        return cast(Tensor, _Product.apply(x, y))
    return torch.stack([matmul(x_BI, y_IO) for x_BI, y_IO in zip(x, y, strict=True)])


def multiply(
    x: Tensor, y: Tensor, *, out: Tensor, start: Tensor | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Write x @ y of two matrices, plus `start` where given, which may be `out` itself, into `out`."""
    if dtype is None and not _by_onednn(x):
        return torch.mm(x, y, out=out) if start is None else torch.addmm(start, x, y, out=out)
    product = matmul(x, y, dtype)
    return out.copy_(product) if start is None else torch.add(start, product, out=out)


class _Product(Function):
    """A product by oneDNN, differentiable as often as one likes: its gradients are products, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return _onednn(x, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        of_x, of_y = ctx.needs_input_grad
        return matmul(grads[0], y.mT) if of_x else None, matmul(x.mT, grads[0]) if of_y else None


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


def _onednn(x: Tensor, y: Tensor) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(y.mT), None, "none", [], ""))


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps between rows or between columns: others oneDNN would copy entry by entry."""
    rows, columns = matrix.shape
    return matrix if matrix.stride() in ((columns, 1), (1, rows)) else matrix.contiguous()
