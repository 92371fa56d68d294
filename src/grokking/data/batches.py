"""The training equations of each update: a function of the replica's seed and the step."""

# R replicas, N training equations, B examples in a batch, C examples in a block of batches

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, ConfigError, PositiveInt
from grokking.data.random import random_integers
from grokking.data.seeds import BATCHES, derived_seed

DRAWN_AT_ONCE = 64  # batches with replacement: drawing one at a time would cost as much as a small network


@dataclass(frozen=True, config=STRICT)
class FullBatchConfig:
    sampling: Literal["full"]


@dataclass(frozen=True, config=STRICT)
class WithReplacementConfig:
    sampling: Literal["with_replacement"]
    size: PositiveInt  # examples of an update, drawn independently


@dataclass(frozen=True, config=STRICT)
class WithoutReplacementConfig:
    sampling: Literal["without_replacement"]  # every equation once per epoch, in a fresh order
    size: PositiveInt  # examples of an update
    drop_last: bool  # whether an epoch ends before its last, smaller batch; false trains on that, too


BatchConfig = Annotated[
    FullBatchConfig | WithReplacementConfig | WithoutReplacementConfig, Field(discriminator="sampling")
]


def require_batch(config: BatchConfig, train_equations: int, where: str) -> None:
    """Raise ConfigError where a batch is larger than the training set."""
    if not isinstance(config, FullBatchConfig) and config.size > train_equations:
        raise ConfigError(
            f"`{where}.size` is {config.size}, but the task has {train_equations} training equations; "
            "write a smaller size, or `batch: {sampling: full}`, on the command line `batch=full`"
        )


def batch_size(config: BatchConfig, train_equations: int) -> int:
    """Examples of an update, but for the last batch of an epoch."""
    return train_equations if isinstance(config, FullBatchConfig) else config.size


def examples_seen(config: BatchConfig, train_equations: int, steps: int) -> int:
    """Examples of the first `steps` updates."""
    if isinstance(config, WithoutReplacementConfig) and not config.drop_last:
        per_epoch = -(-train_equations // config.size)
        epochs, rest = divmod(steps, per_epoch)
        return epochs * train_equations + rest * config.size
    return steps * batch_size(config, train_equations)


class Batches:
    """The batches of R replicas. That of any step is computed without those before it."""

    def __init__(self, config: BatchConfig, train_RN: Tensor, seeds: list[int]) -> None:
        """`train_RN` holds the row numbers of each replica's training equations."""
        self.config, self.train_RN = config, train_RN
        self.key_R = torch.tensor([derived_seed(seed, BATCHES) for seed in seeds], device=train_RN.device)
        self.block = -1  # number of the block of batches that `block_RC` holds; none yet

    def at(self, step: int) -> Tensor:
        """Row numbers (R, B) of the batch of an update; updates are counted from 1."""
        equations = self.train_RN.shape[1]
        match self.config:
            case FullBatchConfig():
                return self.train_RN
            case WithReplacementConfig(size=size):  # a block of batches is drawn at once
                examples, batches = DRAWN_AT_ONCE * size, DRAWN_AT_ONCE
            case WithoutReplacementConfig(size=size, drop_last=drop_last):  # a block is an epoch
                examples = equations
                batches = equations // size if drop_last else -(-equations // size)
        block, position = divmod(step - 1, batches)
        if block != self.block:
            self.block_RC, self.block = self._draw(block, examples), block
        return self.block_RC[:, position * size : (position + 1) * size]

    def select(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.train_RN, self.key_R = self.train_RN[positions], self.key_R[positions]
        self.block = -1

    def _draw(self, block: int, examples: int) -> Tensor:
        """Row numbers of a block's batches, one batch after the other."""
        integer_RC = random_integers(self.key_R, block * examples, examples)
        independent = isinstance(self.config, WithReplacementConfig)
        place_RC = integer_RC % self.train_RN.shape[1] if independent else integer_RC.argsort(1)
        return self.train_RN.gather(1, place_RC)
