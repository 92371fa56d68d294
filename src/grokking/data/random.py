"""Random integers from a counter: any entry of a sequence is computed without those before it.

Training that is resumed, or that runs in another stack, must draw the batches that it would have drawn
anyway. The sequence is splitmix64's output function of a counter (Steele, Lea and Flood 2014).
"""

# R keys, C integers

import torch
from torch import Tensor

# splitmix64's constants, as the signed integers that torch has
GOLDEN, FIRST, SECOND = (c - 2**64 for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def random_integers(key_R: Tensor, first: int, count: int) -> Tensor:
    """Entries first, first + 1, ... of each key's own sequence of integers in [0, 2^63): (R, count)."""
    counter_C = first + torch.arange(1, count + 1, device=key_R.device)
    return _mix(_mix(key_R)[:, None] + GOLDEN * counter_C) & (2**63 - 1)


def _mix(x: Tensor) -> Tensor:
    """splitmix64's bijection of 64-bit integers; torch multiplies modulo 2^64."""
    x = (x ^ _shift_right(x, 30)) * FIRST
    x = (x ^ _shift_right(x, 27)) * SECOND
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """A logical shift: torch's own copies the sign bit."""
    return (x >> bits) & (2 ** (64 - bits) - 1)
