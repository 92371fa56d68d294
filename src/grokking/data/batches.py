"""Which training equations each update sees: a function of the replica's seed and the step."""

# R replicas, N training equations, B examples in a batch

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from grokking.config import STRICT, PositiveInt
from grokking.data.seeds import BATCHES, stream


@dataclass(frozen=True, config=STRICT)
class FullBatchConfig:
    sampling: Literal["full"]


@dataclass(frozen=True, config=STRICT)
class MinibatchConfig:
    # without_replacement: every equation once per epoch in a fresh order, the incomplete last batch dropped
    sampling: Literal["with_replacement", "without_replacement"]
    size: PositiveInt  # at most half the training set is used, as in Power et al. 2022


DRAWN_AT_ONCE = 64  # batches with replacement: drawing one at a time would cost as much as a small network

BatchConfig = Annotated[FullBatchConfig | MinibatchConfig, Field(discriminator="sampling")]


def batch_size(config: BatchConfig, train_equations: int) -> int:
    """Examples per update: min(size, n/2), or n at full batch."""
    if isinstance(config, FullBatchConfig):
        return train_equations
    return max(1, min(config.size, train_equations // 2))


class Batches:
    """The batches of R replicas: a function of each replica's own seed and step, without a state to carry."""

    def __init__(self, config: BatchConfig, train_RN: Tensor, seeds: list[int]) -> None:
        """`train_RN` holds the row numbers of each replica's training equations."""
        self.sampling = config.sampling
        self.size = batch_size(config, train_RN.shape[1])
        self.train_RN = train_RN
        self.key_R = torch.tensor([stream(seed, BATCHES) for seed in seeds], device=train_RN.device)
        self.epochs: list[int] = []  # which epoch of each replica `order_RN` is of
        self.order_RN = train_RN

    def at(self, steps: list[int]) -> Tensor:
        """Row numbers (R, B) of the batch of each replica's update, updates counted from 1."""
        if self.sampling == "full":
            return self.train_RN
        per_epoch = self._batches_per_epoch()
        epochs = [(step - 1) // per_epoch for step in steps]
        if epochs != self.epochs:
            self.order_RN, self.epochs = self._epoch(epochs), epochs
        firsts = [(step - 1) % per_epoch * self.size for step in steps]
        if len(set(firsts)) == 1:
            return self.order_RN[:, firsts[0] : firsts[0] + self.size]
        first_R1 = torch.tensor(firsts, device=self.order_RN.device)[:, None]
        return self.order_RN.gather(1, first_R1 + torch.arange(self.size, device=self.order_RN.device))

    def keep(self, positions: list[int]) -> None:
        """Go on with the replicas at these positions only."""
        self.train_RN, self.key_R = self.train_RN[positions], self.key_R[positions]
        self.epochs = []

    def put(self, position: int, train_N: Tensor, seed: int) -> None:
        """Another replica takes this position."""
        self.train_RN[position], self.key_R[position] = train_N, stream(seed, BATCHES)
        self.epochs = []

    def _batches_per_epoch(self) -> int:
        """With replacement as many as are drawn at once, without as many as the training set holds."""
        equations = self.train_RN.shape[1]
        return DRAWN_AT_ONCE if self.sampling == "with_replacement" else equations // self.size

    def _epoch(self, epochs: list[int]) -> Tensor:
        """The row numbers of these epochs' batches, one batch after the other."""
        equations = self.train_RN.shape[1]
        count = DRAWN_AT_ONCE * self.size if self.sampling == "with_replacement" else equations
        keys = random_integers(self.key_R, [epoch * count for epoch in epochs], count)
        drawn = keys % equations if self.sampling == "with_replacement" else keys.argsort(1)
        return self.train_RN.gather(1, drawn)


def random_integers(key_R: Tensor, firsts: list[int], count: int) -> Tensor:
    """Entries first, first + 1, ... of each key's own sequence of integers in [0, 2^63): (R, count).

    Any entry is had without those before it: the sequence is splitmix64's output function of a counter
    (Steele, Lea and Flood 2014), started at a hash of the key.
    """
    first_R = torch.tensor(firsts, device=key_R.device)
    counter_RC = first_R[:, None] + torch.arange(1, count + 1, device=key_R.device)
    return _mixed(_mixed(key_R)[:, None] + GOLDEN * counter_RC) & (2**63 - 1)


def _mixed(x: Tensor) -> Tensor:
    """splitmix64's bijection of 64-bit integers, which torch multiplies modulo 2^64."""
    x = (x ^ _shifted_right(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted_right(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted_right(x, 31)


def _shifted_right(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & (2 ** (64 - bits) - 1)  # torch's shift copies the sign, a logical one brings zeros


def _signed(constant: int) -> int:
    return constant - 2**64 if constant >= 2**63 else constant


GOLDEN = _signed(0x9E3779B97F4A7C15)
