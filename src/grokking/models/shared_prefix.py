"""The causal transformer with each distinct row computed once: the logits of the plain one, faster.

What a position holds depends on the tokens up to it. Before the first block all examples together have one
row per token and position. After it the positions before b, the prefix, have one row per token a; examples
have rows of their own from b on. The last block is needed at the last position only.
Without it a training step takes 2.2 to 2.4 times as long (docs/log.md).
"""

# ... leading dimensions (replicas), B examples, T tokens, D width, S positions of a sequence
# N rows after a block, position by position; each attends to up to S rows before the block

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from grokking.ops.attention import PADDING, row_attention
from grokking.ops.lookup import rows

if TYPE_CHECKING:
    from grokking.models.transformer import Block, Transformer, TransformerConfig

Rows = list[Tensor]  # of pairs (a, b), (..., B) each: the number of their row at each position


def fits(config: "TransformerConfig") -> bool:
    """Whether rows depend on nothing but the tokens up to them, and only the last is read out."""
    return (config.attention, config.pooling) == ("causal", "last") and config.positions != "rotary"


def last_position(model: "Transformer", a: Tensor, b: Tensor) -> Tensor:
    """What the last position holds after the last block, (..., B, D)."""
    every_a = torch.arange(model.tokens).expand(*a.shape[:-1], -1)
    of_prefix = _first_rows(model, every_a, every_a)  # the prefix ends before b, so any b will do
    x, of_pairs = _embedded(model), _first_rows(model, a, b)
    later_prefix, later_pairs = _later_rows(model, every_a), _later_rows(model, a)
    for block in cast("Sequence[Block]", model.blocks):
        key_rows = _key_rows(of_prefix, of_pairs, model, last_only=block is model.blocks[-1])
        query_row = key_rows.amax(-1)  # the largest is the row itself: rows are numbered position by position
        x = _attend_and_add(block, x, query_row, key_rows)
        of_prefix, of_pairs = later_prefix, later_pairs
    return x


def _attend_and_add(block: "Block", x: Tensor, query_row: Tensor, key_rows: Tensor) -> Tensor:
    """The rows `query_row` of x after this block, (..., N, D)."""
    y, residual = block.attention_input(x), rows(x, query_row)
    key_value = block.key_value(y)
    if query_row.shape[-1] < x.shape[-2]:  # fewer queries than keys
        y, query_row = rows(y, query_row), torch.arange(query_row.shape[-1]).expand(query_row.shape)
    attended = row_attention(block.query(y), key_value, query_row, key_rows, block.config.heads)
    return block.add_attention_and_mlp(residual, attended)


def _embedded(model: "Transformer") -> Tensor:
    """A row per token that may stand at a position, for each position."""
    position = model.position
    parts = [model.token[..., t, :] + position[..., n : n + 1, :] for n, t in enumerate(_tokens_at(model))]
    return torch.cat(parts, dim=-2)


def _tokens_at(model: "Transformer") -> list[slice]:
    """Rows of the token table that may stand at each position: the operands', or a special one."""
    operands, specials = slice(0, model.tokens), (slice(n, n + 1) for n in count(model.tokens))
    return [operands if symbol in ("a", "b") else next(specials) for symbol in model.config.symbols]


def _first_rows(model: "Transformer", a: Tensor, b: Tensor) -> Rows:
    """Before the first block: a row for each token that may stand at a position."""
    sizes = [tokens.stop - tokens.start for tokens in _tokens_at(model)]
    tokens_S = [{"a": a, "b": b}.get(symbol, torch.zeros_like(a)) for symbol in model.config.symbols]
    return [sum(sizes[:position]) + token for position, token in enumerate(tokens_S)]


def _later_rows(model: "Transformer", a: Tensor) -> Rows:
    """After it: a row for each token a at the positions of the prefix, one for each pair at the others."""
    prefix, pairs = model.config.symbols.index("b"), a.shape[-1]
    pair = prefix * model.tokens + torch.arange(pairs).expand(a.shape)
    own_positions = range(len(model.config.symbols) - prefix)
    return [p * model.tokens + a for p in range(prefix)] + [number * pairs + pair for number in own_positions]


def _key_rows(of_prefix: Rows, of_pairs: Rows, model: "Transformer", last_only: bool) -> Tensor:
    """For each row after a block, the rows before the block that it attends to, (..., N, S)."""
    length, prefix, key_rows = len(of_pairs), model.config.symbols.index("b"), []
    for position in range(length - 1 if last_only else 0, length):
        before = (of_prefix if position < prefix else of_pairs)[: position + 1]
        padding = torch.full_like(before[0], PADDING)
        key_rows.append(torch.stack(before + [padding] * (length - 1 - position), dim=-1))
    return torch.cat(key_rows, dim=-2)


def multiply_adds(config: "TransformerConfig", square: int, per_row: int) -> int:
    """Those of the rows that one example has for itself.

    `square`: of a row in a D × D product; `per_row`: in a block but for queries, keys and values.
    """
    own_positions = len(config.symbols) - config.symbols.index("b")
    first = own_positions * per_row
    middle = own_positions * (3 * square + per_row)
    last = own_positions * 2 * square + square + per_row
    return per_row if config.layers == 1 else first + (config.layers - 2) * middle + last
