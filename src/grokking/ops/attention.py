"""Attention over sequences of a few positions, for which matrix products are too small to be fast."""

# ... leading dimensions (none, or R replicas), B sequences of S positions, D width, H heads of width d
# N rows that attend, L rows of queries, M rows that are seen, K of them by each

from collections.abc import Iterable
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops.attention_kernels import attend, attend_backward
from grokking.ops.switch import is_fast

NOTHING = -1  # ends the list of the rows that a row sees


def attention(query: Tensor, key_value: Tensor, length: int, heads: int, causal: bool) -> Tensor:
    """Softmax attention within sequences; rows are positions, one sequence below the other.

    Queries (..., B·S, D), keys beside values (..., B·S, 2D) -> (..., B·S, D).
    """
    if is_fast(query):
        own = torch.arange(query.shape[-2]).expand(query.shape[:-1])
        return row_attention(query, key_value, own, _seen(own, length, causal), heads)
    parts = query, *key_value.chunk(2, dim=-1)
    query, key, value = (x.unflatten(-2, (-1, length)).unflatten(-1, (heads, -1)) for x in parts)
    score_HSS = torch.einsum("...qhd,...khd->...hqk", query, key) * query.shape[-1] ** -0.5
    if causal:
        future = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        score_HSS = score_HSS.masked_fill(future, -torch.inf)
    attended = torch.einsum("...hqk,...khd->...qhd", score_HSS.softmax(-1), value)
    return attended.flatten(-2).flatten(-3, -2)


def row_attention(query: Tensor, key_value: Tensor, own: Tensor, seen: Tensor, heads: int) -> Tensor:
    """Row n has the query of row `own[n]` and sees keys and values of the rows `seen[n]`, up to NOTHING.

    (..., L, D), (..., M, 2D), (..., N), (..., N, K) -> (..., N, D). On the CPU; first derivatives only.
    """
    return cast(Tensor, _RowAttention.apply(query, key_value, own, seen, heads))


def _seen(own: Tensor, length: int, causal: bool) -> Tensor:
    """Rows of each row's own sequence, (..., N, S), in a causal one up to the row itself."""
    first = (own - own % length).unsqueeze(-1)
    rows = first + torch.arange(length)
    return rows.masked_fill(rows > own.unsqueeze(-1), NOTHING) if causal else rows


class _RowAttention(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key_value: Tensor, own: Tensor, seen: Tensor, heads: int) -> Tensor:
        weights = query.new_empty(*own.shape, heads * seen.shape[-1])
        attended = query.new_empty(*own.shape, query.shape[-1])
        ctx.save_for_backward(query, key_value, own, seen, weights)
        ctx.heads = heads
        rows = query, attended, weights
        attend(*_arrays(own, seen, heads, rows, [key_value]))
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key_value, own, seen, weights = ctx.saved_tensors
        query_grad, key_value_grad = (x.new_zeros(x.shape) for x in (query, key_value))
        rows = query, grads[0], weights, query_grad
        attend_backward(*_arrays(own, seen, ctx.heads, rows, [key_value, key_value_grad]))
        return query_grad, key_value_grad, None, None, None


def _arrays(
    own: Tensor, seen: Tensor, heads: int, rows: Iterable[Tensor], keys_and_values: Iterable[Tensor]
) -> list[np.ndarray]:
    """As the kernels take them: one dimension for all replicas, and heads apart."""
    leading = own.shape[:-1]

    def array(x: Tensor, *last: int) -> np.ndarray:
        shape = prod(leading), x.shape[len(leading)], *last
        return cast(np.ndarray, x.detach().contiguous().view(shape).numpy())

    by_head = [array(x, heads, -1) for x in rows] + [array(x, 2, heads, -1) for x in keys_and_values]
    return [array(own), array(seen, seen.shape[-1]), *by_head]
