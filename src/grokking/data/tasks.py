"""A task: its equations, its labels and its splits, built from params.yaml and kept as files."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, Fraction, Seed, one_of, within
from grokking.data.operations import OPERATIONS
from grokking.data.splits import SPLITS, mirrored


def exact_labels(answers: np.ndarray, seed: int) -> np.ndarray:
    return answers


def shuffled_labels(answers: np.ndarray, seed: int) -> np.ndarray:
    """The answers permuted once over the whole table: nothing is left to learn but the table itself."""
    return np.random.default_rng(seed).permutation(answers)


LABELS = {"exact": exact_labels, "shuffled": shuffled_labels}


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"must be a list of distinct seeds, at least one, but got {list(seeds)}")
    return seeds


@dataclass(frozen=True, config=STRICT)
class TaskConfig:
    operation: Annotated[str, one_of(OPERATIONS)]
    modulus: Annotated[int, within(lambda n: n >= 2, "be a whole number of at least 2")]
    labels: Annotated[str, one_of(LABELS)]
    label_seed: Seed  # permutes the labels where `labels` is shuffled
    split: Annotated[str, one_of(SPLITS)]
    train_fraction: Fraction  # share of all equations that is trained on; the rest is validation
    split_seeds: Annotated[tuple[Seed, ...], AfterValidator(_distinct)]


@dataclass(frozen=True, config=STRICT)
class Sizes:
    """What a model must know of a table: how many tokens its operands use, how many answers it has."""

    tokens: int
    classes: int


@dataclass(frozen=True, config={"arbitrary_types_allowed": True})
class Task:
    """The equations (columns a, b, c) and the training mask of each split seed (columns by seed)."""

    equations: pd.DataFrame
    splits: pd.DataFrame

    @property
    def sizes(self) -> Sizes:
        tokens = 1 + int(self.equations[["a", "b"]].to_numpy().max())
        return Sizes(tokens, 1 + int(self.equations["c"].max()))

    def train_mask(self, split_seed: int) -> np.ndarray:
        return self.splits[str(split_seed)].to_numpy()


def build(config: TaskConfig, where: str) -> Task:
    """Build the equations, label them and split them.

    Raises ConfigError where the operation does not exist for this modulus or a part would be empty.
    """
    try:
        equations = OPERATIONS[config.operation].equations(config.modulus)
    except ValueError as error:
        raise ConfigError(f"`{where}.modulus`: {error}; write a prime, or another operation") from None
    equations["c"] = LABELS[config.labels](equations["c"].to_numpy(), config.label_seed)
    split = SPLITS[config.split]
    masks = {str(seed): split(equations, config.train_fraction, seed) for seed in config.split_seeds}
    _refuse_empty_parts(masks, config, where)
    return Task(equations, pd.DataFrame(masks))


def _refuse_empty_parts(masks: dict[str, np.ndarray], config: TaskConfig, where: str) -> None:
    for mask in masks.values():
        if mask.all() or not mask.any():
            raise ConfigError(
                f"`{where}.train_fraction` {config.train_fraction} of {len(mask)} equations leaves "
                "no training or no validation equation; move it away from 0 or 1"
            )


def describe(task: Task) -> dict[str, Any]:
    """Counts that tell what a split asks of a network."""
    masks = {seed: task.train_mask(int(seed)) for seed in task.splits.columns}
    return {
        "equations": len(task.equations),
        "tokens": task.sizes.tokens,
        "classes": task.sizes.classes,
        "train": {seed: int(mask.sum()) for seed, mask in masks.items()},
        "mirrored_validation_share": {
            seed: round(float(mirrored(task.equations, mask).sum() / (~mask).sum()), 4)
            for seed, mask in masks.items()
        },
    }


def save(task: Task, folder: Path) -> None:
    """Write equations.parquet, splits.parquet and meta.json."""
    folder.mkdir(parents=True, exist_ok=True)
    task.equations.to_parquet(folder / "equations.parquet", index=False)
    task.splits.to_parquet(folder / "splits.parquet", index=False)
    (folder / "meta.json").write_text(json.dumps(describe(task), indent=2) + "\n")


def read(folder: Path) -> Task:
    """Read what `save` wrote; a missing folder is an error that names the stage to run."""
    if not (folder / "splits.parquet").exists():
        raise ConfigError(f"{folder} holds no split; run `dvc repro split@{folder.name}` first")
    return Task(pd.read_parquet(folder / "equations.parquet"), pd.read_parquet(folder / "splits.parquet"))


def require_split(task: Task, split_seed: int, where: str) -> None:
    """Raise ConfigError where the task was not split with this seed."""
    if str(split_seed) not in task.splits.columns:
        raise ConfigError(
            f"`{where}` names {split_seed}, but the task is split with seeds "
            f"{', '.join(task.splits.columns)}; add it to the task's `split_seeds` or choose one of these"
        )
