"""Causal attention of the last positions of a sequence, some of whose positions are shared by examples."""

# ... leading dimensions (replicas), R their product, B examples, D width, H heads, T rows of a table
# Q last positions, K positions that they attend to: P looked up in a table, S of the example's own

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops.attention_kernels import attend, attend_backward
from grokking.ops.lookup import rows
from grokking.ops.numba_kernels import stacked


@dataclass(frozen=True)
class KeyValues:
    """Keys beside values of each example's positions: rows of a table, then the example's own."""

    table: Tensor  # (..., T, 2D)
    index: Tensor  # (..., B, P), rows of the first positions
    own: Tensor  # (..., B, S, 2D)

    def gathered(self) -> Tensor:
        """Of all positions: (..., B, K, 2D)."""
        looked_up = rows(self.table, self.index.flatten(-2)).unflatten(-2, self.index.shape[-2:])
        return torch.cat([looked_up, self.own], dim=-2)


Attention = Callable[[Tensor, KeyValues, int], Tensor]


def attention(query: Tensor, key_values: KeyValues, heads: int) -> Tensor:
    """What each of the last positions takes from those up to it: (..., B, Q, D) -> (..., B, Q, D).

    Products over four positions are too small for matrix products; element by element is faster.
    """
    halves = key_values.gathered().chunk(2, dim=-1)
    keys, values = (half.unflatten(-1, (heads, -1)) for half in halves)
    before = keys.shape[-3] - query.shape[-2]  # positions that every query sees besides its own
    attended = []
    for number, query_BHd in enumerate(query.unflatten(-1, (heads, -1)).unbind(-3)):
        seen = slice(before + number + 1)
        score_BKH = (query_BHd.unsqueeze(-3) * keys[..., seen, :, :]).sum(-1)
        weight_BKH = (score_BKH * query_BHd.shape[-1] ** -0.5).softmax(-2)
        attended.append((weight_BKH.unsqueeze(-1) * values[..., seen, :, :]).sum(-3).flatten(-2))
    return torch.stack(attended, dim=-2)


def compiled_attention(query: Tensor, key_values: KeyValues, heads: int) -> Tensor:
    """The same by kernels, which read shared positions where they are; it has first derivatives only."""
    table, index, own = key_values.table, key_values.index, key_values.own
    return cast(Tensor, _Attention.apply(query, table, own, index, heads))


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, table: Tensor, own: Tensor, index: Tensor, heads: int) -> Tensor:
        of_heads = query.unflatten(-1, (heads, -1))
        attended = torch.empty_like(of_heads, memory_format=torch.contiguous_format)
        positions = index.shape[-1] + own.shape[-2]
        weights = query.new_zeros(*of_heads.shape[:-1], positions)
        ctx.save_for_backward(of_heads, table, own, index, weights)
        attend(*_arrays(table, of_heads, table, own, index, weights, attended))
        return attended.flatten(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, table, own, index, weights = ctx.saved_tensors
        of_out = gradients[0].unflatten(-1, query.shape[-2:])
        of_inputs = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (query, table, own)]
        attend_backward(*_arrays(table, query, table, own, index, weights, of_out, *of_inputs))
        of_query, of_table, of_own = of_inputs
        return of_query.flatten(-2), of_table, of_own, None, None


def _arrays(table: Tensor, *tensors: Tensor) -> list[np.ndarray]:
    """With one dimension for all replicas, also where the table says that there is none."""
    own = 1 - (table.dim() - 2)
    return [stacked(x.contiguous(), x.dim() + own) for x in tensors]
