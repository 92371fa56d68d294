"""Embedding MLP (systems 1 and 4): embedded operands, summed or concatenated -> hidden layers -> logits."""

# ... leading dimensions (replicas), T tokens, D embedding width, N first hidden width

from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking import ops
from grokking.config import STRICT, LayerWidth, Positive, one_of
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense
from grokking.models.table_mlp import TorchMLP, Widths


@dataclass(frozen=True, config=STRICT)
class EmbeddingMLPConfig:
    family: Literal["embedding_mlp"]
    tables: Literal["separate", "shared"]  # one embedding table per operand, or one for both
    combine: Literal["sum", "concatenate"]
    embedding_width: LayerWidth
    embedding_std: Positive  # of the initial normal entries; nn.Embedding's default is 1
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    bias: bool
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter
    output_scale: Positive  # multiplies the logits


class EmbeddingMLP(TorchMLP):
    first_layer = ("embedding_a", "embedding_b")

    def __init__(self, config: EmbeddingMLPConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        initialise, width = INITIALISATIONS[config.initialisation], config.embedding_width
        self.shared, self.summed = config.tables == "shared", config.combine == "sum"
        self.embedding_a = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens, width))
        if not self.shared:
            self.embedding_b = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens, width))
        inputs = width if self.summed else 2 * width
        self.first = Dense(inputs, config.hidden_widths[0], initialise, config.bias)
        layers.rescale(self, config.init_scale)

    def table(self) -> tuple[Tensor, Tensor]:
        """Embeddings through the first layer, but for its bias."""
        embedding_b = self.embedding_a if self.shared else self.embedding_b
        weight = self.first.weight
        weight_a, weight_b = (weight, weight) if self.summed else weight.chunk(2, dim=-1)
        rows = [ops.matmul(self.embedding_a, weight_a.mT), ops.matmul(embedding_b, weight_b.mT)]
        return torch.cat(rows, dim=-2), self.first.bias
