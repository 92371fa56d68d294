"""Stacked replicas taken apart and put together again, for ops that work on one after the other."""

# ... leading dimensions (none, or R replicas)

from collections.abc import Sequence

import torch
from torch import Tensor


def each(x: Tensor, dimensions: int) -> Sequence[Tensor]:
    """The tensor of each replica, which has so many dimensions, or of the only one, without gaps."""
    whole = x.contiguous()
    return whole.unbind(0) if x.dim() > dimensions else [whole]


def together(tensors: Sequence[Tensor], stacked: bool) -> Tensor:
    """The tensors of all replicas, with a dimension for them if `stacked`, which it is if they are many.

    Each was written into memory of its own, since MKL's last bits may depend on where that begins.
    """
    if len(tensors) > 1:
        return torch.stack(list(tensors))
    return tensors[0].unsqueeze(0) if stacked else tensors[0]
