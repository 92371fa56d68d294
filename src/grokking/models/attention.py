"""Causal attention of the last positions of a sequence, some of whose positions are shared by examples."""

# ... leading dimensions (replicas), R their product, B examples, D width, H heads, T rows of a table
# Q last positions, K positions that they attend to: P looked up in a table, S of the example's own

from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from grokking.models.attention_kernels import attend, attend_backward
from grokking.models.kernels import array
from grokking.models.lookup import rows


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


def attention(query: Tensor, key_values: KeyValues, heads: int) -> Tensor:
    """What each of the last positions takes from those up to it: (..., B, Q, D) -> (..., B, Q, D)."""
    if query.device.type != "cpu":
        return attention_operations(query, key_values.gathered(), heads)
    table, index, own = key_values.table, key_values.index, key_values.own
    return cast(Tensor, _Attention.apply(query, table, own, index, heads))


def attention_operations(query: Tensor, key_values: Tensor, heads: int) -> Tensor:
    """The same in torch's operations, with keys beside values of all positions (..., B, K, 2D).

    Products over four positions are too small for matrix products; element by element is faster.
    """
    keys, values = (half.unflatten(-1, (heads, -1)) for half in key_values.chunk(2, dim=-1))
    before = keys.shape[-3] - query.shape[-2]  # positions that every query sees besides its own
    attended = []
    for number, query_BHd in enumerate(query.unflatten(-1, (heads, -1)).unbind(-3)):
        seen = slice(before + number + 1)
        score_BKH = (query_BHd.unsqueeze(-3) * keys[..., seen, :, :]).sum(-1)
        weight_BKH = (score_BKH * query_BHd.shape[-1] ** -0.5).softmax(-2)
        attended.append((weight_BKH.unsqueeze(-1) * values[..., seen, :, :]).sum(-3).flatten(-2))
    return torch.stack(attended, dim=-2)


class _Attention(Function):
    """By kernels, which read shared positions where they are; derivatives of derivatives by operations."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, table: Tensor, own: Tensor, index: Tensor, heads: int) -> Tensor:
        of_heads = query.unflatten(-1, (heads, -1))
        attended = torch.empty_like(of_heads, memory_format=torch.contiguous_format)
        positions = index.shape[-1] + own.shape[-2]
        weights = query.new_zeros(*of_heads.shape[:-1], positions)
        ctx.save_for_backward(query, table, own, index, weights)
        attend(*_arrays(table, of_heads, table, own, index, weights, attended))
        return attended.flatten(-2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, table, own, index, weights = ctx.saved_tensors
        heads = weights.shape[-2]
        if torch.is_grad_enabled():
            attended = attention_operations(query, KeyValues(table, index, own).gathered(), heads)
            scalar, inputs = (attended * gradients[0]).sum(), (query, table, own)
            found = torch.autograd.grad(scalar, inputs, create_graph=True, allow_unused=True)
            return *found, None, None
        of_heads, of_out = (x.unflatten(-1, (heads, -1)) for x in (query, gradients[0]))
        of_inputs = [
            torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (of_heads, table, own)
        ]
        attend_backward(*_arrays(table, of_heads, table, own, index, weights, of_out, *of_inputs))
        of_query, of_table, of_own = of_inputs
        return of_query.flatten(-2), of_table, of_own, None, None


def _arrays(table: Tensor, *tensors: Tensor) -> list[np.ndarray]:
    """With one dimension for all replicas, also where the table says that there is none."""
    leading = table.dim() - 2
    replicas = prod(table.shape[:leading])
    return [array(x.contiguous().view(replicas, *x.shape[leading:])) for x in tensors]
