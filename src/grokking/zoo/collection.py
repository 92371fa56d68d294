"""A zoo: a folder of networks with its manifest, and the equations of their tasks."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from safetensors.numpy import load_file

from grokking.config import ConfigError
from grokking.config import load as load_config
from grokking.data import tasks
from grokking.data.tasks import Task
from grokking.diagnostics.internals import rebuild
from grokking.experiment import ExperimentConfig, Replica
from grokking.models.model import Model
from grokking.storage import task_files
from grokking.training.fingerprint import input_hash
from grokking.zoo import manifest
from grokking.zoo.accuracy import equations_of
from grokking.zoo.manifest import FOLDER, MAKE, Entry, Manifest
from grokking.zoo.operands import checking_operands

ROOT = Path(__file__).resolve().parents[3]
EVENTS = ("memorization_step", "first_crossing_step", "generalization_step")
SPLITS = Path("results/splits")


class Loaded(NamedTuple):
    """A network, and the equations of its task."""

    network: Model  # a torch module in eval mode: integer tensors a and b (B,) to logits (B, V)
    equations: pd.DataFrame  # columns a, b, c, label (that it was given for c), train (whether trained on)


@dataclass(frozen=True)
class Zoo:
    """The networks of a folder."""

    folder: Path
    splits: Path  # a folder per task, as the stage `split` writes it

    @cached_property
    def manifest(self) -> Manifest:
        return manifest.read(self.folder)

    def load(self, name: str, step: int | None = None, replica: int = 0) -> Loaded:
        """The network of an experiment's replica after `step` updates, by default after training.

        ConfigError for a network that the zoo does not hold, and for a file that is not as it was written.
        """
        entry = self.manifest.entry(name, step, replica)
        own = self.replica(entry)
        task = self._task(entry, own)
        return Loaded(self._network(entry, own, task), equations_of(own, task))

    def files(self, name: str, inputs: str) -> dict[int, Path]:
        """By step the files of an experiment's replica with these inputs; none where there is no zoo.

        ConfigError where one is not as it was written.
        """
        if not (self.folder / manifest.NAME).exists():
            return {}
        own = [e for e in self.manifest.entries if (e.experiment, e.inputs) == (name, inputs)]
        for entry in own:
            entry.require_whole(self.folder)
        return {entry.step: self.folder / entry.file for entry in own}

    def table(self) -> pd.DataFrame:
        """A row per network: what its file is, what happened in training, every hyperparameter."""
        rows = [self.replica(entry).row() | asdict(entry) for entry in self.manifest.entries]
        first = [field.name for field in fields(Entry)]
        table = pd.DataFrame(rows).astype(dict.fromkeys(EVENTS, "Int64"))
        return table[[*first, *(name for name in table if name not in first)]]

    def replica(self, entry: Entry) -> Replica:
        """Configuration and seeds of a network."""
        where = f"zoo.{entry.experiment}"
        config = load_config(ExperimentConfig, self.manifest.experiments[entry.experiment], where)
        return Replica(entry.replica, entry.seed, entry.split_seed, config)

    def _task(self, entry: Entry, replica: Replica) -> Task:
        """ConfigError where the task has other equations or another split than the network was trained on."""
        folder = self.splits / entry.task
        task = task_files.read(folder)
        tasks.require_split(task, entry.split_seed, f"zoo.{entry.experiment}")
        if input_hash(replica, task) != entry.inputs:
            raise ConfigError(
                f"`{entry.experiment}` of the zoo was trained on other data than {folder} holds; restore it "
                f"(`git checkout {SPLITS}`), or train again and make the zoo (`{MAKE}`)"
            )
        return task

    def _network(self, entry: Entry, replica: Replica, task: Task) -> Model:
        entry.require_whole(self.folder)
        stored = load_file(self.folder / entry.file)
        parameters = {name: array.astype(replica.config.precision) for name, array in stored.items()}
        return checking_operands(rebuild(replica, task, parameters).eval(), task)


def here() -> Zoo:
    """The zoo of this checkout."""
    return Zoo(ROOT / FOLDER, ROOT / SPLITS)


def load(name: str, step: int | None = None, replica: int = 0) -> Loaded:
    """A network of the zoo and the equations of its task: `network, equations = grokking.zoo.load(name)`."""
    return here().load(name, step, replica)


def list() -> pd.DataFrame:
    """A row per network of the zoo; docs/zoo.md says what the columns are."""
    return here().table()
