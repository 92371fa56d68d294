"""Norms: each has a gain per column; LayerNorm, which removes the mean, also a bias."""

import torch
from torch import Tensor, nn

from grokking.ops.norm import EPSILON, layer_norm


class LayerNorm(nn.Module):
    """Rows (..., N, D) less their mean, divided by their standard deviation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.gain, self.bias)


class RMSNorm(nn.Module):
    """Rows (..., N, D) divided by their root mean square."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, x.shape[-1:], eps=EPSILON) * self.gain.unsqueeze(-2)


NORMS: dict[str, type[nn.Module]] = {"layer": LayerNorm, "rms": RMSNorm}
