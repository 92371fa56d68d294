"""Which training equations each update sees, with one generator per replica."""

# R replicas, N training equations, B examples in a batch

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, PositiveInt
from grokking.training.seeds import BATCHES, stream


@dataclass(frozen=True, config=STRICT)
class FullBatchConfig:
    sampling: Literal["full"]


@dataclass(frozen=True, config=STRICT)
class MinibatchConfig:
    # without_replacement: every equation once per epoch in a fresh order, the incomplete last batch dropped
    sampling: Literal["with_replacement", "without_replacement"]
    size: PositiveInt  # at most half the training set is used, as in Power et al. 2022


BatchConfig = Annotated[FullBatchConfig | MinibatchConfig, Field(discriminator="sampling")]


def batch_size(config: BatchConfig, train_equations: int) -> int:
    """Examples per update: min(size, n/2), or n at full batch."""
    if isinstance(config, FullBatchConfig):
        return train_equations
    return max(1, min(config.size, train_equations // 2))


class Batches:
    """The sequence of batches of R replicas; a replica's sequence depends on its own seed alone."""

    def __init__(self, config: BatchConfig, train_RN: Tensor, seeds: list[int]) -> None:
        """`train_RN` holds the row numbers of each replica's training equations."""
        self.sampling = config.sampling
        self.size = batch_size(config, train_RN.shape[1])
        self.train_RN = train_RN
        self.generators = [torch.Generator().manual_seed(stream(seed, BATCHES)) for seed in seeds]
        self.order_RN = torch.empty(0)
        self.batch = 0

    def next(self) -> Tensor:
        """Row numbers of the next batch, (R, B)."""
        if self.sampling == "full":
            return self.train_RN
        if self.sampling == "with_replacement":
            return self._pick(self._draw(lambda n, g: torch.randint(n, (self.size,), generator=g)))
        return self._pick(self._next_of_epoch())

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.train_RN = self.train_RN[positions]
        self.order_RN = self.order_RN[positions] if self.batch else self.order_RN
        self.generators = [self.generators[position] for position in positions]

    def _next_of_epoch(self) -> Tensor:
        per_epoch = self.train_RN.shape[1] // self.size
        first = self.batch % per_epoch
        if first == 0:
            self.order_RN = self._draw(lambda n, g: torch.randperm(n, generator=g))
        self.batch += 1
        return self.order_RN[:, first * self.size : (first + 1) * self.size]

    def _draw(self, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        equations = self.train_RN.shape[1]
        picks = torch.stack([draw(equations, generator) for generator in self.generators])
        return picks.to(self.train_RN.device)

    def _pick(self, position_RB: Tensor) -> Tensor:
        return self.train_RN.gather(1, position_RB)
