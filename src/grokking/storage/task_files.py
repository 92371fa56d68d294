"""A task as files, and what its meta.json says of it: sizes, shares, and what training sets leave open."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from grokking.config import ConfigError
from grokking.data.table import Additive, Table
from grokking.data.tasks import Task
from grokking.identifiability import deficits


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
    equations, splits = (_read_table(folder / f"{name}.parquet") for name in ("equations", "splits"))
    return Task(Table(meta["formula"], equations, additive), splits)


def read_meta(folder: Path) -> dict[str, Any]:
    """What `describe` said of the task when it was saved."""
    if not (folder / "meta.json").exists():
        raise ConfigError(f"{folder} holds no split; run `dvc repro split@{folder.name}` first")
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _damaged(folder / "meta.json") from None
    if not isinstance(meta, dict) or not {"formula", "additive", "splits"} <= meta.keys():
        raise _damaged(folder / "meta.json")
    return meta


def _read_table(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError):
        raise _damaged(file) from None


def _damaged(file: Path) -> ConfigError:
    name = file.parent.name
    return ConfigError(f"{file} is missing or damaged; run `dvc repro --force split@{name}`")


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
