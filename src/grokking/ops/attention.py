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

    def forward(self, *tensors: Tensor) -> tuple[Tensor, list[np.ndarray]]:
        query, key_value, query_row, key_rows = tensors
        attended = query.new_zeros(len(query_row), query.shape[-1])
        weights = query.new_empty(len(query_row), self.heads, key_rows.shape[-1])
        counts = (key_rows != PADDING).sum(-1)  # of a row's keys, without padding
        saved = [array(x) for x in (query_row, key_rows, counts, weights)]
        attend(*saved, *self._by_head(query, key_value, attended))
        return attended, saved

    def backward(self, grad: Tensor, saved: list[np.ndarray], *tensors: Tensor) -> list[Tensor | None]:
        query, key_value, *_ = tensors
        grads = torch.zeros_like(query), torch.zeros_like(key_value)
        attend_backward(*saved, *self._by_head(query, key_value, grad, *grads))
        return [*grads, None, None]

    def _by_head(self, query: Tensor, *others: Tensor) -> list[np.ndarray]:
        """Rows by head, (rows, heads, width of one); of keys beside values twice as many, the keys' first."""
        width = query.shape[-1] // self.heads
        return [array(x).reshape(len(x), -1, width) for x in (query, *others)]
