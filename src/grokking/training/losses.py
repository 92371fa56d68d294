"""Losses per example, from logits and answers."""

# ... leading dimensions (replicas, examples), V classes

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log softmax(logits)[answer], computed in `dtype`: (..., V), (...) -> (...).

    In float32 a margin of 30 gives exactly 0 and no gradient, which freezes a memorising network;
    the engine therefore computes it in float64 by default (Prieto et al., arXiv 2501.04697).
    """
    return cast(Tensor, _CrossEntropy.apply(logits, answer, dtype))


class _CrossEntropy(Function):
    """The gradient, softmax - one-hot, comes out of the forward pass's own exponentials."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
        answer = answer.unsqueeze(-1)
        below_peak = logits.to(dtype) - logits.amax(-1, keepdim=True).to(dtype)
        loss = -below_peak.gather(-1, answer)
        exponential = below_peak.exp_()
        total = exponential.sum(-1, keepdim=True)
        loss += total.log()
        if ctx.needs_input_grad[0]:
            probability = exponential.div_(total)
            probability.scatter_add_(-1, answer, probability.new_full((), -1.0).expand_as(answer))
            ctx.save_for_backward(probability.to(logits.dtype))
        return loss.squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (of_loss,) = ctx.saved_tensors, gradients
        return gradient * of_loss.unsqueeze(-1).to(gradient.dtype), None, None


def mean_squared_error(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean over the classes of (logits - one-hot answer)², in `dtype`: (..., V), (...) -> (...)."""
    return cast(Tensor, _MeanSquaredError.apply(logits, answer, dtype))


class _MeanSquaredError(Function):
    """The gradient is the difference that the forward pass has made; no one-hot answers are written out."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
        answer = answer.unsqueeze(-1)
        difference = logits.to(dtype, copy=True)
        difference.scatter_add_(-1, answer, difference.new_full((), -1.0).expand_as(answer))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(difference.to(logits.dtype))
        return difference.square().mean(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (difference,), (of_loss,) = ctx.saved_tensors, gradients
        factor = of_loss * (2 / difference.shape[-1])
        return difference * factor.unsqueeze(-1).to(difference.dtype), None, None


def stablemax_cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """-log(s(z)[answer] / sum s(z)), s(z) = z + 1 from 0 on and 1 / (1 - z) below (arXiv 2501.04697).

    s grows like z where exp would overflow what is left of a wrong answer's share: (..., V), (...) -> (...).
    """
    z = logits.to(dtype)
    log_s = torch.where(z >= 0, z.clamp(min=0).log1p(), -(-z.clamp(max=0)).log1p())
    return log_s.logsumexp(-1) - log_s.gather(-1, answer.unsqueeze(-1)).squeeze(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor, torch.dtype], Tensor]] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
