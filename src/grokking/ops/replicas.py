"""Ops that are written for one replica, on the replicas of a stack one after the other."""

# ... leading dimensions (none, or R replicas)

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class OneReplicaOp(Protocol):
    """Forward: the result, and what is saved for the backward pass. Backward: each tensor's gradient."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Any]: ...
    def backward(self, grad: Tensor, saved: Any, *tensors: Tensor) -> Sequence[Tensor | None]: ...


def by_replica(op: OneReplicaOp, has_replica_dim: bool, *tensors: Tensor) -> Tensor:
    """Results of all replicas, whose dimension is in front if `has_replica_dim`; first derivatives only."""
    if not has_replica_dim:
        return by_replica(op, True, *(x.unsqueeze(0) for x in tensors)).squeeze(0)
    return cast(Tensor, _ByReplica.apply(op, *tensors))


class _ByReplica(Function):
    @staticmethod
    def forward(ctx: Any, op: OneReplicaOp, *tensors: Tensor) -> Tensor:
        found = [op.forward(*of_one) for of_one in _each(tensors)]
        ctx.save_for_backward(*tensors)
        ctx.op, ctx.saved = op, [saved for _, saved in found]
        return _together([result for result, _ in found])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        replicas = zip(_each((*grads, *ctx.saved_tensors)), ctx.saved, strict=True)
        found = [ctx.op.backward(grad, saved, *of_one) for (grad, *of_one), saved in replicas]
        return None, *(None if x[0] is None else _together(x) for x in zip(*found, strict=True))


def _each(tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of one replica after the other, without gaps."""
    return zip(*(x.contiguous().unbind(0) for x in tensors), strict=True)


def _together(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors of all replicas as one.

    Each was written into memory of its own, since MKL's last bits may depend on where that begins.
    """
    return torch.stack(list(tensors)) if len(tensors) > 1 else tensors[0].unsqueeze(0)
