"""One-hot MLP with backpropagation by hand in NumPy (system 0); its torch twin is `one_hot_mlp`.

A one-hot input selects a row of the first weight matrix, so the first layer is a lookup forward and a
sum over equal tokens backward; the one-hot matrix is never formed.
"""

# ... leading dimensions (replicas), B examples, T tokens, I inputs and O outputs of a layer, V classes

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking import ops
from grokking.config import STRICT, Positive
from grokking.data.tasks import Sizes
from grokking.models import layers
from grokking.models.layers import Table
from grokking.models.model import Model
from grokking.models.table_mlp import Widths

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, config=STRICT)
class NumpyMLPConfig:
    family: Literal["numpy_mlp"]
    hidden_widths: Widths
    init_scale: Positive  # multiplies the He-normal initial weights


def forward(
    weights: Arrays, biases: Arrays, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """ReLU network on pairs: hidden activations of each layer, (B, O), and logits (B, V)."""
    tokens = len(weights[0]) // 2
    x = weights[0][a_B] + weights[0][tokens + b_B] + biases[0]
    hidden = []
    for weight_IO, bias_O in zip(weights[1:], biases[1:], strict=True):
        hidden.append(np.maximum(x, 0))
        x = hidden[-1] @ weight_IO + bias_O
    return hidden, x


def backward(
    weights: Arrays, hidden: Arrays, grad_BV: np.ndarray, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weights and biases from the gradient at the logits."""
    grad_weights, grad_biases, grad = [], [grad_BV.sum(0)], grad_BV
    for weight_IO, x_BI in zip(reversed(weights[1:]), reversed(hidden), strict=True):
        grad_weights.append(x_BI.T @ grad)
        grad = grad @ weight_IO.T * (x_BI > 0)
        grad_biases.append(grad.sum(0))
    first = np.zeros_like(weights[0])
    np.add.at(first, a_B, grad)
    np.add.at(first, len(first) // 2 + b_B, grad)
    return [first, *reversed(grad_weights)], grad_biases[::-1]


class NumpyMLP(Model):
    first_layer = ("layer_0",)

    def __init__(self, config: NumpyMLPConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = [2 * sizes.tokens, *config.hidden_widths, sizes.classes]
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"layer_{number}", Table(inputs, outputs, layers.he_normal, bias=True))
        self.readout = f"layer_{len(config.hidden_widths)}"
        layers.rescale(self, config.init_scale)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if ops.is_fast(a):
            return cast(Tensor, _ByHand.apply(a, b, *self.parameters()))
        return ops.mlp(*self.table(), a, b, self._dense(), torch.relu)

    def table(self) -> tuple[Tensor, Tensor]:
        """As in `TableMLP`: the first weight matrix and its bias."""
        weight, bias, *_ = self.parameters()
        return weight, bias

    def hidden(self, a: Tensor, b: Tensor) -> Tensor:
        """Activations of the last hidden layer, (..., B, N)."""
        return ops.mlp_hidden(*self.table(), a, b, self._dense()[:-1], torch.relu)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., B, V) of the last hidden layer's activations."""
        return ops.linear(hidden, *self._dense()[-1])

    def _dense(self) -> list[tuple[Tensor, Tensor]]:
        """Weights with a row per output, as dense layers of torch have them, and biases."""
        _, _, *later = self.parameters()
        return [(weight.mT, bias) for weight, bias in zip(later[::2], later[1::2], strict=True)]

    @classmethod
    def has_hidden_matrices(cls, config: NumpyMLPConfig) -> bool:
        """Its matrices are no dense layers of torch."""
        return False

    @staticmethod
    def multiply_adds(config: NumpyMLPConfig, sizes: Sizes) -> int:
        """The first layer is a lookup and counts nothing."""
        return layers.multiply_adds([*config.hidden_widths, sizes.classes])


class _ByHand(Function):
    """Both passes for stacked replicas, one after the other; weights and biases are given in turns."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, *parameters)
        passed = [
            forward(weights, biases, a_B, b_B) for a_B, b_B, weights, biases in _replicas(a, b, parameters)
        ]
        ctx.hidden = [hidden for hidden, _ in passed]
        logits = torch.from_numpy(np.stack([logits_BV for _, logits_BV in passed]))
        return logits.view(*a.shape, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *parameters = ctx.saved_tensors
        grad_RBV = grads[0].reshape(-1, *grads[0].shape[-2:]).numpy()
        found = [
            backward(weights, hidden, grad_BV, a_B, b_B)
            for (a_B, b_B, weights, _), hidden, grad_BV in zip(
                _replicas(a, b, parameters), ctx.hidden, grad_RBV, strict=True
            )
        ]
        in_turns = [
            [grad for layer in zip(*of_replica, strict=True) for grad in layer] for of_replica in found
        ]
        stacked = [torch.from_numpy(np.stack(of_each)) for of_each in zip(*in_turns, strict=True)]
        return None, None, *(grad.view(p.shape) for grad, p in zip(stacked, parameters, strict=True))


def _replicas(a: Tensor, b: Tensor, parameters: Sequence[Tensor]) -> Any:
    """Operands, weights and biases of one replica after the other, as arrays."""
    operands = (x.reshape(-1, x.shape[-1]).numpy() for x in (a, b))
    dimensions = [2 - number % 2 for number in range(len(parameters))]
    arrays = [
        p.detach().reshape(-1, *p.shape[-d:]).numpy() for p, d in zip(parameters, dimensions, strict=True)
    ]
    return zip(*operands, zip(*arrays[::2], strict=True), zip(*arrays[1::2], strict=True), strict=True)
