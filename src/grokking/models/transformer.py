"""Decoder-only transformer (system 3) on the tokens a, operator, b, "=": the answer is read at "=".

Causal attention lets the first two positions see only a, so they have one distinct row per token and
not one per example. The last layer is needed at "=" only. Both are used here; the plain form, four full
positions per example, is in tests/reference.py and gives the same logits.
"""

# B examples, T tokens, S rows of the suffix (T before the first layer, B after), D width, H heads, V classes

from typing import Annotated, Literal, cast

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Positive, PositiveInt, one_of
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, rescale
from grokking.models.lookup import rows


@dataclass(frozen=True, config=STRICT)
class TransformerConfig:
    family: Literal["transformer"]
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt  # the width of one head is width / heads
    mlp_ratio: PositiveInt  # hidden width of the MLP, in widths
    norm: Literal["none", "pre", "post"]  # LayerNorm before each sublayer, after each sum, or nowhere
    activation: Annotated[str, one_of(ACTIVATIONS)]
    embedding_std: Positive  # of the initial token and position embeddings
    initialisation: Annotated[str, one_of(INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"`heads` must divide `width`, but got width {self.width} and heads {self.heads}"
            )


class Transformer(nn.Module):
    def __init__(self, config: TransformerConfig, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = sizes.tokens  # the operator and "=" are the next two
        self.token = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens + 2, config.width))
        self.position = nn.Parameter(config.embedding_std * torch.randn(4, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.last_norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        self.unembedding = Dense(config.width, sizes.classes, INITIALISATIONS[config.initialisation])
        rescale(self, config.init_scale)

    def forward(self, a_B: Tensor, b_B: Tensor) -> Tensor:
        operand_TD = self.token[: self.tokens]
        operator_TD, equals_TD = (self.token[i].expand_as(operand_TD) for i in (-2, -1))
        prefix = torch.cat([operand_TD + self.position[0], operator_TD + self.position[1]])
        suffix = torch.cat([operand_TD + self.position[2], equals_TD + self.position[3]])
        *blocks, last = [cast(Block, block) for block in self.blocks]
        suffix_index: Tensor | None = (
            b_B  # until attention mixes a into it, the suffix has one row per token b
        )
        for block in blocks:
            prefix, suffix = block(prefix, suffix, a_B, suffix_index)
            suffix_index = None
        return self.unembedding(self.last_norm(last.answer(prefix, suffix, a_B, suffix_index)))


class Block(nn.Module):
    """Attention and MLP with residuals.

    `prefix` holds the rows of positions 0 and 1, T each, one per token a; `suffix` the rows of
    positions 2 and 3, S each: one per token b with `suffix_index` saying which example uses which,
    or one per example with `suffix_index` None.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, initialise = config.width, INITIALISATIONS[config.initialisation]
        self.heads, self.norm = config.heads, config.norm
        self.activation = ACTIVATIONS[config.activation]
        self.query = Dense(width, width, initialise)
        self.key_value = Dense(width, 2 * width, initialise)
        self.output = Dense(width, width, initialise)
        self.up = Dense(width, config.mlp_ratio * width, initialise)
        self.down = Dense(config.mlp_ratio * width, width, initialise)
        norms = [nn.LayerNorm(width) if config.norm != "none" else nn.Identity() for _ in range(2)]
        self.attention_norm, self.mlp_norm = norms

    def forward(
        self, prefix: Tensor, suffix: Tensor, a_B: Tensor, suffix_index: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """All four positions: the prefix attends within itself, the suffix to everything before it."""
        first_kv, second_kv = self._key_value(prefix).chunk(2)
        _, second_q = self._query(prefix).chunk(2)
        first = first_kv.chunk(2, dim=-1)[1]  # position 0 attends to itself alone
        second = self._attend(second_q, [first_kv, second_kv])

        *before_b, b_kv, equals_kv = self._expanded_key_values(prefix, suffix, a_B, suffix_index)
        b_q, equals_q = _expand(self._query(suffix), suffix_index)
        b = self._attend(b_q, [*before_b, b_kv])
        equals = self._attend(equals_q, [*before_b, b_kv, equals_kv])

        suffix = torch.cat(_expand(suffix, suffix_index))
        return self._add(prefix, torch.cat([first, second])), self._add(suffix, torch.cat([b, equals]))

    def answer(self, prefix: Tensor, suffix: Tensor, a_B: Tensor, suffix_index: Tensor | None) -> Tensor:
        """Only the position of "=": what the last layer needs."""
        _, equals = _expand(suffix, suffix_index)
        key_values = self._expanded_key_values(prefix, suffix, a_B, suffix_index)
        return self._add(equals, self._attend(self._query(equals), key_values))

    def _expanded_key_values(
        self, prefix: Tensor, suffix: Tensor, a_B: Tensor, suffix_index: Tensor | None
    ) -> list[Tensor]:
        """Keys and values (B, 2D) of the four positions, a row per example."""
        prefix_kv, suffix_kv = self._key_value(prefix), self._key_value(suffix)
        return [*_expand(prefix_kv, a_B), *_expand(suffix_kv, suffix_index)]

    def _query(self, x: Tensor) -> Tensor:
        return self.query(self.attention_norm(x) if self.norm == "pre" else x)

    def _key_value(self, x: Tensor) -> Tensor:
        return self.key_value(self.attention_norm(x) if self.norm == "pre" else x)

    def _attend(self, query: Tensor, key_values: list[Tensor]) -> Tensor:
        """Softmax attention of one position over a few: (B, D) and T times (B, 2D) -> (B, D)."""
        keys, values = zip(*(kv.chunk(2, dim=-1) for kv in key_values), strict=True)
        query_BHd = query.unflatten(-1, (self.heads, -1))
        scores = [(query_BHd * key.unflatten(-1, (self.heads, -1))).sum(-1) for key in keys]
        weights_BHT = (torch.stack(scores, dim=-1) * query_BHd.shape[-1] ** -0.5).softmax(-1)
        values_BHTd = torch.stack([value.unflatten(-1, (self.heads, -1)) for value in values], dim=-2)
        return (weights_BHT.unsqueeze(-1) * values_BHTd).sum(-2).flatten(-2)

    def _add(self, x: Tensor, attended: Tensor) -> Tensor:
        """The residual sums around attention and MLP, normalised as configured."""
        x = x + self.output(attended)
        if self.norm == "post":
            x = self.attention_norm(x)
        x = x + self.down(self.activation(self.up(self.mlp_norm(x) if self.norm == "pre" else x)))
        return self.mlp_norm(x) if self.norm == "post" else x


def _expand(x: Tensor, index_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """The rows of two positions, a row per example each."""
    first, second = x.chunk(2)
    return (first, second) if index_B is None else (rows(first, index_B), rows(second, index_B))


def multiply_adds(config: TransformerConfig, sizes: Sizes) -> int:
    """Multiply-adds of one example's forward pass in the dense layers that run per example.

    Rows shared between examples (the prefix, the first layer's projections) and attention count nothing.
    """
    square = config.width**2
    after_attention = square + 2 * config.mlp_ratio * square
    middle = 2 * (3 * square + after_attention)
    first = 2 * after_attention
    last = 2 * 2 * square + square + after_attention
    between = first + (config.layers - 2) * middle if config.layers > 1 else 0
    return between + last + config.width * sizes.classes
