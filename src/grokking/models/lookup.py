"""Table lookup as the first layer: rows gathered forward, gradients added by index backward.

A one-hot input times a matrix is a row of the matrix. Gathering it replaces a product that would read
the whole matrix for every example.
"""

# R replicas, V rows of a table, D columns, B examples

from typing import Any

import torch
from torch import Tensor


class _Rows(torch.autograd.Function):
    """rows(table_VD, index_B) with a batching rule: R tables are one table of R · V rows."""

    @staticmethod
    def forward(table_VD: Tensor, index_B: Tensor) -> Tensor:
        return table_VD.index_select(0, index_B)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        table_VD, index_B = inputs
        ctx.rows = table_VD.shape[0]
        ctx.save_for_backward(index_B)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient_BD,) = gradients
        (index_B,) = ctx.saved_tensors
        table_VD = gradient_BD.new_zeros(ctx.rows, gradient_BD.shape[1])
        return table_VD.index_add(0, index_B, gradient_BD), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, Any], table: Tensor, index: Tensor) -> Any:
        table_dim, index_dim = in_dims
        if table_dim is None:
            return _Rows.apply(table, index.movedim(index_dim, 0).flatten()).unflatten(
                0, (info.batch_size, -1)
            ), 0
        table_RVD = table.movedim(table_dim, 0)
        index_RB = index.expand(info.batch_size, -1) if index_dim is None else index.movedim(index_dim, 0)
        first_row_R1 = torch.arange(info.batch_size, device=index.device)[:, None] * table_RVD.shape[1]
        rows = _Rows.apply(table_RVD.flatten(0, 1), (index_RB + first_row_R1).flatten())
        return rows.unflatten(0, (info.batch_size, -1)), 0


def rows(table_VD: Tensor, index_B: Tensor) -> Tensor:
    """Rows of a table by index: (V, D), (B,) -> (B, D); differentiable in the table, and under vmap."""
    return _Rows.apply(table_VD, index_B)
