"""Table lookup as the first layer: rows gathered forward, gradients added by index backward.

A one-hot input times a matrix is a row of the matrix. Gathering it replaces a product that would read
the whole matrix for every example.
"""

# ... leading dimensions (replicas), R their product, T rows of a table, D columns, B examples, K rows each

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from grokking.ops import numba_kernels as kernels
from grokking.ops.numba_kernels import stacked


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


def sum_pairs(table: Tensor, a: Tensor, b: Tensor, rectified: bool) -> Tensor:
    """The sum of two rows for each pair, negative entries made 0 where it is to be `rectified`.

    The table holds the rows of a and below them those of b: (..., T, N), (..., B), (..., B) -> (..., B, N).
    """
    if kernels.suit(table):
        return _summed(table, a, b, rectified)
    *leading, length, width = table.shape
    summed = torch.nn.functional.embedding_bag(
        _long_pairs(a, b, length), table.reshape(-1, width), mode="sum"
    )
    return (torch.relu_(summed) if rectified else summed).view(*leading, -1, width)


def _summed(table: Tensor, a: Tensor, b: Tensor, rectified: bool) -> Tensor:
    summed = table.new_empty(*a.shape, table.shape[-1])
    out_RBN = stacked(summed, 3)
    kernels.sum_pairs(stacked(table, 3), stacked(a, 2), stacked(b, 2), _floor(rectified, table), out_RBN)
    return summed


def add_pairs(
    of_sum: Tensor, summed: Tensor, a: Tensor, b: Tensor, rectified: bool, of_table: Tensor
) -> None:
    """Add the gradient of `sum_pairs`, which gave `summed`, to that of the table; may overwrite `of_sum`."""
    if kernels.suit(of_table):
        of_sum_RBN, sum_RBN, of_table_RTN = (stacked(x, 3) for x in (of_sum, summed, of_table))
        floor = _floor(rectified, of_table)
        kernels.add_pairs(of_sum_RBN, sum_RBN, floor, stacked(a, 2), stacked(b, 2), of_table_RTN)
        return
    gradient = (relu_gradient(of_sum, summed) if rectified else of_sum).flatten(0, -2)
    for column in _long_pairs(a, b, of_table.shape[-2]).unbind(-1):
        of_table.view(-1, of_table.shape[-1]).index_add_(0, column, gradient)


def _long_pairs(a: Tensor, b: Tensor, length: int) -> Tensor:
    """The rows of both operands (R·B, 2) in the tables of all replicas, one below the other."""
    pair_RB2 = torch.stack([a, length // 2 + b], dim=-1).reshape(-1, a.shape[-1], 2)
    return long_rows(pair_RB2, length)


def _floor(rectified: bool, table: Tensor) -> np.generic:
    return kernels.number(0 if rectified else -np.inf, table.dtype)


def relu_gradient(gradient: Tensor, after: Tensor) -> Tensor:
    """The gradient where ReLU gave more than 0, else 0; in place."""
    return torch.ops.aten.threshold_backward.grad_input(gradient, after, 0, grad_input=gradient)


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
