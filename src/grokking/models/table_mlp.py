"""MLP on pairs of tokens whose first layer is a table of rows (systems 1, 2 and 4)."""

# ... leading dimensions (replicas), B examples, T tokens, N hidden width, V classes

from typing import Annotated, Any, cast

import torch
from pydantic import AfterValidator
from torch import Tensor

from grokking import ops
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense
from grokking.models.model import Model


def _at_least_one(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise ValueError(f"must list at least one positive width, but got {list(widths)}")
    return widths


Widths = Annotated[tuple[int, ...], AfterValidator(_at_least_one)]


class TableMLP(Model):
    """A family of these is its `table`: what each token adds to the first pre-activations."""

    output_scale: Tensor

    def __init__(self, config: Any, sizes: Sizes) -> None:
        super().__init__()
        widths, initialise = [*config.hidden_widths, sizes.classes], INITIALISATIONS[config.initialisation]
        self.activation = ACTIVATIONS[config.activation]
        self.layers = layers.dense_stack(widths, initialise, config.bias)
        self.readout = f"layers.{len(self.layers) - 1}"
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))

    def table(self) -> tuple[Tensor, Tensor]:
        """What each token adds as operand a, and below that as operand b, (..., 2T, N); the bias (..., N)."""
        raise NotImplementedError

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        dtype = self._dense()[-1].matmul_dtype
        return ops.mlp(self.table(), a, b, [*self._hidden(), self._scaled()], self.activation, dtype)

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        """Activations of the last hidden layer, (..., B, N)."""
        return ops.mlp_hidden(
            self.table(), a, b, self._hidden(), self.activation, self._dense()[-1].matmul_dtype
        )

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., B, V) of the last hidden layer's activations."""
        return ops.linear(hidden, *self._scaled(), self._dense()[-1].matmul_dtype)

    def _hidden(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.weight, layer.bias) for layer in self._dense()[:-1]]

    def _scaled(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the readout; the scale is cheaper on them than on the logits."""
        last = self._dense()[-1]
        return self.output_scale.unsqueeze(-1) * last.weight, self.output_scale * last.bias

    def _dense(self) -> list[Dense]:
        return [cast(Dense, layer) for layer in self.layers]

    @staticmethod
    def multiply_adds(config: Any, sizes: Sizes) -> int:
        """The first layer is a lookup and counts nothing."""
        return layers.multiply_adds([*config.hidden_widths, sizes.classes])
