"""Losses per example from logits and answers, and their gradients at the logits, all that training needs."""

# ... leading dimensions (replicas, examples), V classes

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokking.ops import numba_kernels as kernels


@dataclass(frozen=True)
class Loss:
    """`value`: (..., V), (...), dtype -> (...) in dtype, what autograd differentiates as often as one likes.

    `gradient`: of the values' sum at the logits, (..., V) and of their type; it may overwrite the logits.
    Single logits are worked on in their own type; what sums over the classes and so can cancel is in `dtype`.
    """

    value: Callable[[Tensor, Tensor, torch.dtype], Tensor]
    gradient: Callable[[Tensor, Tensor, torch.dtype], Tensor]


def cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log softmax(logits)[answer].

    With sums in float32 a margin of 30 gives exactly 0 and no gradient, which freezes a memorising network;
    in float64, the default, that happens at 37 (Prieto et al., arXiv 2501.04697).
    """
    below_peak = logits - logits.amax(-1, keepdim=True).detach()
    lowest = kernels.LOWEST_EXPONENT[logits.dtype.itemsize]
    total = below_peak.clamp(min=lowest).exp().sum(-1, dtype=dtype)
    return total.log() - _at(below_peak, answer).squeeze(-1).to(dtype)


def _cross_entropy_gradient(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """softmax(logits) - one-hot answer."""
    lowest = kernels.LOWEST_EXPONENT[logits.dtype.itemsize]
    if kernels.suit(logits):
        kernels.subtract_peak(_rows(logits), kernels.number(lowest, logits.dtype))
    else:
        logits.sub_(logits.amax(-1, keepdim=True)).clamp_(min=lowest)
    return _share_gradient(logits.exp_(), answer, dtype)


def _share_gradient(positive: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """Shares of the sum of these numbers, less 1 at the answer; in place."""
    if kernels.suit(positive):
        answer_B = kernels.array(answer.reshape(-1))
        kernels.share_gradient(_rows(positive), answer_B, kernels.number(0, dtype))
        return positive
    total = positive.sum(-1, keepdim=True, dtype=dtype)
    at_answer = (_at(positive, answer).to(dtype) - total) / total
    shares = positive.mul_(total.reciprocal().to(positive.dtype))
    return shares.scatter_(-1, answer.unsqueeze(-1), at_answer.to(positive.dtype))


def _rows(x: Tensor) -> np.ndarray:
    """The classes of each example, replicas one after the other: (..., V) -> (R·B, V)."""
    return kernels.array(x.view(-1, x.shape[-1]))


def _at(x: Tensor, answer: Tensor) -> Tensor:
    return x.gather(-1, answer.unsqueeze(-1))


def mean_squared_error(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean over the classes of (logits - one-hot answer)²."""
    return _difference(logits.to(dtype), answer).square().mean(-1)


def _mean_squared_error_gradient(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    return _difference(logits, answer).mul_(2 / logits.shape[-1])


def _difference(logits: Tensor, answer: Tensor) -> Tensor:
    """logits - one-hot answer, without writing one-hot answers out."""
    minus_one = logits.new_full((), -1.0).expand(*answer.shape, 1)
    return logits.scatter_add(-1, answer.unsqueeze(-1), minus_one)


def stablemax_cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log(s(z)[answer] / sum s(z)), s(z) = z + 1 from 0 on and 1 / (1 - z) below (arXiv 2501.04697).

    s grows like z where exp would overflow what is left of a wrong answer's share.
    """
    stable = _stable(logits)
    return stable.sum(-1, dtype=dtype).log() - _at(stable, answer).squeeze(-1).to(dtype).log()


def _stablemax_gradient(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """The shares' gradient times that of log s, which is 1 / (1 + |z|)."""
    return _share_gradient(_stable(logits), answer, dtype).div_(1 + logits.abs())


def _stable(z: Tensor) -> Tensor:
    return torch.where(z >= 0, z.clamp(min=0) + 1, 1 / (1 - z.clamp(max=0)))


LOSSES = {
    "cross_entropy": Loss(cross_entropy, _cross_entropy_gradient),
    "mean_squared_error": Loss(mean_squared_error, _mean_squared_error_gradient),
    "stablemax_cross_entropy": Loss(stablemax_cross_entropy, _stablemax_gradient),
}
