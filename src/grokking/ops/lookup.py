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
    found = _Rows.apply(table.reshape(-1, *table.shape[-2:]), index.reshape(-1, index.shape[-1]))
    return cast(Tensor, found).view(*index.shape, table.shape[-1])


class _Rows(Function):
    @staticmethod
    def forward(ctx: Any, table_RTD: Tensor, index_RB: Tensor) -> Tensor:
        ctx.shape = replicas, length, width = table_RTD.shape
        first_row_R = length * torch.arange(replicas, device=index_RB.device)
        row = (index_RB + first_row_R[:, None]).flatten()
        ctx.save_for_backward(index_RB, row)
        return table_RTD.reshape(-1, width).index_select(0, row)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """autograd's own goes example by example; index_add is several times faster.

        On a GPU it adds in any order, and two runs would differ: there a product with a one-hot matrix adds.
        """
        (index_RB, row), (grad,) = ctx.saved_tensors, grads
        replicas, length, width = ctx.shape
        if grad.is_cuda:
            one_hot_RBT = index_RB.unsqueeze(2) == torch.arange(length, device=grad.device)
            return one_hot_RBT.to(grad.dtype).mT @ grad.reshape(replicas, -1, width), None
        return grad.new_zeros(replicas * length, width).index_add_(0, row, grad).view(ctx.shape), None
