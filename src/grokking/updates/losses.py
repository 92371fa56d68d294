"""Losses: functions of logits (..., V), answers (...) and a dtype; one value (...) of that dtype per example.

The logits keep their dtype; sums over the classes, which lose digits, are taken in `dtype`.
A loss may have a fast form in `ops.losses`, which must equal the plain form here.
"""

# ... leading dimensions (replicas, examples), V classes

from collections.abc import Callable

import torch
from torch import Tensor

from grokking import ops
from grokking.ops import losses as fast


def cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log softmax(logits)[answer].

    With sums in float32 it is exactly 0, and so is its gradient at the answer, from a margin of about 20 on;
    with sums in float64 from about 40. Other classes keep a gradient of e^-margin (arXiv 2501.04697).
    """
    if ops.is_fast(logits):
        return fast.loss(fast.cross_entropy, logits, answer, dtype)
    below_peak = logits - logits.amax(-1, keepdim=True).detach()
    return below_peak.exp().sum(-1, dtype=dtype).log() - _at(below_peak, answer).to(dtype)


def mean_squared_error(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean over the classes of (logits - one-hot answer)²."""
    if ops.is_fast(logits):
        return fast.loss(fast.mean_squared_error, logits, answer, dtype)
    right = torch.nn.functional.one_hot(answer, logits.shape[-1])
    return (logits - right).to(dtype).square().mean(-1)


def stablemax_cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log(s(z)[answer] / sum s(z)), s(z) = z + 1 from 0 on and 1 / (1 - z) below (arXiv 2501.04697).

    exp grows so fast that rounding takes a wrong class's share to 0; s grows like z, so the share stays.
    """
    if ops.is_fast(logits):
        return fast.loss(fast.stablemax_cross_entropy, logits, answer, dtype)
    stable = torch.where(logits >= 0, logits.clamp(min=0) + 1, 1 / (1 - logits.clamp(max=0)))
    return stable.sum(-1, dtype=dtype).log() - _at(stable, answer).to(dtype).log()


def _at(x: Tensor, answer: Tensor) -> Tensor:
    return x.gather(-1, answer.unsqueeze(-1)).squeeze(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor, torch.dtype], Tensor]] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
