"""Model families, each written for one replica.

A model has `tables()`, what depends on single tokens, and `logits(tables, a, b)`. Both count dimensions
from the right, so that the same module runs a stack of replicas once its parameters are stacked. Training
goes backward through `backpropagate` and then through `backpropagate_tables`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

from pydantic import Field
from torch import Tensor, nn

from grokking.data.tasks import Sizes
from grokking.models import embedding_mlp, one_hot_mlp
from grokking.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from grokking.models.numpy_mlp import NumpyMLPConfig
from grokking.models.one_hot_mlp import OneHotMLP, OneHotMLPConfig
from grokking.models.transformer import Transformer, TransformerConfig

ModelConfig = Annotated[
    OneHotMLPConfig | EmbeddingMLPConfig | TransformerConfig | NumpyMLPConfig, Field(discriminator="family")
]


class Model(Protocol):
    """What the engine needs of a family, beyond being an nn.Module."""

    first_layer: tuple[str, ...]  # names of the parameters or layers that operands meet first
    readout: str  # name of the parameter or layer that gives the logits
    by_autograd: bool  # whether `backpropagate_tables` needs the graph of `tables`

    def tables(self) -> tuple[Tensor, ...]: ...
    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor: ...
    def backpropagate(
        self,
        tables: tuple[Tensor, ...],
        a: Tensor,
        b: Tensor,
        of_logits: Callable[[Tensor], Tensor],  # the gradient at the logits, (..., B, V); may overwrite them
        of_tables: tuple[Tensor, ...],
        of_parameters: Mapping[str, Tensor],
    ) -> None:
        """Add the gradients of tables and parameters, the latter but for what they do in the tables."""

    def backpropagate_tables(
        self, tables: tuple[Tensor, ...], of_tables: tuple[Tensor, ...], of_parameters: Mapping[str, Tensor]
    ) -> None:
        """Add the gradients of the parameters from those of the tables, which may be overwritten."""


FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "one_hot_mlp": OneHotMLP,
    "embedding_mlp": EmbeddingMLP,
    "transformer": Transformer,
}


def require_fit(config: ModelConfig, sizes: Sizes) -> None:
    """Raise ConfigError where a table has not the sizes that the network needs."""
    if isinstance(config, TransformerConfig):
        Transformer.require_fit(config, sizes)


MULTIPLY_ADDS: dict[str, Callable[[Any, Any], int]] = {
    "one_hot_mlp": one_hot_mlp.multiply_adds,
    "numpy_mlp": one_hot_mlp.multiply_adds,
    "embedding_mlp": embedding_mlp.multiply_adds,
    "transformer": Transformer.multiply_adds,
}
