"""A task: its equations, its labels and its splits, built from params.yaml and kept as files."""

import json
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, Seed, short, within
from grokking.data.identifiability import deficits
from grokking.data.labels import LABELS, LabelsConfig
from grokking.data.operations import OPERATIONS, OperationConfig
from grokking.data.splits import SPLITS, SplitConfig, mirrored
from grokking.data.table import Additive, Table

MOST_SPLITS = 1000
DistinctSeeds = Annotated[
    tuple[Seed, ...],
    short(MOST_SPLITS, "seeds"),
    within(lambda seeds: 0 < len(seeds) == len(set(seeds)), "be a list of distinct seeds, at least one"),
]


@dataclass(frozen=True, config=STRICT)
class TaskConfig:
    operation: OperationConfig
    labels: LabelsConfig
    split: SplitConfig
    split_seeds: DistinctSeeds


@dataclass(frozen=True, config=STRICT)
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

    @property
    def sizes(self) -> Sizes:
        tokens = 1 + int(self.equations[["a", "b"]].to_numpy().max())
        return Sizes(tokens, 1 + int(self.equations["c"].max()))

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
        return mirrored(self.equations, self.train_mask(split_seed))


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


def describe(task: Task) -> dict[str, Any]:
    """What a network is asked: the operation, its sizes, and for each split seed what is trained on."""
    additive = task.table.additive
    return {
        "formula": task.table.formula,
        "additive": None if additive is None else asdict(additive),
        "equations": len(task.equations),
        "tokens": task.sizes.tokens,
        "classes": task.sizes.classes,
        "splits": {
            seed: _counts(task, int(seed)) | {"deficit": deficit} for seed, deficit in _deficits(task).items()
        },
    }


def _counts(task: Task, split_seed: int) -> dict[str, Any]:
    train, shared = task.train_mask(split_seed), task.mirrored_mask(split_seed)
    return {
        "train": int(train.sum()),
        "validation": int((~train).sum()),
        "train_share": round(float(train.mean()), 4),
        "mirrored_validation_share": round(float(shared.sum() / (~train).sum()), 4),
    }


def _deficits(task: Task) -> dict[str, dict[str, int] | None]:
    """By split seed, the labels that the training set leaves free; None for an operation without labels."""
    additive, seeds = task.table.additive, task.splits.columns
    if additive is None:
        return dict.fromkeys(seeds)
    train_SE = task.splits.to_numpy().T
    untied_S = tied_S = deficits(task.equations, additive, train_SE, tied=False)
    if untied_S.any():  # tied labels are among the untied ones
        tied_S = deficits(task.equations, additive, train_SE, tied=True)
    pairs = zip(seeds, untied_S.tolist(), tied_S.tolist(), strict=True)
    return {seed: {"untied": untied, "tied": tied} for seed, untied, tied in pairs}


def save(task: Task, folder: Path) -> None:
    """Write equations.parquet, splits.parquet and meta.json."""
    folder.mkdir(parents=True, exist_ok=True)
    task.equations.to_parquet(folder / "equations.parquet", index=False)
    task.splits.to_parquet(folder / "splits.parquet", index=False)
    meta = json.dumps(describe(task), indent=2, ensure_ascii=False)
    (folder / "meta.json").write_text(meta + "\n", encoding="utf-8")


def read(folder: Path) -> Task:
    """Read what `save` wrote; a missing folder is an error that names the stage to run."""
    meta = read_meta(folder)
    additive = None if meta["additive"] is None else Additive(**meta["additive"])
    table = Table(meta["formula"], pd.read_parquet(folder / "equations.parquet"), additive)
    return Task(table, pd.read_parquet(folder / "splits.parquet"))


def read_meta(folder: Path) -> dict[str, Any]:
    """What `describe` said of the task when it was saved."""
    if not (folder / "meta.json").exists():
        raise ConfigError(f"{folder} holds no split; run `dvc repro split@{folder.name}` first")
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))


def require_split(task: Task, split_seed: int, where: str) -> None:
    """Raise ConfigError where the task was not split with this seed."""
    if str(split_seed) not in task.splits.columns:
        raise ConfigError(
            f"`{where}` names {split_seed}, but the task is split with seeds "
            f"{', '.join(task.splits.columns)}; add it to the task's `split_seeds` or choose one of these"
        )
