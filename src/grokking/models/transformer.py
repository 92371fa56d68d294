"""Transformer (system 3) on a short sequence such as a, operator, b, "=": the answer is read at its end.

This is the plain network, every position of every example. Where examples have positions in common, a CPU
takes `models/shared_prefix.py` instead, which gives the same logits.
"""

# ... leading dimensions (replicas), B examples, S positions of a sequence, T tokens, D width, V classes
# N rows: the B·S positions of all examples, one sequence below the other

from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from grokking import ops
from grokking.config import STRICT, ConfigError, Depth, LayerWidth, Positive, one_of
from grokking.data.tasks import Sizes
from grokking.models import sequences, shared_prefix
from grokking.models.layers import ACTIVATIONS, INITIALISATIONS, Dense, fan_in_uniform, rescale
from grokking.models.model import Model
from grokking.models.norms import NORMS
from grokking.models.positions import rotate, sinusoids
from grokking.models.sequences import SequenceLayout
from grokking.ops.attention import attention
from grokking.ops.lookup import rows

GATED = {"swiglu": nn.functional.silu}  # activations of one half of `up`, which multiplies the other half
# what `torch_encoder` leaves as it is begins as torch's linear layers do
TRANSFORMER_INITIALISATIONS = INITIALISATIONS | {"torch_encoder": fan_in_uniform}


@dataclass(frozen=True, config=STRICT)
class TransformerConfig:
    family: Literal["transformer"]
    sequence: SequenceLayout
    positions: Literal["learned", "none", "sinusoidal", "rotary"]
    attention: Literal["causal", "bidirectional"]
    pooling: Literal["last", "mean"]  # the position that is read out, or the mean of all
    layers: Depth
    width: LayerWidth
    heads: LayerWidth  # the width of one head is width / heads
    mlp_ratio: Positive  # hidden width of the MLP, in widths
    norm: Literal["none", "pre", "post"]  # before each sublayer, after each sum, or nowhere
    norm_type: Annotated[str, one_of(NORMS)]  # LayerNorm, or RMSNorm without mean and bias
    activation: Annotated[str, one_of(ACTIVATIONS | GATED)]
    bias: bool | Literal["blocks"]  # in all dense layers, in none, or in all but the readout
    embedding_std: Positive  # of the initial token embeddings and learned positions
    initialisation: Annotated[str, one_of(TRANSFORMER_INITIALISATIONS)]
    init_scale: Positive  # multiplies every initial parameter
    tied_unembedding: bool  # logits are products with the operands' token embeddings, without a bias
    output_scale: Positive  # multiplies the logits

    def __post_init__(self) -> None:
        width, heads, hidden = self.width, self.heads, round(self.mlp_ratio * self.width)
        if width % heads:
            raise ValueError(f"`heads` must divide `width`, but got width {width} and heads {heads}")
        if hidden < 1 or abs(self.mlp_ratio * width - hidden) > 1e-6:
            raise ValueError(
                f"`mlp_ratio` times `width` must be a whole number, but got {self.mlp_ratio} times {width}; "
                f"write {max(1, hidden) / width!r}"
            )
        if self.positions == "rotary" and width // heads % 2:
            raise ValueError(
                f"rotary `positions` need heads of even width, but got {width // heads}; change `heads`"
            )

    @property
    def hidden_width(self) -> int:
        return round(self.mlp_ratio * self.width)

    @property
    def symbols(self) -> list[str]:
        return sequences.symbols(self.sequence)


class Transformer(Model):
    output_scale: Tensor
    position: Tensor  # (..., S, D), added to the embeddings
    shape_floats = ("mlp_ratio",)

    def __init__(self, config: TransformerConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.tokens = config, sizes.tokens
        width, length = config.width, len(config.symbols)
        count = sizes.tokens + len(sequences.specials(config.sequence))
        self.token = nn.Parameter(config.embedding_std * torch.randn(count, width))
        if config.positions == "learned":
            self.position = nn.Parameter(config.embedding_std * torch.randn(length, width))
        else:
            fixed = sinusoids if config.positions == "sinusoidal" else torch.zeros
            self.register_buffer("position", fixed(length, width))
        blocks = [Block(config) for _ in range(config.layers)]
        if config.initialisation == "torch_encoder":
            init_as_torch_encoder(blocks)
        self.blocks = nn.ModuleList(blocks)
        self.last_norm = NORMS[config.norm_type](width) if config.norm == "pre" else nn.Identity()
        if not config.tied_unembedding:
            initialise = TRANSFORMER_INITIALISATIONS[config.initialisation]
            self.unembedding = Dense(width, sizes.classes, initialise, config.bias is True)
        self.first_layer = ("token", "position") if config.positions == "learned" else ("token",)
        self.readout = "token" if config.tied_unembedding else "unembedding"
        self.register_buffer("output_scale", torch.tensor([config.output_scale]))
        rescale(self, config.init_scale)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if ops.is_fast(a) and shared_prefix.fits(self.config):
            pooled = shared_prefix.last_position(self, a, b)
        else:
            x = self.hidden(a, b)
            pooled = x.mean(-2) if self.config.pooling == "mean" else x[..., -1, :]
        return self.unembed(self.last_norm(pooled))

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        """All positions after the last block, (..., B, S, D)."""
        token_BS = sequences.tokens(self.config.sequence, a, b, self.tokens)
        positions = (-1, token_BS.shape[-1])
        embedded = rows(self.token, token_BS.flatten(-2)).unflatten(-2, positions)
        x = (embedded + self.position.unsqueeze(-3)).flatten(-3, -2)
        for block in self.blocks:
            x = block(x)
        return x.unflatten(-2, positions)

    def unembed(self, x: Tensor) -> Tensor:
        """Logits (..., B, V) of rows (..., B, D); the scale is cheaper on the weights than on the logits."""
        scale = self.output_scale.unsqueeze(-1)
        if self.config.tied_unembedding:
            return x @ (scale * self.token[..., : self.tokens, :]).mT
        last = self.unembedding
        return ops.linear(x, scale * last.weight, self.output_scale * last.bias, last.matmul_dtype)

    @classmethod
    def require_fit(cls, config: TransformerConfig, sizes: Sizes, where: str) -> None:
        """Raise ConfigError where the answers are not the operands' tokens: they have no embedding then."""
        if config.tied_unembedding and sizes.tokens != sizes.classes:
            raise ConfigError(
                f"`{where}.tied_unembedding` needs answers that are the operands' tokens, but got "
                f"{sizes.tokens} tokens and {sizes.classes} answers; write false"
            )

    @classmethod
    def multiply_adds(cls, config: TransformerConfig, sizes: Sizes) -> int:
        """Multiply-adds of one example's forward pass in the dense layers that run per example.

        Rows shared between examples and attention count nothing.
        """
        gated, square = config.activation in GATED, config.width**2
        per_row = square + (3 if gated else 2) * config.hidden_width * config.width
        readout = config.width * sizes.classes
        if not shared_prefix.fits(config):
            return config.layers * len(config.symbols) * (3 * square + per_row) + readout
        return shared_prefix.multiply_adds(config, square, per_row) + readout


@torch.no_grad()
def init_as_torch_encoder(blocks: list["Block"]) -> None:
    """Begin as torch's nn.TransformerEncoder (system 3), which draws one matrix and copies one layer."""
    first, *others = blocks
    bound = (6 / (4 * first.config.width)) ** 0.5  # Glorot's for query, key and value as one (3D, D) matrix
    for layer in (first.query, first.key_value):
        nn.init.uniform_(layer.weight, -bound, bound)
    for layer in (first.query, first.key_value, first.output):
        nn.init.zeros_(layer.bias)
    for block in others:
        block.load_state_dict(first.state_dict())


class Block(nn.Module):
    """Attention and MLP, each with a residual connection."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, hidden, bias = config.width, config.hidden_width, bool(config.bias)
        gated, initialise = config.activation in GATED, TRANSFORMER_INITIALISATIONS[config.initialisation]
        self.config = config
        self.query = Dense(width, width, initialise, bias)
        self.key_value = Dense(width, 2 * width, initialise, bias, matrices=2)
        self.output = Dense(width, width, initialise, bias)
        parts = 2 if gated else 1
        self.up = Dense(width, parts * hidden, initialise, bias, matrices=parts)
        self.down = Dense(hidden, width, initialise, bias)
        self.attention_norm = NORMS[config.norm_type](width) if config.norm != "none" else nn.Identity()
        self.mlp_norm = NORMS[config.norm_type](width) if config.norm != "none" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(..., N, D) -> (..., N, D)"""
        y = self.attention_input(x)
        query, key_value = self.query(y), self.key_value(y)
        length, heads = len(self.config.symbols), self.config.heads
        if self.config.positions == "rotary":
            key, value = key_value.chunk(2, dim=-1)
            query, key = rotate(query, length, heads), rotate(key, length, heads)
            key_value = torch.cat([key, value], dim=-1)
        attended = attention(query, key_value, length, heads, causal=self.config.attention == "causal")
        return self.add_attention_and_mlp(x, attended)

    def attention_input(self, x: Tensor) -> Tensor:
        return self.attention_norm(x) if self.config.norm == "pre" else x

    def add_attention_and_mlp(self, x: Tensor, attended: Tensor) -> Tensor:
        pre, post = self.config.norm == "pre", self.config.norm == "post"
        x = x + self.output(attended)
        x = self.attention_norm(x) if post else x
        y = self.mlp_norm(x) if pre else x
        x = x + self.down(self.activate(self.up(y)))
        return self.mlp_norm(x) if post else x

    def activate(self, x: Tensor) -> Tensor:
        if self.config.activation in GATED:
            gate, value = x.chunk(2, dim=-1)
            return GATED[self.config.activation](gate) * value
        return ACTIVATIONS[self.config.activation](x)
