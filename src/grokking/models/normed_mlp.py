"""Embedding MLP with a LayerNorm before its readout: embedded operands -> hidden layers -> norm -> logits."""

# ... leading dimensions (replicas), B examples, N last hidden width, V classes

from typing import Annotated, Any, Literal, cast

from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, LayerWidth, Positive, one_of
from grokking.data.tasks import Sizes
from grokking.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, rescale
from grokking.models.norms import LayerNorm
from grokking.models.table_mlp import Widths


@dataclass(frozen=True, config=STRICT)
class NormedMLPConfig:
    family: Literal["normed_mlp"]
    embedding_width: LayerWidth
    embedding_std: Positive  # of the initial normal entries of the table that both operands share
    hidden_widths: Widths
    activation: Annotated[str, one_of(ACTIVATIONS)]
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter
    output_scale: Positive  # multiplies the logits


class NormedMLP(EmbeddingMLP):
    def __init__(self, config: NormedMLPConfig, sizes: Sizes) -> None:
        same: dict[str, Any] = vars(config) | {"family": "embedding_mlp"}
        super().__init__(EmbeddingMLPConfig(tables="shared", combine="concatenate", bias=True, **same), sizes)
        self.norm = LayerNorm(config.hidden_widths[-1])
        rescale(self.norm, config.init_scale)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.unembed(self.hidden(a, b))

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits of the last hidden layer's activations, before the norm."""
        return super().unembed(cast(Tensor, self.norm(hidden)))
