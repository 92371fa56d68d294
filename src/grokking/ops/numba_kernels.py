"""Passes over memory on the CPU, compiled by Numba: each does at once what takes torch several operations.

A training step is matrix products and passes over activations, logits and parameters. Products are a
library's and near the processor's peak; what is left to gain is to read and write memory less often.

A kernel works on one replica's memory in order and on one thread, so that a replica's bits do not depend on
its neighbours. It is compiled at its first call on a machine, in a second or so, and kept in `__pycache__`.
"""

# R replicas, n parameters of one replica, B examples, T rows of a table, N columns, V classes

from typing import Any, cast

import numba
import numpy as np
from numba.extending import overload
from torch import Tensor

# Sums may be taken in any order, products and sums rounded once; NaN and infinity stay what they are.
OPTIONS: dict[str, Any] = {"cache": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
KERNELS: list[tuple[Any, str]] = []  # what `load` compiles: kernels and their float32 signatures


def compiled(signature: str) -> Any:
    """`@compiled("void(f4[:,::1], i8[::1])")`: types of float32 training; others are compiled when called."""

    def decorate(function: Any) -> Any:
        kernel = numba.njit(**OPTIONS)(function)
        KERNELS.append((kernel, signature))
        return kernel

    return decorate


def load() -> None:
    """Compile the float32 kernels, or read them from the cache, before anything is timed."""
    for kernel, signature in KERNELS:
        kernel.compile(signature)


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory; kernels are written for rows without gaps."""
    assert tensor.is_contiguous()
    return cast(np.ndarray, tensor.numpy())


# In the three that follow `lowest` is the lower bound of a result: 0 with ReLU, else -inf
@compiled("void(f4[:,::1], f4[::1], i8[::1], i8[::1], b1, f4[:,::1])")
def sum_pairs(table_TN, bias_N, a_B, b_B, relu, out_BN):
    """The sum of two rows and the bias for each pair, b's row below all of a's; ReLU of it if `relu`."""
    half, lowest = len(table_TN) // 2, table_TN.dtype.type(0 if relu else -np.inf)
    for example in range(len(a_B)):
        a_N, b_N, out_N = table_TN[a_B[example]], table_TN[half + b_B[example]], out_BN[example]
        for column in range(len(out_N)):
            total = a_N[column] + b_N[column] + bias_N[column]
            out_N[column] = lowest if total < lowest else total


@compiled("void(f4[:,::1], f4[:,::1], b1, i8[::1], i8[::1], f4[:,::1])")
def add_pairs(grad_BN, sum_BN, relu, a_B, b_B, grad_table_TN):
    """Add the gradient of `sum_pairs`, which gave `sum_BN`, to that of the table."""
    zero = grad_BN.dtype.type(0)
    half, lowest = len(grad_table_TN) // 2, grad_BN.dtype.type(0 if relu else -np.inf)
    for example in range(len(a_B)):
        grad_N, sum_N = grad_BN[example], sum_BN[example]
        a_N, b_N = grad_table_TN[a_B[example]], grad_table_TN[half + b_B[example]]
        for column in range(len(grad_N)):
            grad = zero if sum_N[column] <= lowest else grad_N[column]
            a_N[column] += grad
            b_N[column] += grad


@compiled("void(f4[:,::1], f4[::1], b1)")
def add_bias(x_BN, bias_N, relu):
    """Add the bias to each row, in place; ReLU of that if `relu`."""
    lowest = x_BN.dtype.type(0 if relu else -np.inf)
    for example in range(len(x_BN)):
        x_N = x_BN[example]
        for column in range(len(x_N)):
            total = x_N[column] + bias_N[column]
            x_N[column] = lowest if total < lowest else total


@compiled("void(f4[:,::1], f4[:,::1], f4[::1])")
def relu_backward(grad_BN, after_BN, sum_N):
    """From the gradient after ReLU, which gave `after_BN`, to that before it, in place; add its rows up."""
    zero = grad_BN.dtype.type(0)
    for example in range(len(grad_BN)):
        grad_N, after_N = grad_BN[example], after_BN[example]
        for column in range(len(grad_N)):
            grad_N[column] = zero if after_N[column] <= zero else grad_N[column]
            sum_N[column] += grad_N[column]


@compiled("void(f4[:,::1], f4[::1], i8[::1], f4[:,::1], f8[::1])")
def cross_entropy(logits_BV, largest_B, answer_B, grad_BV, loss_B):
    """-log softmax(logits)[answer], summed in the type of the loss; softmax less 1 at the answer."""
    for example in range(len(logits_BV)):
        logits_V, grad_V, answer = logits_BV[example], grad_BV[example], answer_B[example]
        largest, total = largest_B[example], loss_B.dtype.type(0)
        for column in range(len(logits_V)):
            grad_V[column] = _exp(logits_V[column] - largest)
        for column in range(len(logits_V)):
            total += grad_V[column]
        loss_B[example] = np.log(total) - (logits_V[answer] - largest)
        at_answer, scale = (grad_V[answer] - total) / total, logits_BV.dtype.type(1 / total)
        for column in range(len(logits_V)):
            grad_V[column] *= scale
        grad_V[answer] = at_answer


def _exp(x):
    """exp(x) for x <= 0, bounded from below as arithmetic with subnormal numbers is slow.

    Never run in Python: Numba compiles one of the two below in its place.
    """


@overload(_exp, jit_options={"fastmath": {"contract", "nsz"}})  # in the order written
def _exp_of_type(x):
    return _exp_single if x == numba.types.float32 else _exp_double


def _exp_double(x):
    return np.exp(-708.0 if x < -708.0 else x)


def _exp_single(x):
    """2^n exp(r), |r| <= log(2) / 2, to the last bit or two; np.exp would be called number by number.

    Coefficients are those of expf in Cephes (Moshier 1992).
    """
    one, lowest = np.float32(1), np.float32(-87)
    x = lowest if x < lowest else x
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)
    tail = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    tail = tail * r + np.float32(8.3334519073e-3)
    tail = tail * r + np.float32(4.1665795894e-2)
    tail = tail * r + np.float32(1.6666665459e-1)
    tail = tail * r + np.float32(5.0000001201e-1)
    power_of_two = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (tail * r * r + r + one) * power_of_two


@compiled("void(f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1])")
def adam_step(parameter_Rn, grad_Rn, mean_Rn, square_Rn, factor_R6):
    """Adam's step as `updates.optimizers` has it, entry by entry."""
    for replica in range(len(parameter_Rn)):
        decay_factor, one_minus_beta1, one_minus_beta2, correction, step_size, epsilon = factor_R6[replica]
        parameter_n, grad_n = parameter_Rn[replica], grad_Rn[replica]
        mean_n, square_n = mean_Rn[replica], square_Rn[replica]
        for entry in range(len(parameter_n)):
            grad = grad_n[entry]
            mean = mean_n[entry] + one_minus_beta1 * (grad - mean_n[entry])
            square = square_n[entry] + one_minus_beta2 * (grad * grad - square_n[entry])
            scale = np.sqrt(square * correction) + epsilon
            parameter_n[entry] = parameter_n[entry] * decay_factor - step_size * mean / scale
            mean_n[entry], square_n[entry] = mean, square
