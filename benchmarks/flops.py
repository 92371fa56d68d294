"""Floating-point operations of one update of one replica, in the matrix products that the engine runs."""

# T tokens, D width, N first hidden width

from collections.abc import Callable
from typing import Any

from benchmarks.cases import Case
from grokking.data.tasks import Sizes
from grokking.models.embedding_mlp import EmbeddingMLPConfig
from grokking.models.transformer import TransformerConfig
from grokking.training.history import TRAINING_FLOP, flops_per_example


def per_step(case: Case) -> int:
    """Products that run per example and once per token; attention and element-wise work are not counted."""
    model = case.replica.config.model
    once_per_token = TABLES[model.family](model, case.task.sizes)
    return case.batch * flops_per_example(case.replica, case.task) + TRAINING_FLOP * once_per_token


def _none(config: Any, sizes: Sizes) -> int:
    """The first weight matrix is the table."""
    return 0


def _embedding_tables(config: EmbeddingMLPConfig, sizes: Sizes) -> int:
    """For each operand the embedding times its part of the first layer: (T, D) @ (D, N)."""
    return 2 * sizes.tokens * config.embedding_width * config.hidden_widths[0]


def _transformer_tables(config: TransformerConfig, sizes: Sizes) -> int:
    """What depends on single tokens, in units of D².

    Before the first layer there is a row per token and position of an operand, and one for the operator and
    "=" each: query, key and value of all of them. In every layer but the last the two positions of the
    prefix, T rows each, pass through output, up and down, and then to the next layer's query, key and value.
    """
    query_key_value, per_row = 3, 1 + 2 * config.hidden_width // config.width
    first = (2 * sizes.tokens + 2) * query_key_value
    later = 2 * sizes.tokens * (config.layers - 1) * (per_row + query_key_value)
    return (first + later) * config.width**2


TABLES: dict[str, Callable[[Any, Sizes], int]] = {
    "one_hot_mlp": _none,
    "numpy_mlp": _none,
    "embedding_mlp": _embedding_tables,
    "transformer": _transformer_tables,
}
