"""Positions that are not learned: sinusoids added to embeddings, rotations of queries and keys."""

# ... leading dimensions (replicas), N rows: B sequences of S positions, one below the other
# D width, H heads of width d, F frequencies

import torch
from torch import Tensor


def sinusoids(length: int, width: int) -> Tensor:
    """Fixed positions (S, D) of Vaswani et al. 2017: sines, then cosines of growing angles."""
    angle_SF = angles(length, (width + 1) // 2)
    return torch.cat([angle_SF.sin(), angle_SF.cos()], dim=-1)[:, :width].float()


def rotate(x: Tensor, length: int, heads: int) -> Tensor:
    """Turn the halves of each head against each other by angles that grow with position (Su et al. 2021)."""
    sequences = x.unflatten(-2, (-1, length)).unflatten(-1, (heads, 2, -1))  # (..., B, S, H, 2, d/2)
    first, second = sequences.unbind(-2)
    angle = angles(length, first.shape[-1]).to(x).unsqueeze(-2)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-2)
    return turned.flatten(-3).flatten(-3, -2)


def angles(length: int, frequencies: int) -> Tensor:
    """Position times frequency, (S, F), for frequencies from 1 down to 1/10,000 in equal ratios."""
    share_F = torch.arange(frequencies).double() / frequencies
    return torch.arange(length).unsqueeze(-1) * 10_000**-share_F
