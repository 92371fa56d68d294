"""A task: its equations, its labels and its splits, built from params.yaml."""

from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, Seed, at_most, satisfying
from grokking.data.labels import LABELS, LabelsConfig
from grokking.data.operations import OPERATIONS, OperationConfig
from grokking.data.splits import SPLITS, SplitConfig, token_count
from grokking.data.table import Table

DistinctSeeds = Annotated[
    tuple[Seed, ...],
    at_most(1000, "seeds"),
    satisfying(lambda seeds: 0 < len(seeds) == len(set(seeds)), "be a list of distinct seeds, at least one"),
]


@dataclass(frozen=True, config=STRICT)
class TaskConfig:
    operation: OperationConfig
    labels: LabelsConfig
    split: SplitConfig
    split_seeds: DistinctSeeds


@plain_dataclass(frozen=True)
class Sizes:
    """What a model must know of a table: how many tokens its operands use, how many answers it has."""

    tokens: int
    classes: int


@plain_dataclass(frozen=True)
class Task:
    """A table and the training mask of each split seed (columns by seed)."""

    table: Table
    splits: pd.DataFrame

    @property
    def equations(self) -> pd.DataFrame:
        """Columns a, b, c."""
        return self.table.equations

    @cached_property
    def sizes(self) -> Sizes:
        return Sizes(token_count(self.equations), 1 + int(self.equations["c"].max()))

    def train_mask(self, split_seed: int) -> np.ndarray:
        return self.splits[str(split_seed)].to_numpy()

    def train_size(self, split_seed: int) -> int:
        """The number of training equations."""
        return int(self.train_mask(split_seed).sum())

    def validation_mask(self, split_seed: int) -> np.ndarray:
        """The equations that generalization is judged by: all that are not trained on."""
        return ~self.train_mask(split_seed)

    def mirrored_mask(self, split_seed: int) -> np.ndarray:
        """Equations (a, b) not trained on whose mirror (b, a) is."""
        train = self.train_mask(split_seed)
        pairs = pd.MultiIndex.from_frame(self.equations[["a", "b"]])
        mirrors = pd.MultiIndex.from_frame(self.equations.loc[train, ["b", "a"]])
        return ~train & pairs.isin(mirrors)


def build(config: TaskConfig, where: str) -> Task:
    """Build the equations, label them and split them; an empty part raises ConfigError."""
    table = OPERATIONS[config.operation.name](config.operation)
    table = LABELS[config.labels.name](table, config.labels)
    split = SPLITS[config.split.name]
    masks = {str(seed): split(table.equations, config.split, seed) for seed in config.split_seeds}
    for seed, mask in masks.items():
        if mask.all() or not mask.any():
            raise ConfigError(
                f"`{where}.split` {asdict(config.split)} leaves no training or no validation equation of "
                f"{len(mask)} with split seed {seed}; change it, or take a larger table"
            )
    return Task(table, pd.DataFrame(masks))


def require_split(task: Task, split_seed: int, where: str) -> None:
    """Raise ConfigError where the task was not split with this seed."""
    if str(split_seed) not in task.splits.columns:
        raise ConfigError(
            f"`{where}` names {split_seed}, but the task is split with seeds "
            f"{', '.join(task.splits.columns)}; add it to the task's `split_seeds` or choose one of these"
        )
