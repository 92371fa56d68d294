"""Attention over sequences of a few positions, for which matrix products are too small to be fast."""

# ... leading dimensions (none, or R replicas), B sequences of S positions, D width, H heads of width d
# N rows that attend, L rows of queries, M rows of keys and values, at most K for each

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokking.ops.attention_kernels import attend, attend_backward
from grokking.ops.numba_kernels import array
from grokking.ops.replicas import by_replica
from grokking.ops.switch import is_fast

PADDING = -1  # ends the list of the rows that a row attends to


def attention(query: Tensor, key_value: Tensor, length: int, heads: int, causal: bool) -> Tensor:
    """Softmax attention within sequences; rows are positions, one sequence below the other.

    Queries (..., B·S, D), keys beside values (..., B·S, 2D) -> (..., B·S, D).
    """
    if is_fast(query):
        query_row = torch.arange(query.shape[-2]).expand(query.shape[:-1])
        key_rows = _rows_of_sequence(query_row, length, causal)
        return row_attention(query, key_value, query_row, key_rows, heads)
    parts = query, *key_value.chunk(2, dim=-1)
    query, key, value = (x.unflatten(-2, (-1, length)).unflatten(-1, (heads, -1)) for x in parts)
    score_HSS = torch.einsum("...qhd,...khd->...hqk", query, key) * query.shape[-1] ** -0.5
    if causal:
        future = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        score_HSS = score_HSS.masked_fill(future, -torch.inf)
    attended = torch.einsum("...hqk,...khd->...qhd", score_HSS.softmax(-1), value)
    return attended.flatten(-2).flatten(-3, -2)


def row_attention(
    query: Tensor, key_value: Tensor, query_row: Tensor, key_rows: Tensor, heads: int
) -> Tensor:
    """Row n has the query of row `query_row[n]` and attends to the rows `key_rows[n]`, up to PADDING.

    (..., L, D), (..., M, 2D), (..., N), (..., N, K) -> (..., N, D). On the CPU; first derivatives only.
    """
    return by_replica(_RowAttention(heads), query_row.dim() > 1, query, key_value, query_row, key_rows)


def _rows_of_sequence(row: Tensor, length: int, causal: bool) -> Tensor:
    """The rows of each row's own sequence, (..., N, S), in a causal one up to the row itself."""
    first = (row - row % length).unsqueeze(-1)
    rows = first + torch.arange(length)
    return rows.masked_fill(rows > row.unsqueeze(-1), PADDING) if causal else rows


@dataclass(frozen=True)
class _RowAttention:
    heads: int

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        query, key_value, query_row, key_rows = tensors
        attended = query.new_empty(len(query_row), query.shape[-1])
        weights = query.new_empty(len(query_row), self.heads * key_rows.shape[-1])
        rows = self._by_head(query, attended, weights)
        attend(array(query_row), array(key_rows), *rows, self._both_by_head(key_value))
        return attended, weights

    def backward(self, grad: Tensor, weights: Tensor, *tensors: Tensor) -> list[Tensor | None]:
        query, key_value, query_row, key_rows = tensors
        query_grad, key_value_grad = torch.zeros_like(query), torch.zeros_like(key_value)
        rows, both = self._by_head(query, grad, weights, query_grad), (key_value, key_value_grad)
        attend_backward(array(query_row), array(key_rows), *rows, *map(self._both_by_head, both))
        return [query_grad, key_value_grad, None, None]

    def _by_head(self, *of_rows: Tensor) -> list[np.ndarray]:
        return [array(x).reshape(len(x), self.heads, -1) for x in of_rows]

    def _both_by_head(self, key_value: Tensor) -> np.ndarray:
        """Keys, and beside them values."""
        return array(key_value).reshape(len(key_value), 2, self.heads, -1)
