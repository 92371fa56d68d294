"""Decoder-only transformer (system 3) on the tokens a, operator, b, "=": the answer is read at "=".

Causal attention lets the first two positions see only a, so they have one distinct row per token and
not one per example. The last layer is needed at "=" only. Both are used here; the plain form, four full
positions per example, is in tests/reference.py and gives the same logits.
"""

# ... leading dimensions (replicas), B examples, T tokens, D width, H heads, V classes
# S rows of the suffix: T before the first layer, B after it

from typing import Annotated, Literal, cast

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, Positive, PositiveInt, one_of
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, Norm, rescale
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
        self.last_norm = Norm(config.width) if config.norm == "pre" else nn.Identity()
        self.unembedding = Dense(config.width, sizes.classes, INITIALISATIONS[config.initialisation])
        rescale(self, config.init_scale)

    def tables(self) -> tuple[Tensor, ...]:
        """What depends on single tokens: the prefix's keys and values in each layer, the suffix before any.

        Each holds two positions below each other, a row per token: (..., 2T, 2D) and (..., 2T, D).
        """
        operand = self.token[..., : self.tokens, :]
        operator, equals = (self.token[..., i, None, :].expand_as(operand) for i in (-2, -1))
        position = [self.position[..., i, None, :] for i in range(4)]
        prefix = torch.cat([operand + position[0], operator + position[1]], dim=-2)
        suffix = torch.cat([operand + position[2], equals + position[3]], dim=-2)
        *blocks, last = self._blocks()
        key_values = []
        for block in blocks:
            key_values.append(block.key_values(prefix))
            prefix = block.prefix(prefix, key_values[-1])
        return (*key_values, last.key_values(prefix), suffix)

    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B), from tables computed once."""
        *key_values, suffix = tables
        *blocks, last = self._blocks()
        suffix_index: Tensor | None = b  # until attention mixes a into it, the suffix has a row per token b
        for block, prefix_kv in zip(blocks, key_values, strict=False):
            suffix = block.suffix(prefix_kv, suffix, a, suffix_index)
            suffix_index = None
        return self.unembedding(self.last_norm(last.answer(key_values[-1], suffix, a, suffix_index)))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.logits(self.tables(), a, b)

    def _blocks(self) -> list["Block"]:
        return [cast(Block, block) for block in self.blocks]


class Block(nn.Module):
    """Attention and MLP with residuals.

    The prefix holds the rows of positions 0 and 1, T each, one per token a; the suffix those of positions
    2 and 3, S each: one per token b with `suffix_index` saying which example uses which, or one per
    example with `suffix_index` None.
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
        self.attention_norm = Norm(width) if config.norm != "none" else nn.Identity()
        self.mlp_norm = Norm(width) if config.norm != "none" else nn.Identity()

    def prefix(self, prefix: Tensor, key_values: Tensor) -> Tensor:
        """Positions 0 and 1 after this layer; they attend within themselves."""
        first_kv, second_kv = key_values.chunk(2, dim=-2)
        _, second_q = self._queries(prefix).chunk(2, dim=-2)
        _, first = first_kv.chunk(2, dim=-1)  # position 0 attends to itself alone
        second = self._attend(second_q, [first_kv, second_kv])
        return self._add(prefix, torch.cat([first, second], dim=-2))

    def suffix(self, prefix_kv: Tensor, suffix: Tensor, a: Tensor, suffix_index: Tensor | None) -> Tensor:
        """Positions 2 and 3 after this layer, a row per example."""
        *before_b, b_kv, equals_kv = self._expanded_key_values(prefix_kv, suffix, a, suffix_index)
        b_q, equals_q = _expand(self._queries(suffix), suffix_index)
        b = self._attend(b_q, [*before_b, b_kv])
        equals = self._attend(equals_q, [*before_b, b_kv, equals_kv])
        expanded = torch.cat(_expand(suffix, suffix_index), dim=-2)
        return self._add(expanded, torch.cat([b, equals], dim=-2))

    def answer(self, prefix_kv: Tensor, suffix: Tensor, a: Tensor, suffix_index: Tensor | None) -> Tensor:
        """The position of "=" alone: what the last layer needs."""
        _, equals = _expand(suffix, suffix_index)
        key_values = self._expanded_key_values(prefix_kv, suffix, a, suffix_index)
        return self._add(equals, self._attend(self._queries(equals), key_values))

    def key_values(self, x: Tensor) -> Tensor:
        return self.key_value(self.attention_norm(x) if self.norm == "pre" else x)

    def _queries(self, x: Tensor) -> Tensor:
        return self.query(self.attention_norm(x) if self.norm == "pre" else x)

    def _expanded_key_values(
        self, prefix_kv: Tensor, suffix: Tensor, a: Tensor, suffix_index: Tensor | None
    ) -> list[Tensor]:
        """Keys and values (..., B, 2D) of the four positions, a row per example."""
        return [*_expand(prefix_kv, a), *_expand(self.key_values(suffix), suffix_index)]

    def _attend(self, query: Tensor, key_values: list[Tensor]) -> Tensor:
        """Softmax attention of one position over a few: (..., B, D), each (..., B, 2D) -> (..., B, D)."""
        keys, values = zip(*(kv.chunk(2, dim=-1) for kv in key_values), strict=True)
        query_BHd = query.unflatten(-1, (self.heads, -1))
        scores = [(query_BHd * key.unflatten(-1, (self.heads, -1))).sum(-1) for key in keys]
        weights_BHT = (torch.stack(scores, dim=-1) * query_BHd.shape[-1] ** -0.5).softmax(-1)
        weighted = [
            weight_BH.unsqueeze(-1) * value.unflatten(-1, (self.heads, -1))
            for weight_BH, value in zip(weights_BHT.unbind(-1), values, strict=True)
        ]
        return sum(weighted[1:], weighted[0]).flatten(-2)

    def _add(self, x: Tensor, attended: Tensor) -> Tensor:
        """The residual sums around attention and MLP, normalised as configured."""
        x = x + self.output(attended)
        if self.norm == "post":
            x = self.attention_norm(x)
        x = x + self.down(self.activation.apply(self.up(self.mlp_norm(x) if self.norm == "pre" else x)))
        return self.mlp_norm(x) if self.norm == "post" else x


def _expand(x: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
    """The rows of two positions, a row per example each."""
    first, second = x.chunk(2, dim=-2)
    return (first, second) if index is None else (rows(first, index), rows(second, index))


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
