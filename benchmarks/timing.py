"""Time by the wall clock, on a machine that others may share.

What is compared is measured in turns, in short blocks, so that a slow minute is slow for all of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Update = Callable[[int], None]
SGEMM_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
SGEMM_REPETITIONS = 3


@dataclass(frozen=True)
class Settings:
    device: str
    rounds: int  # turns that everything compared takes
    seconds: float  # of one block, roughly: a block is a whole number of steps


def seconds(update: Update, steps: int, device: str) -> float:
    """How long so many steps take."""
    _wait(device)
    started = time.perf_counter()
    update(steps)
    _wait(device)
    return time.perf_counter() - started


def steps_per_block(update: Update, settings: Settings) -> int:
    """How many steps make a block, after one step in which everything is allocated."""
    update(1)
    return max(1, round(settings.seconds / seconds(update, 1, settings.device)))


def sgemm_peak(device: str) -> float:
    """FLOP/s of torch's product of square float32 matrices: the best size, the best repetition."""
    return max(_sgemm(size, device) for size in SGEMM_SIZES[device])


def _sgemm(size: int, device: str) -> float:
    left, right = torch.rand(2, size, size, device=device)
    product = torch.empty_like(left)

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(left, right, out=product)

    multiply(1)
    return 2 * size**3 / min(seconds(multiply, 1, device) for _ in range(SGEMM_REPETITIONS))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
