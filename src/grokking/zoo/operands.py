"""Operands of a network outside of training: they are checked, as its kernels read memory without a check."""

from functools import partial
from typing import Any

from grokking.data.tasks import Task
from grokking.models.model import Model


def checking_operands(network: Model, task: Task) -> Model:
    """The network, which now raises IndexError for operands that are no tokens of the task."""
    network.register_forward_pre_hook(partial(_require_tokens, task.sizes.tokens), with_kwargs=True)
    return network


def _require_tokens(tokens: int, network: Model, operands: tuple[Any, ...], named: dict[str, Any]) -> None:
    for name, operand in {**dict(zip("ab", operands, strict=False)), **named}.items():
        if operand.is_floating_point():
            raise TypeError(
                f"operand {name} must be a tensor of whole numbers, but its type is {operand.dtype}"
            )
        if operand.numel() and not 0 <= operand.min() <= operand.max() < tokens:
            wrong = operand[(operand < 0) | (operand >= tokens)][0]
            raise IndexError(f"operand {name} must lie in 0..{tokens - 1}, but got {wrong}")
