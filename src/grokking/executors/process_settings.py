"""How a process that trains computes: its threads, and its memory."""

import ctypes
import sys

import torch
from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # parameters of glibc's mallopt, from malloc.h


def use_threads(count: int) -> None:
    """Compute on `count` threads, with numbers below float32's range taken as 0.

    A network that is sure of its answers has probabilities of 1e-40; processors take 100 cycles for each.
    """
    threadpool_limits(count)
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Stop glibc from handing every freed block of 128 KiB or more back to the system.

    Each training step would pay for its activations again in page faults. Elsewhere than on glibc nothing
    happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_TOP_PAD, 2**26)
