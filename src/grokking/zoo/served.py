"""A network of the zoo as a model of MLflow: a folder that `mlflow.pyfunc` loads by this module, no pickle.

The folder is a zoo of one network. MLflow itself is not needed here.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from grokking.config import ConfigError
from grokking.zoo.collection import Loaded, Zoo
from grokking.zoo.manifest import Entry, Manifest

INSIDE = Path("splits")


@dataclass(frozen=True)
class Served:
    """A network that is asked by tables of operands."""

    loaded: Loaded

    @torch.no_grad()
    def predict(self, table: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """The answers c of columns a and b; ConfigError for operands that are no equation of the task."""
        pairs = pd.MultiIndex.from_frame(table[["a", "b"]].astype("int64"))
        known = pd.MultiIndex.from_frame(self.loaded.equations[["a", "b"]])
        if not (is_known := pairs.isin(known)).all():
            a, b = table.loc[~is_known, ["a", "b"]].iloc[0]
            ends = [f"{name} in {known.unique(name).min()}..{known.unique(name).max()}" for name in "ab"]
            raise ConfigError(f"({a}, {b}) is no equation of this network's task; {' and '.join(ends)}")
        a, b = (torch.tensor(pairs.get_level_values(name).to_numpy()) for name in "ab")
        return pd.DataFrame({"c": self.loaded.network(a, b).argmax(-1).numpy()}, index=table.index)


def pack(zoo: Zoo, entry: Entry, folder: Path) -> None:
    """Write a zoo of this one network, with the equations of its task."""
    entry.require_whole(zoo.folder)
    folder.mkdir(parents=True)
    own = replace(entry, file=Path(entry.file).name)
    shutil.copy(zoo.folder / entry.file, folder / own.file)
    shutil.copytree(zoo.splits / entry.task, folder / INSIDE / entry.task)
    Manifest({entry.experiment: zoo.manifest.experiments[entry.experiment]}, [own]).write(folder)


def _load_pyfunc(path: str) -> Served:
    """MLflow calls this by its name."""
    zoo = Zoo(Path(path), Path(path) / INSIDE)
    (entry,) = zoo.manifest.entries
    return Served(zoo.load(entry.experiment, entry.step, entry.replica))


def best(manifest: Manifest) -> list[Entry]:
    """The best trained network of each published system, by accuracy, then by when it generalized."""
    candidates = [
        entry
        for entry in manifest.entries
        if entry.last and _is_of_a_system(entry) and entry.generalization_step is not None
    ]
    by_system: dict[int | str, Entry] = {}
    for entry in sorted(candidates, key=_rank):
        by_system.setdefault(entry.system, entry)
    return [by_system[system] for system in sorted(by_system, key=str)]


def _is_of_a_system(entry: Entry) -> bool:
    """Whether it is a published system on its own task, as variants and records are not."""
    return entry.role == "reproduction" and entry.system != "none"


def _rank(entry: Entry) -> tuple[float, float, int]:
    return -entry.validation_accuracy, -entry.train_accuracy, entry.generalization_step or 0
