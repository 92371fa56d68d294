"""Networks whose two passes are written for one replica, on stacked replicas one after the other."""

# ... leading dimensions (none, or R replicas), B examples, V classes

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Parameters = Sequence[Tensor]  # of one replica


class Passes(Protocol):
    """Operands (B,) and logits (B, V) are one replica's; `kept` is what the way back needs."""

    def forward(self, parameters: Parameters, a_B: Tensor, b_B: Tensor) -> tuple[Tensor, Any]:
        """Logits, and what is kept."""
        ...

    def backward(
        self, parameters: Parameters, a_B: Tensor, b_B: Tensor, grad_BV: Tensor, kept: Any
    ) -> Sequence[Tensor]:
        """Gradients of all parameters, in their order."""
        ...


def pair_logits(passes: Passes, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
    """Logits (..., B, V) of pairs (..., B); first derivatives only."""
    return cast(Tensor, _PairLogits.apply(passes, a, b, *parameters))


class _PairLogits(Function):
    @staticmethod
    def forward(ctx: Any, passes: Passes, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, *parameters)
        found = [passes.forward(p, a_B, b_B) for a_B, b_B, *p in each((a, b, *parameters), a.dim() > 1)]
        ctx.passes, ctx.kept = passes, [kept for _, kept in found]
        return together([logits_BV for logits_BV, _ in found], a.dim() > 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        stacked, found = grads[0].dim() > 2, []
        replicas = each((*grads, *ctx.saved_tensors), stacked)
        for (grad_BV, a_B, b_B, *parameters), kept in zip(replicas, ctx.kept, strict=True):
            found.append(ctx.passes.backward(parameters, a_B, b_B, grad_BV, kept))
        return None, None, None, *(together(of_one, stacked) for of_one in zip(*found, strict=True))


def each(tensors: Sequence[Tensor], stacked: bool) -> list[tuple[Tensor, ...]]:
    """The tensors of one replica after the other, without gaps and outside of autograd's graph."""
    whole = [x.detach().contiguous() for x in tensors]
    return list(zip(*(x.unbind(0) for x in whole), strict=True)) if stacked else [tuple(whole)]


def together(tensors: Sequence[Tensor], stacked: bool) -> Tensor:
    """The tensors of all replicas as one, with a dimension of replicas in front if `stacked`.

    Each was written into memory of its own, since MKL's last bits may depend on where that begins.
    """
    if len(tensors) > 1:
        return torch.stack(list(tensors))
    return tensors[0].unsqueeze(0) if stacked else tensors[0]
