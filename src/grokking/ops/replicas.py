"""Stacked replicas taken apart and put together again, for ops that work on one after the other."""

# ... leading dimensions (none, or R replicas)

from collections.abc import Sequence

import torch
from torch import Tensor


def each(x: Tensor, dimensions: int) -> Sequence[Tensor]:
    """One tensor per replica, without gaps; `x` itself if it has only the `dimensions` of one replica."""
    whole = x.contiguous()
    return whole.unbind(0) if x.dim() > dimensions else [whole]


def together(tensors: Sequence[Tensor], stacked: bool) -> Tensor:
    """The tensors of all replicas as one, with a dimension of replicas in front if `stacked`.

    Each was written into memory of its own, since MKL's last bits may depend on where that begins.
    """
    if len(tensors) > 1:
        return torch.stack(list(tensors))
    return tensors[0].unsqueeze(0) if stacked else tensors[0]
