"""Table lookup: rows gathered forward, gradients added by index backward."""

# ... leading dimensions (replicas), R their product, T rows of a table, D columns, B examples

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of a table for each example: (..., T, D), (..., B) -> (..., B, D).

    The tables of R replicas are seen as one long table, so that they are one gather.
    """
    *leading, length, width = table.shape
    index_RB = index.reshape(-1, index.shape[-1])
    first_row_R = length * torch.arange(len(index_RB), device=index.device)
    found = _Rows.apply(table.reshape(-1, width), (index_RB + first_row_R[:, None]).flatten())
    return cast(Tensor, found).view(*leading, index.shape[-1], width)


class _Rows(Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = table.shape
        return table.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """autograd's own goes example by example; index_add is several times faster."""
        (index,) = ctx.saved_tensors
        return grads[0].new_zeros(ctx.shape).index_add_(0, index, grads[0]), None
