"""One-hot MLP whose training passes are by hand in NumPy (system 0); its torch twin is `one_hot_mlp`."""

# ... leading dimensions (replicas), B examples, N hidden width, V classes

from itertools import pairwise
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking import ops
from grokking.config import STRICT, Positive
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import Table
from grokking.models.model import Model
from grokking.models.table_mlp import Widths


@dataclass(frozen=True, config=STRICT)
class NumpyMLPConfig:
    family: Literal["numpy_mlp"]
    hidden_widths: Widths
    init_scale: Positive  # multiplies the He-normal initial weights


class NumpyMLP(Model):
    first_layer = ("layer_0",)

    def __init__(self, config: NumpyMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"layer_{number}", Table(inputs, outputs, layers.he_normal, bias=True))
        self.readout = f"layer_{len(config.hidden_widths)}"
        layers.rescale(self, config.init_scale)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if ops.is_fast(a):
            return ops.numpy_mlp(a, b, *self.parameters())
        return ops.mlp(self.table(), a, b, self._dense(), torch.relu)

    def table(self) -> tuple[Tensor, Tensor]:
        """As in `TableMLP`: the first weight matrix and its bias."""
        weight, bias, *_ = self.parameters()
        return weight, bias

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        """Activations of the last hidden layer, (..., B, N)."""
        return ops.mlp_hidden(self.table(), a, b, self._dense()[:-1], torch.relu)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., B, V) of the last hidden layer's activations."""
        return ops.linear(hidden, *self._dense()[-1])

    def _dense(self) -> list[tuple[Tensor, Tensor]]:
        """Weights with a row per output, as dense layers of torch have them, and biases."""
        _, _, *later = self.parameters()
        return [(weight.mT, bias) for weight, bias in zip(later[::2], later[1::2], strict=True)]

    @classmethod
    def has_hidden_matrices(cls, config: NumpyMLPConfig) -> bool:
        """Its matrices are no dense layers of torch."""
        return False

    @staticmethod
    def multiply_adds(config: NumpyMLPConfig, sizes: Sizes) -> int:
        """The first layer is a lookup and counts nothing."""
        return layers.multiply_adds([*config.hidden_widths, sizes.classes])
