"""MLP on pairs of tokens whose first layer is a table of rows (systems 0, 1, 2 and 4)."""

# ... leading dimensions (replicas), B examples, T tokens, N hidden width, V classes

from itertools import pairwise
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn

from grokking import ops
from grokking.config import at_most, satisfying
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Activation, Dense
from grokking.models.model import Model

Widths = Annotated[
    tuple[int, ...],
    at_most(100, "layers"),
    satisfying(lambda ns: ns and min(ns) > 0 and max(ns) <= 16384, "list at least one width from 1 to 16384"),
]


class TableMLP(Model):
    """The first layer is the sum of two rows that are looked up: table[a] + table[T + b] + bias.

    A family says in `table` how these are made of its parameters, and in `dense` which layers follow.
    """

    activation: Activation

    def table(self) -> tuple[Tensor, Tensor]:
        """What each token adds as operand a, and below that as operand b, (..., 2T, N); the bias (..., N)."""
        raise NotImplementedError

    def dense(self) -> list[tuple[Tensor, Tensor]]:
        """Weight, a row per output, and bias of each layer after the first."""
        raise NotImplementedError

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.mlp(self.table(), a, b, self.dense(), self.activation, self.matmul_dtype)

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        """Activations of the last hidden layer, (..., B, N)."""
        return ops.mlp_hidden(self.table(), a, b, self.dense()[:-1], self.activation, self.matmul_dtype)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., B, V) of the last hidden layer's activations."""
        return ops.linear(hidden, *self.dense()[-1], self.matmul_dtype)

    @staticmethod
    def multiply_adds(config: Any, sizes: Sizes) -> int:
        """The first layer is a lookup and counts nothing."""
        return sum(i * o for i, o in pairwise([*config.hidden_widths, sizes.classes]))


class TorchMLP(TableMLP):
    """A TableMLP whose layers after the first are `Dense`."""

    output_scale: Tensor

    def __init__(self, config: Any, sizes: Sizes) -> None:
        super().__init__()
        widths = pairwise([*config.hidden_widths, sizes.classes])
        initialise = INITIALISATIONS[config.initialisation]
        self.activation = ACTIVATIONS[config.activation]
        self.layers = nn.ModuleList(Dense(i, o, initialise, config.bias) for i, o in widths)
        self.readout = f"layers.{len(self.layers) - 1}"
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))

    def dense(self) -> list[tuple[Tensor, Tensor]]:
        """The readout's weight and bias are scaled, which is cheaper than to scale the logits."""
        dense = cast(list[Dense], self.layers)
        *hidden, (weight, bias) = [(layer.weight, layer.bias) for layer in dense]
        scale = self.output_scale  # (1,), or (R, 1)
        return [*hidden, (scale.unsqueeze(-1) * weight, scale * bias)]
