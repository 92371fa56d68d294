"""Norms of rows with a gain for each column, and a bias where the mean is taken away."""

# ... leading dimensions (none, or R replicas), N rows, D columns

import torch
from torch import Tensor

EPSILON = 1e-5  # torch's own


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """(..., N, D), (..., D), (..., D) -> (..., N, D)"""
    normalised = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=EPSILON)
    return torch.addcmul(bias.unsqueeze(-2), normalised, gain.unsqueeze(-2))


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """(..., N, D), (..., D) -> (..., N, D)"""
    return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=EPSILON) * gain.unsqueeze(-2)
