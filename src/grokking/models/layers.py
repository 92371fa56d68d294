"""Pieces the families share: dense layers, activations, initialisations.

Everything is written for one replica and names dimensions by negative numbers, so that the same code runs
a stack of replicas, whose parameters have one more dimension in front.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from grokking import ops
from grokking.ops.mlp import Activation

ACTIVATIONS: dict[str, Activation] = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "square": torch.square,
}


class Dense(nn.Module):
    """x @ weight.T + bias, with weight (..., outputs, inputs) and bias (..., outputs) as in nn.Linear.

    Several `matrices` that are applied to the same input may share a layer, one below the other.
    """

    bias: Tensor

    def __init__(
        self, inputs: int, outputs: int, initialise: "Initialisation", bias: bool = True, matrices: int = 1
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.matrices = matrices
        self.matmul_dtype: torch.dtype | None = None  # what a product's inputs are rounded to
        _add_bias(self, outputs, bias)
        initialise(self.weight, self.bias, inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., B, inputs) -> (..., B, outputs); leading dimensions are those of the parameters."""
        return ops.linear(x, self.weight, self.bias, self.matmul_dtype)


class OneHotDense(nn.Module):
    """A dense layer on one-hot inputs: a row of weights per input, (..., inputs, outputs), and its bias."""

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, initialise: "Initialisation", bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        _add_bias(self, outputs, bias)
        initialise(self.weight, self.bias, inputs, outputs)


def _add_bias(layer: nn.Module, outputs: int, trained: bool) -> None:
    """A bias to train, or zeros for ever."""
    if trained:
        layer.bias = nn.Parameter(torch.empty(outputs))
    else:
        layer.register_buffer("bias", torch.zeros(outputs))


Initialisation = Callable[[Tensor, Tensor, int, int], None]  # weight, bias, fan in, fan out


def fan_in_uniform(weight: Tensor, bias: Tensor, fan_in: int, fan_out: int) -> None:
    """torch's default for nn.Linear: weight and bias uniform in ±1/sqrt(fan_in)."""
    nn.init.uniform_(weight, -(fan_in**-0.5), fan_in**-0.5)
    if isinstance(bias, nn.Parameter):
        nn.init.uniform_(bias, -(fan_in**-0.5), fan_in**-0.5)


def he_normal(weight: Tensor, bias: Tensor, fan_in: int, fan_out: int) -> None:
    """He et al. 2015: weight normal with variance 2/fan_in, bias zero."""
    nn.init.normal_(weight, std=(2 / fan_in) ** 0.5)
    nn.init.zeros_(bias)


def standard_normal(weight: Tensor, bias: Tensor, fan_in: int, fan_out: int) -> None:
    """Weight normal with variance 1 whatever the width, bias zero; `init_scale` makes it the wanted one."""
    nn.init.normal_(weight)
    nn.init.zeros_(bias)


def lecun_normal(weight: Tensor, bias: Tensor, fan_in: int, fan_out: int) -> None:
    """LeCun et al. 1998: weight normal with variance 1/fan_in, bias zero."""
    nn.init.normal_(weight, std=fan_in**-0.5)
    nn.init.zeros_(bias)


def glorot_uniform(weight: Tensor, bias: Tensor, fan_in: int, fan_out: int) -> None:
    """Glorot and Bengio 2010: weight uniform in ±sqrt(6 / (fan_in + fan_out)), bias zero."""
    bound = (6 / (fan_in + fan_out)) ** 0.5
    nn.init.uniform_(weight, -bound, bound)
    nn.init.zeros_(bias)


INITIALISATIONS: dict[str, Initialisation] = {
    "fan_in_uniform": fan_in_uniform,
    "he_normal": he_normal,
    "standard_normal": standard_normal,
    "lecun_normal": lecun_normal,
    "glorot_uniform": glorot_uniform,
}


@torch.no_grad()
def rescale(model: nn.Module, scale: float) -> None:
    """Multiply every initial parameter by `scale`."""
    for parameter in model.parameters():
        parameter.mul_(scale)
