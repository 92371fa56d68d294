"""Embedding MLP (systems 1 and 4): embedded operands, summed or concatenated -> hidden layers -> logits.

The embedding and the first dense layer fold into one row per token and operand, so that the first
layer's product runs over the tokens and not over the examples.
"""

# B examples, T tokens, D embedding width, N hidden width

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Positive, PositiveInt, one_of
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, dense_stack, rescale
from grokking.models.lookup import rows
from grokking.models.one_hot_mlp import Widths


@dataclass(frozen=True, config=STRICT)
class EmbeddingMLPConfig:
    family: Literal["embedding_mlp"]
    tables: Literal["separate", "shared"]  # one embedding table per operand, or one for both
    combine: Literal["sum", "concatenate"]
    embedding_width: PositiveInt
    embedding_std: Positive  # of the initial normal entries; nn.Embedding's default is 1
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter


class EmbeddingMLP(nn.Module):
    def __init__(self, config: EmbeddingMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        initialise = INITIALISATIONS[config.initialisation]
        tables = 1 if config.tables == "shared" else 2
        inputs = config.embedding_width * (1 if config.combine == "sum" else 2)
        self.config = config
        self.activation = ACTIVATIONS[config.activation]
        self.embedding = nn.Parameter(torch.empty(tables, sizes.tokens, config.embedding_width))
        nn.init.normal_(self.embedding, std=config.embedding_std)
        self.first = Dense(inputs, config.hidden_widths[0], initialise)
        self.layers = dense_stack([*config.hidden_widths, sizes.classes], initialise)
        rescale(self, config.init_scale)

    def forward(self, a_B: Tensor, b_B: Tensor) -> Tensor:
        folded_a_TN, folded_b_TN = self._folded()
        x_BN = self.activation(rows(folded_a_TN, a_B) + rows(folded_b_TN + self.first.bias, b_B))
        for layer in self.layers[:-1]:
            x_BN = self.activation(layer(x_BN))
        return self.layers[-1](x_BN)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """What each token contributes to the first pre-activations, as operand a and as operand b."""
        width = self.config.embedding_width
        weight_a = self.first.weight[:width]
        weight_b = self.first.weight[-width:]  # the same rows where the operands are summed
        return self.embedding[0] @ weight_a, self.embedding[-1] @ weight_b


def multiply_adds(config: EmbeddingMLPConfig, sizes: Sizes) -> int:
    """Multiply-adds of one example's forward pass; embedding and first layer are folded into lookups."""
    widths = [*config.hidden_widths, sizes.classes]
    return sum(inputs * outputs for inputs, outputs in pairwise(widths))
