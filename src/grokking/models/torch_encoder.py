"""Initial values of torch's nn.TransformerEncoder (system 3), not those of its linear layers alone.

torch.nn.MultiheadAttention draws the matrices of queries, keys and values as one of three times the height,
and torch.nn.TransformerEncoder copies one layer, so that all layers begin equal.
"""

# D width

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from grokking.models.transformer import Block


@torch.no_grad()
def init_as_torch_encoder(blocks: Iterable["Block"]) -> None:
    """Redraw queries, keys and values, empty attention's biases, and copy the first block into the others."""
    first, *others = blocks
    bound = (6 / (first.config.width + 3 * first.config.width)) ** 0.5  # Glorot's, of one (3D, D) matrix
    for layer in (first.query, first.key_value):
        nn.init.uniform_(layer.weight, -bound, bound)
    for layer in (first.query, first.key_value, first.output):
        nn.init.zeros_(layer.bias)
    for block in others:
        block.load_state_dict(first.state_dict())
