"""Sequences of tokens in which a pair of operands stands, such as a, operator, b, "="."""

# ... leading dimensions (replicas), B examples, S positions

from typing import Literal

import torch
from torch import Tensor

SequenceLayout = Literal["a_op_b_eq", "a_b_eq", "a_b", "bos_a_b_sep"]  # what stands where


def symbols(sequence: SequenceLayout) -> list[str]:
    """What stands at each position: the operands "a" and "b", or a token of its own."""
    return sequence.split("_")


def specials(sequence: SequenceLayout) -> list[str]:
    """The symbols that are no operands. Their tokens come after the operands'."""
    return [symbol for symbol in symbols(sequence) if symbol not in ("a", "b")]


def tokens(sequence: SequenceLayout, a: Tensor, b: Tensor, operands: int) -> Tensor:
    """The tokens (..., B, S) of pairs (..., B); `operands` is the number of their tokens."""
    token = {symbol: torch.full_like(a, operands + n) for n, symbol in enumerate(specials(sequence))}
    token |= {"a": a, "b": b}
    return torch.stack([token[symbol] for symbol in symbols(sequence)], dim=-1)
