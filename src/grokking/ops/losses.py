"""Losses and their gradients at the logits in the same passes; the formulas are in `updates.losses`."""

# ... leading dimensions (replicas), E examples of all replicas, V classes

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.numba_kernels import array

# Logits (E, V), answers (E,), dtype of the loss -> losses (E,), gradients (E, V); logits are not overwritten
Rule = Callable[[Tensor, Tensor, torch.dtype], tuple[Tensor, Tensor]]


def loss(rule: Rule, logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
    """Losses (...) of logits (..., V) by one of the rules below."""
    return cast(Tensor, _Loss.apply(rule, logits, answer, dtype))


class _Loss(Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, logits: Tensor, answer: Tensor, dtype: torch.dtype) -> Tensor:
        logits_EV = logits.detach().reshape(-1, logits.shape[-1])
        loss_E, grad_EV = rule(logits_EV, answer.reshape(-1), dtype)
        ctx.save_for_backward(grad_EV.view_as(logits))
        return loss_E.view_as(answer)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (logits_grad,), (grad,) = ctx.saved_tensors, grads
        return None, logits_grad * grad.to(logits_grad.dtype).unsqueeze(-1), None, None


def cross_entropy(logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The gradient is softmax(logits) - one-hot answer."""
    grad_EV, loss_E = torch.empty_like(logits_EV), logits_EV.new_empty(len(logits_EV), dtype=dtype)
    kernels.cross_entropy(*map(array, (logits_EV, logits_EV.amax(-1), answer_E, grad_EV, loss_E)))
    return loss_E, grad_EV


def stablemax_cross_entropy(logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The gradient is (s / sum s - one-hot answer) / (1 + |z|), where s is as in `updates.losses`."""
    beyond_EV, each = logits_EV.abs().add_(1), torch.arange(len(answer_E))
    stable_EV = torch.where(logits_EV >= 0, beyond_EV, beyond_EV.reciprocal())
    total_E, answer_s_E = stable_EV.sum(-1, dtype=dtype), stable_EV[each, answer_E].to(dtype)
    shares_EV = stable_EV.mul_(total_E.reciprocal().to(stable_EV.dtype).unsqueeze(-1))
    shares_EV[each, answer_E] = ((answer_s_E - total_E) / total_E).to(stable_EV.dtype)
    return total_E.log() - answer_s_E.log(), shares_EV.div_(beyond_EV)


def mean_squared_error(logits_EV: Tensor, answer_E: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The gradient is 2 / V times the difference of logits and one-hot answer."""
    difference_EV = logits_EV.clone()
    difference_EV[torch.arange(len(answer_E)), answer_E] -= 1
    loss_E = difference_EV.to(dtype).square().mean(-1)
    return loss_E, difference_EV.mul_(2 / logits_EV.shape[-1])
