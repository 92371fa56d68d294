"""Table lookup as the first layer: rows gathered forward, gradients added by index backward.

A one-hot input times a matrix is a row of the matrix. Gathering it replaces a product that would read
the whole matrix for every example.
"""

# ... leading dimensions (replicas), R their product, T rows of a table, D columns, B examples, K rows each

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of a table for each example: (..., T, D), (..., B) -> (..., B, D)."""
    *leading, length, width = table.shape
    table_RTD, index_RB1 = table.reshape(-1, length, width), index.reshape(-1, index.shape[-1], 1)
    return cast(Tensor, _Rows.apply(table_RTD, index_RB1)).view(*leading, -1, width)


def long_rows(index_RBK: Tensor, length: int) -> Tensor:
    """Row numbers (R·B, K) in stacked tables seen as one long table, so that R replicas are one gather."""
    first_row_R = length * torch.arange(len(index_RBK), device=index_RBK.device)
    return (index_RBK + first_row_R[:, None, None]).flatten(0, 1)


def gathered(table: Tensor, long_index: Tensor) -> Tensor:
    """Sums of K rows for each example: (..., T, D), (R·B, K) -> (..., B, D)."""
    *leading, _, width = table.shape
    long_table = table.reshape(-1, width)
    if long_index.shape[1] == 1:
        return long_table.index_select(0, long_index.squeeze(1)).view(*leading, -1, width)
    summed = torch.nn.functional.embedding_bag(long_index, long_table, mode="sum")
    return summed.view(*leading, -1, width)


def add_scattered(sum_RTD: Tensor, gradient_RBD: Tensor, long_index: Tensor) -> None:
    """Add the gradient of `gathered` to that of the tables.

    autograd's own backward of a gather goes example by example; an index_add per operand is several times
    faster.
    """
    gradient, long_sum = gradient_RBD.flatten(0, 1), sum_RTD.view(-1, sum_RTD.shape[-1])
    for column in long_index.unbind(-1):
        long_sum.index_add_(0, column, gradient)


class _Rows(Function):
    @staticmethod
    def forward(ctx: Any, table_RTD: Tensor, index_RBK: Tensor) -> Tensor:
        long_index = long_rows(index_RBK, table_RTD.shape[1])
        ctx.save_for_backward(long_index)
        ctx.shape = table_RTD.shape
        return gathered(table_RTD, long_index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (long_index,) = ctx.saved_tensors
        summed = gradients[0].new_zeros(ctx.shape)
        add_scattered(summed, gradients[0], long_index)
        return summed, None
