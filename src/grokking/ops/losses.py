"""Losses of examples and their gradients at the logits in the same passes; `updates.losses` has the formulas."""

# ... leading dimensions (replicas), E examples of all replicas, V classes

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.numba_kernels import array

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
    grad_EV, loss_E = torch.empty_like(logits_EV), logits_EV.new_empty(len(logits_EV), dtype=dtype)
    given = map(array, (logits_EV, logits_EV.amax(-1), answer_E))
    kernels.cross_entropy(*given, with_grad, array(grad_EV), array(loss_E))
    return loss_E, grad_EV


def _stablemax_cross_entropy(
    logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """s is z + 1 from 0 on and 1 / (1 - z) below; the derivative of log s is 1 / (1 + |z|)."""
    beyond_EV, loss_E = logits_EV.abs().add_(1), logits_EV.new_empty(len(logits_EV), dtype=dtype)
    stable_EV = torch.where(logits_EV >= 0, beyond_EV, beyond_EV.reciprocal())
    kernels.shares(array(stable_EV), array(answer_E), with_grad, array(loss_E))
    return loss_E, stable_EV.div_(beyond_EV)


def _mean_squared_error(
    logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """The gradient is 2 / V times the difference of logits and one-hot answer, which is written out nowhere."""
    difference_EV = logits_EV.clone()
    difference_EV[torch.arange(len(answer_E)), answer_E] -= 1
    loss_E = difference_EV.to(dtype).square().mean(-1)
    return loss_E, difference_EV.mul_(2 / logits_EV.shape[-1])
