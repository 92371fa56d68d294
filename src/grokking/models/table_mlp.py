"""MLP on pairs of tokens whose first layer is a table per operand (systems 0, 1, 2 and 4).

Whether operands are one-hot or embedded, what a token adds to the first pre-activations does not depend
on the example. So the first layer's product runs over the tokens, and examples look rows up.
"""

# ... leading dimensions (replicas), B examples, T tokens, N hidden width, V classes

from abc import ABC, abstractmethod
from typing import Annotated, Any, Protocol, cast

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.models.layers import (
    ACTIVATIONS,
    INITIALISATIONS,
    Activation,
    Dense,
    affine,
    dense_stack,
    product,
)
from grokking.models.lookup import gathered, long_rows, scattered


def _at_least_one(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise ValueError(f"must list at least one positive width, but got {list(widths)}")
    return widths


Widths = Annotated[tuple[int, ...], AfterValidator(_at_least_one)]


class TableMLPConfig(Protocol):
    """What the families' configurations have in common."""

    @property
    def hidden_widths(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def initialisation(self) -> str: ...
    @property
    def bias(self) -> bool: ...
    @property
    def output_scale(self) -> float: ...


class TableMLP(nn.Module, ABC):
    """Hidden layers and readout; families say what a token contributes in `tables`."""

    output_scale: Tensor

    def __init__(self, config: TableMLPConfig, classes: int) -> None:
        super().__init__()
        initialise, widths = INITIALISATIONS[config.initialisation], [*config.hidden_widths, classes]
        self.activation = ACTIVATIONS[config.activation]
        self.layers = dense_stack(widths, initialise, config.bias)
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))

    @property
    def readout(self) -> str:
        """The name of the last layer."""
        return f"layers.{len(self.layers) - 1}"

    @abstractmethod
    def tables(self) -> tuple[Tensor]:
        """First pre-activations added by each token as operand a, then as operand b: (..., 2T, N)."""

    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B), from tables computed once."""
        (table,) = tables
        *leading, rows, width = table.shape
        index_RBK = torch.stack([a, rows // 2 + b], dim=-1).reshape(-1, a.shape[-1], 2)
        layers = [p.reshape(-1, *shape) for layer in self._dense() for p, shape in _shapes(layer)]
        scale_R1 = self.output_scale.reshape(-1, 1)
        layers[-2:] = scale_R1.unsqueeze(-1) * layers[-2], scale_R1 * layers[-1]
        logits_RBV = _DenseStack.apply(
            table.reshape(-1, rows, width), index_RBK, self.activation, self._dense()[0].factors, *layers
        )
        return cast(Tensor, logits_RBV).view(*leading, a.shape[-1], -1)

    def _dense(self) -> list[Dense]:
        return [cast(Dense, layer) for layer in self.layers]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.logits(self.tables(), a, b)


class _DenseStack(Function):
    """Lookup, activation, and dense layers with activations between them; the gradient by hand.

    Activations of a whole batch fall out of cache, so what counts is how often memory is read and written:
    here each is made in place of its pre-activation and each gradient in place of the one before it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        table_RTN: Tensor,
        index_RBK: Tensor,
        activation: Activation,
        factors: torch.dtype | None,
        *layers: Tensor,
    ) -> Tensor:
        weights, biases = layers[0::2], layers[1::2]
        long_index = long_rows(index_RBK, table_RTN.shape[1])
        before = [gathered(table_RTN, long_index)]
        after = [activation.apply(before[0])]
        for weight_RON, bias_RO in zip(weights[:-1], biases[:-1], strict=True):
            before.append(affine(after[-1], weight_RON, bias_RO, factors))
            after.append(activation.apply(before[-1]))
        ctx.save_for_backward(long_index, *before, *after, *weights)
        ctx.activation, ctx.factors, ctx.shape = activation, factors, table_RTN.shape
        return affine(after[-1], weights[-1], biases[-1], factors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (long_index, *saved), (gradient_RBO,) = ctx.saved_tensors, gradients
        depth = len(saved) // 3
        before, after, weights = saved[:depth], saved[depth : 2 * depth], saved[2 * depth :]
        of_layers: list[Tensor] = []
        for x_before, x_after, weight_RON in zip(before[::-1], after[::-1], weights[::-1], strict=True):
            of_layers[:0] = [product(gradient_RBO.mT, x_after, ctx.factors), gradient_RBO.sum(1)]
            of_after = product(gradient_RBO, weight_RON, ctx.factors)
            gradient_RBO = ctx.activation.gradient(of_after, x_before, x_after)
        return scattered(gradient_RBO, long_index, ctx.shape), None, None, None, *of_layers


def _shapes(layer: Dense) -> list[tuple[Tensor, torch.Size]]:
    """Weight and bias with the shapes they have in one replica."""
    return [(layer.weight, layer.weight.shape[-2:]), (layer.bias, layer.bias.shape[-1:])]
