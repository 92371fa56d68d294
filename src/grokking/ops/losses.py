"""Losses with their gradients at the logits in the same passes; `updates.losses` has the formulas."""

# ... leading dimensions (replicas), E examples of all replicas, V classes

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels

# By bytes of a number: exp of less is below the type's normal numbers, and takes ten times as long and more
LOWEST_EXPONENT = {4: -87, 8: -708}

# (logits (E, V), answers (E,), type of the loss, whether a gradient is needed) -> losses, gradient (E, V)
Rule = Callable[[Tensor, Tensor, torch.dtype, bool], tuple[Tensor, Tensor]]


def cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    return cast(Tensor, _Loss.apply(_cross_entropy, logits, answer, dtype))


def stablemax_cross_entropy(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    return cast(Tensor, _Loss.apply(_stablemax_cross_entropy, logits, answer, dtype))


def mean_squared_error(logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    return cast(Tensor, _Loss.apply(_mean_squared_error, logits, answer, dtype))


class _Loss(Function):
    """Losses (...) of logits (..., V), which are left as they are."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
        logits_EV = logits.detach().reshape(-1, logits.shape[-1])
        loss_E, grad_EV = rule(logits_EV, answer.reshape(-1), dtype, ctx.needs_input_grad[1])
        ctx.save_for_backward(grad_EV.view_as(logits))
        return loss_E.view_as(answer)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return None, grad * grads[0].to(grad.dtype).unsqueeze(-1), None, None


def _cross_entropy(
    logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """The gradient is softmax(logits) - one-hot answer."""
    below_EV, at_answer_E = (
        torch.empty_like(logits_EV),
        logits_EV.new_empty(len(logits_EV), dtype=torch.float64),
    )
    lowest = LOWEST_EXPONENT[logits_EV.dtype.itemsize]
    arrays = [kernels.array(x) for x in (logits_EV, answer_E, below_EV, at_answer_E)]
    kernels.below_peak(*arrays[:2], float(lowest), *arrays[2:])
    total_E, grad_EV = _shares(below_EV.exp_(), answer_E, dtype, with_grad)
    return total_E.log_().sub_(at_answer_E), grad_EV


def _stablemax_cross_entropy(
    logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """s is z + 1 from 0 on and 1 / (1 - z) below; the derivative of log s is 1 / (1 + |z|)."""
    beyond_EV = logits_EV.abs().add_(1)
    stable_EV = torch.where(logits_EV >= 0, beyond_EV, beyond_EV.reciprocal())
    at_answer_E = stable_EV.gather(-1, answer_E.unsqueeze(-1)).squeeze(-1).to(dtype).log_()
    total_E, grad_EV = _shares(stable_EV, answer_E, dtype, with_grad)
    return total_E.log_().sub_(at_answer_E), grad_EV.div_(beyond_EV)


def _shares(
    positive_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """Sums over the classes, and with the gradient shares of them, less 1 at the answer, in place."""
    total_E = positive_EV.new_empty(len(positive_EV), dtype=dtype)
    kernels.shares(*map(kernels.array, (positive_EV, answer_E, total_E)), with_grad)
    return total_E, positive_EV


def _mean_squared_error(
    logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """The gradient is 2 / V times the difference of logits and one-hot answer."""
    difference_EV = logits_EV.clone()
    difference_EV[torch.arange(len(answer_E)), answer_E] -= 1
    loss_E = difference_EV.to(dtype).square().mean(-1)
    return loss_E, difference_EV.mul_(2 / logits_EV.shape[-1])
