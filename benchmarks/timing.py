"""Time by the wall clock, on a machine that others may share.

What is compared is measured in turns, in short blocks, so that a slow minute is slow for all of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grokking.ops.matmul import product

Update = Callable[[int], None]
CHUNKS = 10  # looks at the clock per block: more of them would stop a GPU too often
SGEMM_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
SGEMM_REPETITIONS = 3


@dataclass(frozen=True)
class Settings:
    device: str
    rounds: int  # turns that everything compared takes
    seconds: float  # of one block, roughly, as it ends with a step

    @property
    def few_rounds(self) -> int:
        """For blocks that are long, and shares that need no third digit."""
        return min(3, self.rounds)


class Timed:
    """Something that does steps, measured a block at a time."""

    def __init__(self, update: Update, settings: Settings) -> None:
        """The first step, in which everything is allocated, does not count."""
        self.update, self.settings = update, settings
        update(1)
        self.chunk = max(1, round(settings.seconds / CHUNKS / seconds(update, 1, settings.device)))

    def seconds_per_step(self) -> float:
        """The mean over one block."""
        steps, elapsed = 0, 0.0
        while elapsed < self.settings.seconds:
            elapsed += seconds(self.update, self.chunk, self.settings.device)
            steps += self.chunk
        return elapsed / steps


def seconds(update: Update, steps: int, device: str) -> float:
    """How long so many steps take."""
    _wait(device)
    started = time.perf_counter()
    update(steps)
    _wait(device)
    return time.perf_counter() - started


def sgemm_peaks(device: str) -> list[float]:
    """FLOP/s of square float32 products by torch.mm and by ours: the best size, the best repetition."""
    return [max(_sgemm(size, device, by) for size in SGEMM_SIZES[device]) for by in (torch.mm, product)]


@torch.no_grad()
def _sgemm(size: int, device: str, by: Callable[[Tensor, Tensor], Tensor]) -> float:
    left, right = torch.rand(2, size, size, device=device)

    def multiply(times: int) -> None:
        for _ in range(times):
            by(left, right)

    multiply(1)
    return 2 * size**3 / min(seconds(multiply, 1, device) for _ in range(SGEMM_REPETITIONS))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
