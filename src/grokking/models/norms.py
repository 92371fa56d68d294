"""Norms of the transformer: each has a gain per column; LayerNorm, which removes the mean, also a bias."""

import torch
from torch import Tensor, nn

from grokking.ops.norm import layer_norm, rms_norm


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
        return rms_norm(x, self.gain)


NORMS: dict[str, type[nn.Module]] = {"layer": LayerNorm, "rms": RMSNorm}
