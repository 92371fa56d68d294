"""Passes that are written for one replica, on stacked replicas one after the other."""

# ... leading dimensions (none, or R replicas)

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class Passes(Protocol):
    """Of one replica: forward the result and what the way back needs, backward each tensor's gradient."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Any]: ...
    def backward(self, grad: Tensor, kept: Any, *tensors: Tensor) -> Sequence[Tensor | None]: ...


def by_replica(passes: Passes, stacked: bool, *tensors: Tensor) -> Tensor:
    """Results of all replicas, whose dimension is in front if `stacked`; first derivatives only."""
    return cast(Tensor, _ByReplica.apply(passes, stacked, *tensors))


class _ByReplica(Function):
    @staticmethod
    def forward(ctx: Any, passes: Passes, stacked: bool, *tensors: Tensor) -> Tensor:
        found = [passes.forward(*of_one) for of_one in _each(tensors, stacked)]
        ctx.save_for_backward(*tensors)
        ctx.passes, ctx.stacked, ctx.kept = passes, stacked, [kept for _, kept in found]
        return _together([result for result, _ in found], stacked)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        replicas = zip(_each((*grads, *ctx.saved_tensors), ctx.stacked), ctx.kept, strict=True)
        found = [ctx.passes.backward(grad, kept, *of_one) for (grad, *of_one), kept in replicas]
        by_tensor = zip(*found, strict=True)
        return None, None, *(None if x[0] is None else _together(x, ctx.stacked) for x in by_tensor)


def _each(tensors: Sequence[Tensor], stacked: bool) -> list[tuple[Tensor, ...]]:
    """The tensors of one replica after the other, without gaps and outside of autograd's graph."""
    if not stacked:
        return [tuple(x.detach().contiguous() for x in tensors)]
    return list(zip(*(x.contiguous().unbind(0) for x in tensors), strict=True))


def _together(tensors: Sequence[Tensor], stacked: bool) -> Tensor:
    """The tensors of all replicas as one.

    Each was written into memory of its own, since MKL's last bits may depend on where that begins.
    """
    if len(tensors) > 1:
        return torch.stack(list(tensors))
    return tensors[0].unsqueeze(0) if stacked else tensors[0]
