"""Forward and backward pass of a ReLU network on pairs of tokens, by hand in NumPy (system 0).

A one-hot input selects a row of the first weight matrix. So the first layer is a lookup forward and a sum
over equal tokens backward, and the one-hot matrix is never formed. The plain twin is `ops.mlp`. Passes over
memory are kernels, beside which NumPy's lines for the same stand as comments.
"""

# ... leading dimensions (replicas), B examples, I inputs and O outputs of a layer, V classes

import numpy as np
import torch
from torch import Tensor

from grokking.ops import numba_kernels as kernels
from grokking.ops.replicas import by_replica


def numpy_mlp(a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
    """Logits (..., B, V) of pairs (..., B); weight (..., I, O) and bias (..., O) of each layer in turns."""
    return by_replica(_NumpyMLP(), a.dim() > 1, a, b, *parameters)


class _NumpyMLP:
    """Operands, then weights and biases in turns."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, list[np.ndarray]]:
        """Logits (B, V), and the activations of each hidden layer, (B, O)."""
        a_B, b_B, first_IO, first_O, *later = map(kernels.array, tensors)
        x = np.empty((len(a_B), len(first_O)), first_IO.dtype)
        kernels.sum_pairs(first_IO, first_O, a_B, b_B, True, x)  # x = max(0, rows of a + rows of b + bias)
        hidden = []
        for weight_IO, bias_O in zip(later[::2], later[1::2], strict=True):
            hidden.append(x)
            x = x @ weight_IO
            kernels.add_bias(x, bias_O, bias_O is not later[-1])  # x += bias_O, then ReLU but at the end
        return torch.from_numpy(x), hidden

    def backward(self, grad: Tensor, saved: list[np.ndarray], *tensors: Tensor) -> list[Tensor | None]:
        """The gradients of weights and biases in turns, from that at the logits, (B, V)."""
        a_B, b_B, first_IO, _, *later = map(kernels.array, tensors)
        grad_BO = kernels.array(grad)
        grads = [grad_BO.sum(0)]  # from the last bias to the first weight
        for weight_IO, x_BI in zip(reversed(later[::2]), reversed(saved), strict=True):
            grads.append(x_BI.T @ grad_BO)
            grad_BO = grad_BO @ weight_IO.T
            grads.append(np.zeros_like(x_BI[0]))
            kernels.relu_backward(grad_BO, x_BI, grads[-1])  # grad_BO *= x_BI > 0; its sum over examples
        grads.append(np.zeros_like(first_IO))
        # np.add.at(rows of a, a_B, grad_BO), and the same of b, would take longer than all products
        kernels.add_pairs(grad_BO, grad_BO, False, a_B, b_B, grads[-1])
        return [None, None, *map(torch.from_numpy, reversed(grads))]
