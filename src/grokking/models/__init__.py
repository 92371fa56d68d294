"""Model families, each written for one replica; batching happens outside."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from grokking.models import embedding_mlp, one_hot_mlp, transformer
from grokking.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from grokking.models.numpy_mlp import NumpyMLPConfig
from grokking.models.one_hot_mlp import OneHotMLP, OneHotMLPConfig
from grokking.models.transformer import Transformer, TransformerConfig

ModelConfig = Annotated[
    OneHotMLPConfig | EmbeddingMLPConfig | TransformerConfig | NumpyMLPConfig, Field(discriminator="family")
]

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "one_hot_mlp": OneHotMLP,
    "embedding_mlp": EmbeddingMLP,
    "transformer": Transformer,
}
MULTIPLY_ADDS: dict[str, Callable[[Any, Any], int]] = {
    "one_hot_mlp": one_hot_mlp.multiply_adds,
    "numpy_mlp": one_hot_mlp.multiply_adds,
    "embedding_mlp": embedding_mlp.multiply_adds,
    "transformer": transformer.multiply_adds,
}
