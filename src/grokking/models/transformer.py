"""Decoder-only transformer (system 3) on the tokens a, operator, b, "=": the answer is read at "=".

What a position holds depends on the tokens up to it. So before the first layer all examples together have
2T + 2 distinct rows, and the first two positions, the prefix, have one per token a in every layer: these
are computed once, as tables. Examples have rows of their own at the last two positions, the suffix, and in
the last layer at "=" only. The plain form, four full positions per example, is in tests/reference.py.
"""

# ... leading dimensions (replicas), B examples, T tokens, D width, H heads, d width of a head, V classes
# Q last positions

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking.config import STRICT, ConfigError, Positive, PositiveInt, one_of
from grokking.data.tasks import Sizes
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, Norm, rescale
from grokking.ops import numba_kernels as kernels
from grokking.ops.attention import Attention, KeyValues, attention, compiled_attention
from grokking.ops.autograd import add_gradients
from grokking.ops.lookup import rows
from grokking.ops.matmul import affine, product


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
    tied_unembedding: bool  # logits are products with the operands' token embeddings, without a bias
    output_scale: Positive  # multiplies the logits

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"`heads` must divide `width`, but got width {self.width} and heads {self.heads}"
            )


class Transformer(nn.Module):
    first_layer = ("token", "position")
    by_autograd = True
    output_scale: Tensor

    def __init__(self, config: TransformerConfig, sizes: Sizes) -> None:
        super().__init__()
        require_fit(config, sizes)
        self.tokens = sizes.tokens  # the operator and "=" are the next two
        self.token = nn.Parameter(config.embedding_std * torch.randn(sizes.tokens + 2, config.width))
        self.position = nn.Parameter(config.embedding_std * torch.randn(4, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.last_norm = Norm(config.width) if config.norm == "pre" else nn.Identity()
        initialise = INITIALISATIONS[config.initialisation]
        tied = config.tied_unembedding
        self.unembedding = nn.Identity() if tied else Dense(config.width, sizes.classes, initialise)
        self.readout = "token" if tied else "unembedding"
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))
        rescale(self, config.init_scale)

    def tables(self) -> tuple[Tensor, ...]:
        """Rows before the first layer beside their queries, and their keys beside values: (..., 2T + 2, 2D)
        each. Then, for each later layer, keys beside values of both prefix positions, two rows per token a:
        (..., 2T, 2D).
        """
        first, *later = self._blocks()
        embedded = self._embedded()
        query, of_tokens = first.projections(embedded, embedded.shape[-2])
        tables = [torch.cat([embedded, query], dim=-1), of_tokens]
        every_a = torch.arange(self.tokens, device=embedded.device).expand(*embedded.shape[:-2], -1)
        operator = torch.full_like(every_a, self.tokens)
        prefix, query, key_values = self._look_up(tables, [every_a, operator], [every_a, operator])
        for block, following in zip([first, *later], later, strict=False):
            prefix = block(prefix, query, key_values, attention)
            query, own = following.projections(prefix, 2)
            key_values = KeyValues(key_values.table, key_values.index[..., :0], own)
            tables.append(own.flatten(-3, -2))
        return tuple(tables)

    def logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B), from tables computed once."""
        return self._logits(tables, a, b, compiled_attention if kernels.suit(a) else attention)

    def _logits(self, tables: tuple[Tensor, ...], a: Tensor, b: Tensor, attend: Attention) -> Tensor:
        first, *later = self._blocks()
        operator, equals = (torch.full_like(a, row) for row in (self.tokens, 2 * self.tokens + 1))
        positions = [a, operator, self.tokens + 1 + b, equals]
        kept = 2 if later else 1  # the last layer is needed at "=" only
        suffix = first(*self._look_up(tables, positions[-kept:], positions), attend)
        prefix_rows = torch.stack([2 * a, 2 * a + 1], dim=-1)
        for block, prefix in zip(later, tables[2:], strict=True):
            kept = 1 if block is later[-1] else 2
            query, own = block.projections(suffix, kept)
            suffix = block(suffix[..., -kept:, :], query, KeyValues(prefix, prefix_rows, own), attend)
        return self._unembedded(self.last_norm(suffix[..., -1, :]))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.logits(self.tables(), a, b)

    def backpropagate(
        self,
        tables: tuple[Tensor, ...],
        a: Tensor,
        b: Tensor,
        of_logits: Callable[[Tensor], Tensor],
        of_tables: tuple[Tensor, ...],
        of_parameters: Mapping[str, Tensor],
    ) -> None:
        """As `Model` has it, by autograd."""
        leaves = tuple(table.detach().requires_grad_() for table in tables)
        logits = self._logits(leaves, a, b, compiled_attention if a.device.type == "cpu" else attention)
        with torch.no_grad():
            gradient = of_logits(logits.detach().clone())
        scalar = (logits * gradient).sum()
        inputs = [*dict(self.named_parameters()).values(), *leaves]
        add_gradients([scalar], inputs, [*of_parameters.values(), *of_tables])

    def backpropagate_tables(
        self, tables: tuple[Tensor, ...], of_tables: tuple[Tensor, ...], of_parameters: Mapping[str, Tensor]
    ) -> None:
        """As `Model` has it, by autograd."""
        products = [(table * gradient).sum() for table, gradient in zip(tables, of_tables, strict=True)]
        add_gradients(products, [*self.parameters()], [*of_parameters.values()])

    def _unembedded(self, x: Tensor) -> Tensor:
        """Logits (..., B, V) of rows (..., B, D); the scale is cheaper on the weights than on the logits."""
        if isinstance(self.unembedding, Dense):
            weight = self.output_scale.unsqueeze(-1) * self.unembedding.weight
            return affine(x, weight, self.output_scale * self.unembedding.bias, self.unembedding.factors)
        return product(x, (self.output_scale.unsqueeze(-1) * self.token[..., : self.tokens, :]).mT)

    def _embedded(self) -> Tensor:
        """Every token at the positions where it stands: a, the operator, b, "=" (..., 2T + 2, D)."""
        operand, operator, equals = self.token.split([self.tokens, 1, 1], dim=-2)
        position = self.position.unsqueeze(-2).unbind(-3)
        at_positions = zip((operand, operator, operand, equals), position, strict=True)
        return torch.cat([token + place for token, place in at_positions], dim=-2)

    def _look_up(
        self, tables: Sequence[Tensor], last: list[Tensor], positions: list[Tensor]
    ) -> tuple[Tensor, Tensor, KeyValues]:
        """Rows and queries at the last positions, (..., B, Q, D) each, keys and values at all of them."""
        row_and_query = rows(tables[0], torch.stack(last, dim=-1).flatten(-2)).unflatten(-2, (-1, len(last)))
        row, query = row_and_query.chunk(2, dim=-1)
        none = row_and_query[..., :0, :]
        return row, query, KeyValues(tables[1], torch.stack(positions, dim=-1), none)

    def _blocks(self) -> list["Block"]:
        return [cast(Block, block) for block in self.blocks]


class Block(nn.Module):
    """Causal attention and MLP with residuals, for the last positions of a sequence."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, initialise = config.width, INITIALISATIONS[config.initialisation]
        self.heads, self.norm = config.heads, config.norm
        self.activation = ACTIVATIONS[config.activation]
        self.query = Dense(width, width, initialise)
        self.key_value = Dense(width, 2 * width, initialise, stacked=2)
        self.output = Dense(width, width, initialise)
        self.up = Dense(width, config.mlp_ratio * width, initialise)
        self.down = Dense(config.mlp_ratio * width, width, initialise)
        self.attention_norm = Norm(width) if config.norm != "none" else nn.Identity()
        self.mlp_norm = Norm(width) if config.norm != "none" else nn.Identity()

    def projections(self, x: Tensor, last: int) -> tuple[Tensor, Tensor]:
        """Queries (..., last, D) of the last rows; keys beside values (..., P, 2D) of all (..., P, D)."""
        flat = _examples(x, self.query)
        normed = self.attention_norm(flat) if self.norm == "pre" else flat
        of_last = normed.view(x.shape)[..., -last:, :]
        query = self.query(_examples(of_last, self.query)).view(of_last.shape)
        return query, self.key_value(normed).view(*x.shape[:-1], -1)

    def forward(self, x: Tensor, query: Tensor, key_values: KeyValues, attend: Attention) -> Tensor:
        """The last Q positions (..., B, Q, D) after this layer."""
        attended = _examples(attend(query, key_values, self.heads), self.output)
        y = _examples(x, self.output) + self.output(attended)
        if self.norm == "post":
            y = self.attention_norm(y)
        inner = self.activation.apply(self.up(self.mlp_norm(y) if self.norm == "pre" else y))
        y = y + self.down(inner)
        return (self.mlp_norm(y) if self.norm == "post" else y).view(x.shape)


def _examples(x: Tensor, layer: Dense) -> Tensor:
    """Examples and positions as one dimension, after those of the layer's replicas."""
    return x.flatten(layer.weight.dim() - 2, -2)


def require_fit(config: TransformerConfig, sizes: Sizes) -> None:
    """Raise ConfigError where the answers are not the operands' tokens: they have no embedding then."""
    if config.tied_unembedding and sizes.tokens != sizes.classes:
        raise ConfigError(
            "`model.tied_unembedding` needs answers that are the operands' tokens, but got "
            f"{sizes.tokens} tokens and {sizes.classes} answers; write false"
        )


def multiply_adds(config: TransformerConfig, sizes: Sizes) -> int:
    """Multiply-adds of one example's forward pass in the dense layers that run per example.

    Rows shared between examples (the prefix, the first layer's projections) and attention count nothing.
    """
    square = config.width**2
    after_attention = square + 2 * config.mlp_ratio * square
    middle = 2 * (3 * square + after_attention)
    first = 2 * after_attention
    last = 2 * 2 * square + square + after_attention  # keys and values of two positions, one query
    between = first + (config.layers - 2) * middle if config.layers > 1 else 0
    return between + last + config.width * sizes.classes
