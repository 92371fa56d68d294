"""One-hot MLP whose training passes are by hand in NumPy (system 0); its torch twin is `one_hot_mlp`."""

# ... leading dimensions (replicas), B examples, V classes

from itertools import pairwise
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking import ops
from grokking.config import STRICT, Positive
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import OneHotDense
from grokking.models.table_mlp import TableMLP, Widths


@dataclass(frozen=True, config=STRICT)
class NumpyMLPConfig:
    family: Literal["numpy_mlp"]
    hidden_widths: Widths
    init_scale: Positive  # multiplies the He-normal initial weights


class NumpyMLP(TableMLP):
    first_layer = ("layer_0",)
    multiplies_by_torch = False

    def __init__(self, config: NumpyMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"layer_{number}", OneHotDense(inputs, outputs, layers.he_normal, bias=True))
        self.activation, self.readout = torch.relu, f"layer_{len(config.hidden_widths)}"
        self.undecayed = tuple(f"layer_{number}.bias" for number in range(len(widths) - 1))
        layers.rescale(self, config.init_scale)

    @classmethod
    def has_hidden_matrices(cls, config: NumpyMLPConfig) -> bool:
        """Its layers are tables, a row per input, and none is a `Dense`."""
        return False

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return ops.numpy_mlp(a, b, *self.parameters()) if ops.is_fast(a) else super().forward(a, b)

    def table(self) -> tuple[Tensor, Tensor]:
        """The first weight matrix and its bias."""
        weight, bias, *_ = self.parameters()
        return weight, bias

    def dense(self) -> list[tuple[Tensor, Tensor]]:
        _, _, *later = self.parameters()
        return [(weight.mT, bias) for weight, bias in zip(later[::2], later[1::2], strict=True)]
