"""Network families by name. A new one is a file of its own, and here an import and two entries."""

from typing import Annotated

from pydantic import Field

from grokking.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from grokking.models.model import Model
from grokking.models.normed_mlp import NormedMLP, NormedMLPConfig
from grokking.models.numpy_mlp import NumpyMLP, NumpyMLPConfig
from grokking.models.one_hot_mlp import OneHotMLP, OneHotMLPConfig
from grokking.models.recurrent import Recurrent, RecurrentConfig
from grokking.models.transformer import Transformer, TransformerConfig

ModelConfig = Annotated[
    OneHotMLPConfig
    | EmbeddingMLPConfig
    | NormedMLPConfig
    | RecurrentConfig
    | TransformerConfig
    | NumpyMLPConfig,
    Field(discriminator="family"),
]
FAMILIES: dict[str, type[Model]] = {
    "one_hot_mlp": OneHotMLP,
    "embedding_mlp": EmbeddingMLP,
    "normed_mlp": NormedMLP,
    "recurrent": Recurrent,
    "transformer": Transformer,
    "numpy_mlp": NumpyMLP,
}
