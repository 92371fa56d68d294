"""The causal transformer with each distinct row computed once: the logits of the plain one, faster.

What a position holds depends on the tokens up to it. Before the first block all examples together have one
row per token and position. After it the positions before b, the prefix, have one row per token a; examples
have rows of their own from b on. The last block is needed at the last position only.

Without it a training step takes 2.2 to 2.4 times as long, both with fast ops, which is worth these lines
(2 layers, width 128, 4 heads, 97 tokens, batch 512, AdamW, one core of an AMD EPYC of family 25: medians of
four runs with 21 or 25 turns each, by the processor's clock 79 to 91 against 34 to 41 ms).
"""

# ... leading dimensions (replicas), B examples, T tokens, D width, S positions of a sequence
# N rows after a block, position by position; each sees up to S rows before the block

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from grokking.ops.attention import NOTHING, row_attention
from grokking.ops.lookup import rows

if TYPE_CHECKING:
    from grokking.models.transformer import Block, Transformer, TransformerConfig

RowsAt = Callable[[int, Tensor, Tensor], Tensor]  # of position, a and b, (..., E) each: numbers of rows


def fits(config: "TransformerConfig") -> bool:
    """Whether rows depend on nothing but the tokens up to them, and only the last is read out."""
    return (config.attention, config.pooling) == ("causal", "last") and config.positions != "rotary"


def last_position(model: "Transformer", a: Tensor, b: Tensor) -> Tensor:
    """The last position of each example after the last block, (..., B, D)."""
    every_position = range(len(model.config.symbols))
    x, rows_at = _embedded(model), _rows_before_first(model)
    for block in cast("Sequence[Block]", model.blocks):
        kept = every_position if block is not model.blocks[-1] else every_position[-1:]
        seen = _seen(rows_at, kept, model, a, b)
        own = seen.amax(-1)  # rows are numbered position by position, and each sees itself last
        x = _attend_and_add(block, x, own, seen)
        rows_at = _rows_between(model, a)
    return x


def _attend_and_add(block: "Block", x: Tensor, own: Tensor, seen: Tensor) -> Tensor:
    """The rows `own` of x after this block, (..., N, D)."""
    y, x_own = block.before_attention(x), rows(x, own)
    key_value = block.key_value(y)
    if own.shape[-1] < x.shape[-2]:  # fewer queries than keys
        y, own = rows(y, own), torch.arange(own.shape[-1]).expand(own.shape)
    return block.after_attention(
        x_own, row_attention(block.query(y), key_value, own, seen, block.config.heads)
    )


def _embedded(model: "Transformer") -> Tensor:
    """A row per token that may stand at a position, for each position."""
    parts = []
    for number, tokens in enumerate(_tokens_at(model)):
        parts.append(model.token[..., tokens, :] + model.position[..., number : number + 1, :])
    return torch.cat(parts, dim=-2)


def _tokens_at(model: "Transformer") -> list[slice]:
    """Rows of the token table that may stand at each position: the operands', or a special one."""
    special = iter(range(model.tokens, len(model.config.specials) + model.tokens))
    is_operand = [symbol in ("a", "b") for symbol in model.config.symbols]
    return [slice(0, model.tokens) if operand else slice(s := next(special), s + 1) for operand in is_operand]


def _rows_before_first(model: "Transformer") -> RowsAt:
    symbols, operands = model.config.symbols, ("a", "b")
    sizes = [model.tokens if symbol in operands else 1 for symbol in symbols]

    def rows_at(position: int, a: Tensor, b: Tensor) -> Tensor:
        operand = {"a": a, "b": b}.get(symbols[position], torch.zeros_like(a))
        return sum(sizes[:position]) + operand

    return rows_at


def _rows_between(model: "Transformer", a_B: Tensor) -> RowsAt:
    prefix, tokens = model.config.symbols.index("b"), model.tokens

    def rows_at(position: int, a: Tensor, b: Tensor) -> Tensor:
        if position < prefix:
            return position * tokens + a
        example = torch.arange(a_B.shape[-1]).expand(a_B.shape)
        return prefix * tokens + (position - prefix) * a_B.shape[-1] + example

    return rows_at


def _seen(rows_at: RowsAt, kept: Sequence[int], model: "Transformer", a: Tensor, b: Tensor) -> Tensor:
    """The rows before a block that each row after it sees, (..., N, S), at the kept positions."""
    every_a = torch.arange(model.tokens).expand(*a.shape[:-1], -1)
    seen = []
    for position in kept:
        operands = (every_a, every_a) if position < model.config.symbols.index("b") else (a, b)
        before = [rows_at(earlier, *operands) for earlier in range(position + 1)]
        nothing = torch.full_like(operands[0], NOTHING)
        seen.append(torch.stack(before + [nothing] * (len(model.config.symbols) - 1 - position), dim=-1))
    return torch.cat(seen, dim=-2)


def multiply_adds(config: "TransformerConfig", square: int, after_attention: int) -> int:
    """Of one example's own rows, given those of one row in a D × D product and in all after attention."""
    own_positions = len(config.symbols) - config.symbols.index("b")
    first = own_positions * after_attention
    middle = own_positions * (3 * square + after_attention)
    last = own_positions * 2 * square + square + after_attention
    return after_attention if config.layers == 1 else first + (config.layers - 2) * middle + last
