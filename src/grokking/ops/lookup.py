"""Table lookup: rows gathered forward, gradients added by index backward."""

# ... leading dimensions (replicas), R their product, T rows of a table, D columns, B examples, K rows each

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of a table for each example: (..., T, D), (..., B) -> (..., B, D)."""
    *leading, length, width = table.shape
    table_RTD = table.reshape(-1, length, width)
    index_RB1 = index.reshape(len(table_RTD), index.shape[-1], 1)
    return cast(Tensor, _Rows.apply(table_RTD, index_RB1)).view(*leading, index.shape[-1], width)


def long_rows(index_RBK: Tensor, length: int) -> Tensor:
    """Row numbers (R·B, K) in stacked tables seen as one long table, so that R replicas are one gather."""
    first_row_R = length * torch.arange(len(index_RBK), device=index_RBK.device)
    return (index_RBK + first_row_R[:, None, None]).flatten(0, 1)


class _Rows(Function):
    @staticmethod
    def forward(ctx: Any, table_RTD: Tensor, index_RBK: Tensor) -> Tensor:
        long_index = long_rows(index_RBK, table_RTD.shape[1]).squeeze(1)
        ctx.save_for_backward(long_index)
        ctx.shape = table_RTD.shape
        return table_RTD.flatten(0, 1).index_select(0, long_index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """autograd's own goes example by example; index_add is several times faster."""
        (long_index,) = ctx.saved_tensors
        summed = gradients[0].new_zeros(ctx.shape)
        summed.flatten(0, 1).index_add_(0, long_index, gradients[0].flatten(0, -2))
        return summed, None
