"""Embedding MLP (systems 1 and 4): embedded operands, summed or concatenated -> hidden layers -> logits."""

# ... leading dimensions (replicas), T tokens, D embedding width, N first hidden width

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Positive, PositiveInt, one_of
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense
from grokking.models.table_mlp import TableMLP, Widths
from grokking.ops.matmul import add_product, affine, product


@dataclass(frozen=True, config=STRICT)
class EmbeddingMLPConfig:
    family: Literal["embedding_mlp"]
    tables: Literal["separate", "shared"]  # one embedding table per operand, or one for both
    combine: Literal["sum", "concatenate"]
    embedding_width: PositiveInt
    embedding_std: Positive  # of the initial normal entries; nn.Embedding's default is 1
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    bias: bool
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter
    output_scale: Positive  # multiplies the logits


class EmbeddingMLP(TableMLP):
    first_layer = ("embedding_a", "embedding_b")

    def __init__(self, config: EmbeddingMLPConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes.classes)
        initialise, width = INITIALISATIONS[config.initialisation], config.embedding_width
        self.width = width
        self.embedding_a = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens, width))
        if config.tables == "separate":
            self.embedding_b = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens, width))
        inputs = width if config.combine == "sum" else 2 * width
        self.first = Dense(inputs, config.hidden_widths[0], initialise, config.bias)
        layers.rescale(self, config.init_scale)

    def tables(self) -> tuple[Tensor]:
        """Embedding times first layer, folded into a row per token; the bias comes with operand b."""
        weight_a = self.first.weight[..., : self.width]
        weight_b = self.first.weight[..., -self.width :]  # the same columns where the operands are summed
        embedding_b = getattr(self, "embedding_b", self.embedding_a)
        table_b = affine(embedding_b, weight_b, self.first.bias)
        return (torch.cat([product(self.embedding_a, weight_a.mT), table_b], dim=-2),)

    @torch.no_grad()
    def backpropagate_tables(
        self, tables: tuple[Tensor, ...], of_tables: tuple[Tensor, ...], of_parameters: Mapping[str, Tensor]
    ) -> None:
        of_a, of_b = of_tables[0].chunk(2, dim=-2)
        weight, of_weight = self.first.weight, of_parameters["first.weight"]
        b = "embedding_b" if "embedding_b" in of_parameters else "embedding_a"
        first, last = slice(None, self.width), slice(-self.width, None)
        for of_rows, embedding, columns in ((of_a, "embedding_a", first), (of_b, b, last)):
            add_product(of_parameters[embedding], of_rows, weight[..., columns])
            add_product(of_weight[..., columns], of_rows.mT, getattr(self, embedding))
        if "first.bias" in of_parameters:
            of_parameters["first.bias"].add_(of_b.sum(-2))


def multiply_adds(config: EmbeddingMLPConfig, sizes: Sizes) -> int:
    """Multiply-adds of one example's forward pass; embedding and first layer are folded into lookups."""
    return layers.multiply_adds([*config.hidden_widths, sizes.classes])
