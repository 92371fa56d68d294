"""Table lookup as the first layer: rows gathered forward, gradients added by index backward.

A one-hot input times a matrix is a row of the matrix. Gathering it replaces a product that would read
the whole matrix for every example.
"""

# ... leading dimensions (replicas), T rows of a table, D columns, B examples

import torch
from torch import Tensor


def rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table by index: (..., T, D), (..., B) -> (..., B, D).

    Stacked tables are one long table, so that any number of replicas is one gather.
    """
    *leading, length, width = table.shape
    first_row = length * torch.arange(leading[0] if leading else 1, device=index.device)
    flat_index = (index + first_row[:, None]).flatten() if leading else index
    return table.reshape(-1, width).index_select(0, flat_index).reshape(*leading, -1, width)
