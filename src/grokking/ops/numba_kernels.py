"""Passes over memory on the CPU, compiled by Numba: each does at once what takes torch several operations.

A training step is matrix products and passes over activations, logits and parameters; products are torch's
and near the processor's peak, so what is left to gain is to read and write memory less often. Everywhere
else, and as the twins that the tests compare with, the same is written in torch where a kernel is called.

Kernels work on one replica's row of memory after the other, in order and on one thread, so that a replica's
bits do not depend on its neighbours. They are compiled at their first call on a machine, in a second or so
each, and kept in `__pycache__`.
"""

# R replicas, n parameters of one replica, B examples, T rows of a table, N columns, V classes

from math import prod
from typing import cast

import numba
import numpy as np
import torch
from torch import Tensor

# Sums may be taken in any order, products and sums rounded once; NaN and infinity stay what they are.
compiled = numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


# By bytes of a number: exp of less is below the type's normal numbers, and takes ten times as long and more
LOWEST_EXPONENT = {4: -87, 8: -708}


def suit(tensor: Tensor) -> bool:
    """Whether kernels can take this tensor: it is on the CPU and nothing is to be differentiated."""
    return tensor.device.type == "cpu" and not torch.is_grad_enabled()


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory; kernels are written for rows without gaps."""
    assert tensor.is_contiguous()
    return cast(np.ndarray, tensor.detach().numpy())


def stacked(tensor: Tensor, dimensions: int) -> np.ndarray:
    """The same with so many dimensions, the first of which is that of replicas, be there any or none."""
    leading = tensor.dim() + 1 - dimensions
    return array(tensor.view(prod(tensor.shape[:leading]), *tensor.shape[leading:]))


def number(value: float, dtype: torch.dtype) -> np.generic:
    """A number of the type that NumPy has for torch's."""
    return cast(np.generic, np.dtype(str(dtype).removeprefix("torch.")).type(value))


@compiled
def sum_pairs(table_RTN, a_RB, b_RB, floor, out_RBN):
    """The sums of two rows, b's below a's in the table, raised to `floor` (0: ReLU, -infinity: as is)."""
    for replica in range(len(table_RTN)):
        table_TN, half = table_RTN[replica], table_RTN.shape[1] // 2
        for example in range(a_RB.shape[1]):
            a_N, b_N = table_TN[a_RB[replica, example]], table_TN[half + b_RB[replica, example]]
            out_N = out_RBN[replica, example]
            for column in range(len(out_N)):
                total = a_N[column] + b_N[column]
                out_N[column] = floor if total < floor else total


@compiled
def add_pairs(gradient_RBN, sum_RBN, floor, a_RB, b_RB, total_RTN):
    """Add the gradient of `sum_pairs`, which gave `sum_RBN`, to that of the table."""
    for replica in range(len(total_RTN)):
        total_TN, half = total_RTN[replica], total_RTN.shape[1] // 2
        for example in range(a_RB.shape[1]):
            gradient_N, sum_N = gradient_RBN[replica, example], sum_RBN[replica, example]
            a_N, b_N = total_TN[a_RB[replica, example]], total_TN[half + b_RB[replica, example]]
            for column in range(len(gradient_N)):
                gradient = total_TN.dtype.type(0) if sum_N[column] <= floor else gradient_N[column]
                a_N[column] += gradient
                b_N[column] += gradient


@compiled
def subtract_peak(logits_BV, lowest):
    """Subtract each row's largest entry; what is then below `lowest`, of their type, is raised to it."""
    peak_V = np.empty(logits_BV.shape[1], logits_BV.dtype)
    for example in range(len(logits_BV)):
        logits_V = logits_BV[example]
        width = len(peak_V)
        for column in range(width):
            peak_V[column] = logits_V[column]
        while width > 1:  # fold the upper half onto the lower
            half = (width + 1) // 2
            for column in range(width - half):
                other = peak_V[half + column]
                peak_V[column] = other if peak_V[column] < other else peak_V[column]
            width = half
        peak = peak_V[0]
        for column in range(len(logits_V)):
            below = logits_V[column] - peak
            logits_V[column] = lowest if below < lowest else below


@compiled
def share_gradient(positive_BV, answer_B, zero):
    """Each row's shares of its sum, less 1 at the answer; sums are of the type of `zero`."""
    for example in range(len(positive_BV)):
        positive_V, answer = positive_BV[example], answer_B[example]
        total = zero
        for column in range(len(positive_V)):
            total += positive_V[column]
        at_answer = (positive_V[answer] - total) / total
        scale = positive_BV.dtype.type(1 / total)
        for column in range(len(positive_V)):
            positive_V[column] *= scale
        positive_V[answer] = at_answer


@compiled
def adam_step(parameter_Rn, gradient_Rn, mean_Rn, square_Rn, factor_R6):
    """The step of `training.optimizers.adam_step`, entry by entry."""
    for replica in range(len(parameter_Rn)):
        keep, of_mean, of_square, correction, step_size, epsilon = factor_R6[replica]
        parameter_n, gradient_n = parameter_Rn[replica], gradient_Rn[replica]
        mean_n, square_n = mean_Rn[replica], square_Rn[replica]
        for entry in range(len(parameter_n)):
            gradient = gradient_n[entry]
            mean = mean_n[entry] + of_mean * (gradient - mean_n[entry])
            square = square_n[entry] + of_square * (gradient * gradient - square_n[entry])
            scale = np.sqrt(square * correction) + epsilon
            parameter_n[entry] = parameter_n[entry] * keep - step_size * mean / scale
            mean_n[entry], square_n[entry] = mean, square


def load() -> None:
    """Compile the float32 kernels, or read them from the cache, before anything is timed."""
    matrix, index, zero = np.zeros((2, 2), np.float32), np.zeros((1, 1), np.int64), np.float32(0)
    table, example = matrix[None], matrix[None, :1].copy()
    sum_pairs(table, index, index, zero, example)
    add_pairs(example, example, zero, index, index, table)
    subtract_peak(matrix, zero)
    share_gradient(matrix + 1, np.zeros(2, np.int64), np.float64(0))
    adam_step(matrix, matrix.copy(), matrix.copy(), matrix.copy(), np.ones((2, 6), np.float32))
