"""Forward and backward pass of a ReLU network on pairs of tokens, by hand in NumPy (system 0).

A one-hot input selects a row of the first weight matrix. So the first layer is a lookup forward and a sum
over equal tokens backward, and the one-hot matrix is never formed. The plain twin is `ops.mlp`.
"""

# ... leading dimensions (replicas), B examples, I inputs and O outputs of a layer, V classes

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops import numba_kernels as kernels
from grokking.ops.replicas import each, together

Arrays = Sequence[np.ndarray]


def numpy_mlp(a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
    """Logits (..., B, V) of pairs (..., B); weight (..., I, O) and bias (..., O) of each layer in turns."""
    return cast(Tensor, _NumpyMLP.apply(a, b, *parameters))


def forward(
    weights: Arrays, biases: Arrays, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """ReLU network on pairs: activations of each hidden layer, (B, O), and logits (B, V)."""
    table_a, table_b = np.split(weights[0], 2)
    x = table_a.take(a_B, 0)
    x += table_b.take(b_B, 0)
    x += biases[0]
    hidden = []
    for weight_IO, bias_O in zip(weights[1:], biases[1:], strict=True):
        hidden.append(np.maximum(x, 0, out=x))
        x = x @ weight_IO
        x += bias_O
    return hidden, x


def backward(
    weights: Arrays, hidden: Arrays, grad: np.ndarray, a_B: np.ndarray, b_B: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weights and biases from the gradient at the logits, (B, V)."""
    grad_weights, grad_biases = [], [grad.sum(0)]
    for weight_IO, x_BI in zip(reversed(weights[1:]), reversed(hidden), strict=True):
        grad_weights.append(x_BI.T @ grad)
        grad = grad @ weight_IO.T
        grad *= x_BI > 0
        grad_biases.append(grad.sum(0))
    return [grad_of_rows(weights[0], grad, a_B, b_B), *reversed(grad_weights)], grad_biases[::-1]


def grad_of_rows(weight_IO: np.ndarray, grad: np.ndarray, a_B: np.ndarray, b_B: np.ndarray) -> np.ndarray:
    """Each example's gradient added to the rows of its two tokens.

    np.add.at(rows_a, a_B, grad) and np.add.at(rows_b, b_B, grad), which would take longer than all products.
    """
    rows = np.zeros_like(weight_IO)
    kernels.add_pairs(grad, grad, False, a_B, b_B, rows)
    return rows


class _NumpyMLP(Function):
    """Both passes for stacked replicas, one after the other; weights and biases are given in turns."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, *parameters)
        ctx.hidden, logits = [], []
        for a_B, b_B, *arrays in _replicas(a, b, *parameters):
            hidden, logits_BV = forward(arrays[::2], arrays[1::2], a_B, b_B)
            ctx.hidden.append(hidden)
            logits.append(torch.from_numpy(logits_BV))
        return together(logits, stacked=a.dim() > 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        replicas, found = _replicas(*ctx.saved_tensors), []
        grad_RBV = [grad_BV.numpy() for grad_BV in each(grads[0], 2)]
        for (a_B, b_B, *arrays), hidden, grad_BV in zip(replicas, ctx.hidden, grad_RBV, strict=True):
            by_layer = zip(*backward(arrays[::2], hidden, grad_BV, a_B, b_B), strict=True)
            found.append([torch.from_numpy(grad) for layer in by_layer for grad in layer])
        return None, None, *(together(of_one, grads[0].dim() > 2) for of_one in zip(*found, strict=True))


def _replicas(a: Tensor, b: Tensor, *parameters: Tensor) -> Iterator[tuple[np.ndarray, ...]]:
    """Operands, then weight and bias of each layer, of one replica after the other."""
    dimensions = [1, 1, *(2 - number % 2 for number in range(len(parameters)))]
    tensors = zip(*map(each, (a, b, *parameters), dimensions), strict=True)
    return (tuple(tensor.detach().numpy() for tensor in of_one) for of_one in tensors)
