"""GELU, whose kernel gives the derivative with the value: half the time of torch's two functions.

Value and derivative have their exponential in common. Errors are below 1e-6, like those of torch in float32;
float64 is left to torch.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from grokking.ops.numba_kernels import array, compiled
from grokking.ops.switch import is_fast

BLOCK = 512  # entries at a time: what is between two loops stays in the fastest cache
FLOAT = np.float32
LOG2_E, HALF_ROOT, DENSITY_AT_0 = FLOAT(np.log2(np.e)), FLOAT(0.5**0.5), FLOAT((2 * np.pi) ** -0.5)
SMALLEST_EXPONENT = FLOAT(-125)  # of a power of 2 among float32's normal numbers
# 2^r for |r| <= 1/2 by its Taylor series
E1, E2, E3, E4, E5, E6 = (FLOAT(np.log(2) ** n / np.prod(np.arange(1.0, n + 1))) for n in range(1, 7))
# erfc(z) = (A1 t + ... + A5 t^5) exp(-z²), t = 1 / (1 + P z): Abramowitz and Stegun 1964, 7.1.26, to 1.5e-7
P = FLOAT(0.3275911)
A1, A2, A3, A4, A5 = map(FLOAT, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))
ZERO, HALF, ONE = map(FLOAT, (0, 0.5, 1))


def gelu(x: Tensor) -> Tensor:
    """x Φ(x), Φ the normal distribution function."""
    if is_fast(x) and x.dtype == torch.float32 and torch.is_grad_enabled():
        return cast(Tensor, _Gelu.apply(x))
    return torch.nn.functional.gelu(x)


class _Gelu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        value, slope = torch.empty_like(x), torch.empty_like(x)
        ctx.save_for_backward(slope)
        _value_and_slope(*(array(t).reshape(-1) for t in (x, value, slope)))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grads[0] * slope


@compiled("void(f4[::1], f4[::1], f4[::1])")
def _value_and_slope(x_n: np.ndarray, value_n: np.ndarray, slope_n: np.ndarray) -> None:
    """x Φ(x), and Φ(x) + x φ(x) with the density φ."""
    bell_B, bits_B = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    power_B = bits_B.view(np.float32)
    for start in range(0, len(x_n), BLOCK):
        x_B = x_n[start : start + BLOCK]
        value_B, slope_B = value_n[start : start + BLOCK], slope_n[start : start + BLOCK]
        for i in range(len(x_B)):  # exp(-x²/2) = 2^whole 2^rest
            exponent = max(-HALF * LOG2_E * x_B[i] * x_B[i], SMALLEST_EXPONENT)
            whole = np.int32(exponent - HALF)
            r = exponent - FLOAT(whole)
            bits_B[i] = (whole + np.int32(127)) << np.int32(23)  # float32's bits of 2^whole
            bell_B[i] = ONE + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * E6)))))
        for i in range(len(x_B)):
            x, bell = x_B[i], bell_B[i] * power_B[i]
            t = ONE / (ONE + P * HALF_ROOT * abs(x))
            tail = HALF * bell * t * (A1 + t * (A2 + t * (A3 + t * (A4 + t * A5))))
            share = tail if x < ZERO else ONE - tail
            value_B[i] = x * share
            slope_B[i] = share + DENSITY_AT_0 * x * bell
