"""Table lookup: a row for each example."""

# ... leading dimensions (replicas), R their product, T rows of a table, D columns, B examples

import torch
from torch import Tensor


def rows(table: Tensor, index: Tensor) -> Tensor:
    """A row of a table for each example: (..., T, D), (..., B) -> (..., B, D).

    The tables of R replicas are seen as one long table, so that they are one gather: of its gradients
    index_add takes the sums, where autograd's own for `gather` goes example by example. On a GPU index_add
    adds in any order, and two runs would differ: there rows are products with a one-hot matrix.
    """
    length, width = table.shape[-2:]
    if table.is_cuda:
        one_hot = index.unsqueeze(-1) == torch.arange(length, device=index.device)
        return one_hot.to(table.dtype) @ table
    index_RB = index.reshape(-1, index.shape[-1])
    first_row_R = length * torch.arange(len(index_RB))
    found = table.reshape(-1, width).index_select(0, (index_RB + first_row_R[:, None]).flatten())
    return found.view(*index.shape, width)
