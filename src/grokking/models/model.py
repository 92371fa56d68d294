"""What the engine needs of a family of networks."""

# ... leading dimensions (none, or R replicas), B examples, V classes

from typing import Any

import torch
from torch import Tensor, nn

from grokking.data.tasks import Sizes
from grokking.models.layers import Dense


class Model(nn.Module):
    """A network on pairs of tokens, written for one replica and built from (config, sizes).

    It names dimensions by negative numbers only, such as -1 and -2, so that the same module runs a stack of
    replicas once its parameters and buffers have one more dimension in front. Therefore a scalar buffer has
    the shape (1,) here, and (R, 1) in a stack.
    """

    first_layer: tuple[str, ...]  # names of the parameters or layers that operands meet first
    readout: str  # name of the parameter or layer that gives the logits
    undecayed: tuple[str, ...] = ()  # names of the parameters that coupled weight decay (L2) leaves alone
    shape_floats: tuple[str, ...] = ()  # floats of the configuration that decide the shapes of parameters
    multiplies_by_torch = True  # or by NumPy
    matmul_dtype: torch.dtype | None = None  # to which dense layers round inputs, weights and results

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits (..., B, V) of the pairs (a, b), each (..., B)."""
        raise NotImplementedError

    def set_matmul_dtype(self, dtype: torch.dtype | None) -> None:
        """Round the factors of the products in dense layers to this type; None: leave them."""
        for module in self.modules():
            if isinstance(module, Dense | Model):
                module.matmul_dtype = dtype

    @classmethod
    def require_fit(cls, config: Any, sizes: Sizes, where: str) -> None:
        """Raise ConfigError where a task has not the sizes that the network needs."""

    @classmethod
    def has_hidden_matrices(cls, config: Any) -> bool:
        """Whether there is a `Dense` between first layer and readout, whose matrix Muon can update."""
        return True

    @staticmethod
    def multiply_adds(config: Any, sizes: Sizes) -> int:
        """Multiply-adds of one example's forward pass, in the layers that run per example."""
        raise NotImplementedError
