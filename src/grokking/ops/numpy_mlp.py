"""Forward and backward pass of a ReLU network on pairs of tokens, by hand in NumPy (system 0).

A one-hot input selects a row of the first weight matrix. So the first layer is a lookup forward and a sum
over equal tokens backward, and the one-hot matrix is never formed. The plain twin is `ops.mlp`. Passes over
memory are kernels, beside which NumPy's lines for the same stand as comments.
"""

# ... leading dimensions (replicas), B examples, I inputs and O outputs of a layer, V classes

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from grokking.ops import numba_kernels as kernels
from grokking.ops.replicas import by_replica

Arrays = Sequence[np.ndarray]


def numpy_mlp(a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
    """Logits (..., B, V) of pairs (..., B); weight (..., I, O) and bias (..., O) of each layer in turns."""
    return by_replica(_Passes(), a.dim() > 1, a, b, *parameters)


def forward(
    weights: Arrays, biases: Arrays, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """ReLU network on pairs: activations of each hidden layer, (B, O), and logits (B, V)."""
    x = np.empty((len(a_B), len(biases[0])), weights[0].dtype)
    kernels.sum_pairs(weights[0], biases[0], a_B, b_B, True, x)  # x = max(0, rows of a + rows of b + bias)
    hidden = []
    for weight_IO, bias_O in zip(weights[1:], biases[1:], strict=True):
        hidden.append(x)
        x = x @ weight_IO
        kernels.add_bias(x, bias_O, bias_O is not biases[-1])  # x += bias_O, then ReLU but at the end
    return hidden, x


def backward(
    weights: Arrays, hidden: Arrays, grad: np.ndarray, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weights and biases from the gradient at the logits, (B, V)."""
    grad_weights, grad_biases = [np.zeros_like(weights[0])], [grad.sum(0)]
    for weight_IO, x_BI in zip(reversed(weights[1:]), reversed(hidden), strict=True):
        grad_weights.insert(1, x_BI.T @ grad)
        grad = grad @ weight_IO.T
        grad_biases.insert(0, np.zeros_like(x_BI[0]))
        kernels.relu_backward(grad, x_BI, grad_biases[0])  # grad *= x_BI > 0; its sum over examples
    # np.add.at(rows of a, a_B, grad) and np.add.at(rows of b, b_B, grad) would take longer than all products
    kernels.add_pairs(grad, grad, False, a_B, b_B, grad_weights[0])
    return grad_weights, grad_biases


class _Passes:
    """From tensors to tensors: operands, then weights and biases in turns."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, list[np.ndarray]]:
        a_B, b_B, *parameters = map(kernels.array, tensors)
        hidden, logits_BV = forward(parameters[::2], parameters[1::2], a_B, b_B)
        return torch.from_numpy(logits_BV), hidden

    def backward(self, grad: Tensor, kept: list[np.ndarray], *tensors: Tensor) -> list[Tensor | None]:
        a_B, b_B, *parameters = map(kernels.array, tensors)
        by_kind = backward(parameters[::2], kept, kernels.array(grad), a_B, b_B)
        in_turns = chain(*zip(*by_kind, strict=True))
        return [None, None, *map(torch.from_numpy, in_turns)]
