"""A trained run: its configuration, tables, networks, and what a network answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from grokking.api.recipe import Config, prepared
from grokking.config import ConfigError
from grokking.storage import runs
from grokking.storage.snapshots import are_whole, files
from grokking.training.fingerprint import input_hash

if TYPE_CHECKING:
    from grokking.data.tasks import Task
    from grokking.experiment import Replica
    from grokking.models.model import Model
    from grokking.zoo.collection import Zoo


class Prediction(NamedTuple):
    """What a network says to a ∘ b: scalars, or arrays of the operands' shape."""

    answer: Any  # the token with the largest logit
    probability: Any  # its share of the softmax over all tokens, in [0, 1]
    right: Any  # the true answer
    trained_on: Any  # whether the network was trained on this pair

    @property
    def is_right(self) -> Any:
        return self.answer == self.right


@dataclass(frozen=True, eq=False)
class Run:
    """A trained experiment: one of the committed results, or one of your own."""

    name: str
    config: Config  # nested, as `grokking.train` takes it; steps are counted in optimizer updates
    folder: Path  # of its tables
    networks: Path  # of its snapshots, a folder per replica
    figure: Path  # its curves as PNG, where they were drawn
    committed: Path | None = None  # the network of a published system that is in git
    zoo: "Zoo | None" = None  # others that are

    @property
    def asked(self) -> int:
        """How many replicas its configuration asks for; an interrupted run has fewer."""
        plan = self.config["replicas"]
        return len(plan["seeds"]) * math.prod(len(values) for values in plan["grid"].values())

    def replicas(self) -> pd.DataFrame:
        """A row per replica: hyperparameters, seeds, events and costs; docs/data.md names every column.

        Steps are NaN where an event did not happen. ConfigError where the tables are missing or damaged.
        """
        return self._tables().replicas

    def history(self) -> pd.DataFrame:
        """A row per replica and evaluation: step, losses, accuracies in [0, 1], norms of the weights."""
        return self._tables().history

    def snapshots(self, seed: int | None = None) -> dict[int, "Model"]:
        """The networks that were kept of a replica, by step. ConfigError where there are none here."""
        return {step: self.network(step, seed) for step in self.steps(seed)}

    def steps(self, seed: int | None = None) -> list[int]:
        """Steps at which the network of this seed was kept."""
        return sorted(self._files(self._trained(seed)))

    def network(self, step: int | None = None, seed: int | None = None) -> "Model":
        """The torch module of a replica after `step` updates, by default after training.

        It takes operands a and b, integer tensors of one shape (B,), and gives logits (B, V); IndexError for
        operands that are no tokens of the task. Of replicas with equal seeds, as a grid has them, it is the
        first. ConfigError where that network was not kept.
        """
        from safetensors.numpy import load_file

        from grokking.diagnostics.internals import rebuild
        from grokking.zoo.operands import checking_operands

        replica = self._trained(seed)
        stored = load_file(self._file(replica, step))  # in a shorter type, maybe
        parameters = {name: array.astype(replica.config.precision) for name, array in stored.items()}
        return checking_operands(rebuild(replica, self._task, parameters).eval(), self._task)

    def predict(self, a: Any, b: Any, step: int | None = None, seed: int | None = None) -> Prediction:
        """What the network answers to a ∘ b, for ints or for arrays of one shape.

        ConfigError for operands that are no equation of the task.
        """
        import torch

        operands = _whole(a), _whole(b)
        try:
            a_B, b_B = np.broadcast_arrays(*operands)
        except ValueError:
            raise ConfigError(
                f"`a` and `b` must be of one shape, but got {np.shape(a)} and {np.shape(b)}"
            ) from None
        rows = self._rows(a_B.ravel(), b_B.ravel())
        network, replica = self.network(step, seed), self._trained(seed)
        with torch.no_grad():
            pairs = (torch.tensor(operand.ravel()) for operand in (a_B, b_B))
            shares_BV = network(*pairs).double().softmax(-1)
        probability, answer = (found.numpy() for found in shares_BV.max(-1))
        right = self._task.equations["c"].to_numpy()[rows]
        trained_on = self._task.train_mask(replica.split_seed)[rows]
        found = (part.reshape(a_B.shape) for part in (answer, probability, right, trained_on))
        return Prediction(*(part if a_B.shape else part.item() for part in found))

    @property
    def formula(self) -> str:
        """The operation as people write it."""
        return self._task.table.formula

    @property
    def _task(self) -> "Task":
        return self._prepared[1]

    @cached_property
    def _prepared(self) -> tuple[list["Replica"], "Task"]:
        return prepared(self.config, self.name)

    def _tables(self) -> runs.Run:
        if self.zoo is None and not runs.exists(self.folder):  # of an own run
            raise ConfigError(f"`{self.name}` was not trained to its end; repeat the command that began it")
        try:
            return runs.read(self.folder)
        except ConfigError as error:
            if self.zoo is not None:
                raise
            file, _, _ = str(error).partition(" is missing or damaged")
            own = self.folder.parent  # in neither git nor DVC
            raise ConfigError(f"{file} is missing or damaged; remove {own}, and train it again") from None

    def _trained(self, seed: int | None) -> "Replica":
        """The first replica with this seed, or of all; ConfigError where the tables are of other values."""
        _require_whole("seed", seed)
        replicas, task = self._prepared
        replica = next((r for r in replicas if seed in (None, r.seed)), None)
        if replica is None:
            known = ", ".join(str(r.seed) for r in replicas)
            raise ConfigError(f"`{self.name}` has no seed {seed}; its seeds are {known}")
        if input_hash(replica, task) not in set(self.replicas()["inputs"]):
            raise ConfigError(
                f"`{self.name}` was trained with other values than it has now; train it again "
                f"(`dvc repro train@{self.name}`)"
            )
        return replica

    def _files(self, replica: "Replica") -> Mapping[int, Path]:
        """The files of a replica's networks by step; in a fresh clone those that are in git."""
        own = input_hash(replica, self._task)
        if are_whole(self.networks / own):
            return files(self.networks / own)
        in_git = {} if self.zoo is None else self.zoo.files(self.name, own)
        row = self._committed_replica()
        if self.committed is not None and row is not None and row["inputs"] == own:
            in_git[int(row["steps_run"])] = self.committed
        if in_git:
            return in_git
        if row is not None:
            raise ConfigError(
                f"only the network of seed {row['seed']} of `{self.name}` is here; choose that seed, or "
                f"train (`dvc repro train@{self.name}`)"
            )
        raise ConfigError(
            f"no network of `{self.name}` is here; networks are kept where they are trained: "
            f"`grokking run {self.name}` trains one, and `grokking predict --run NAME` asks it"
        )

    def _committed_replica(self) -> pd.Series | None:
        """The row of the replica whose network the stage `diagnose` keeps; None where there is none."""
        if self.committed is None or not self.committed.exists():
            return None
        table = self.replicas()
        return table.iloc[int(table["observed"].argmax())]

    def _file(self, replica: "Replica", step: int | None) -> Path:
        kept = self._files(replica)
        _require_whole("step", step)
        if step is not None and step not in kept:
            raise ConfigError(
                f"`{self.name}` keeps no network of step {step}; kept: {', '.join(map(str, sorted(kept)))}"
            )
        return kept[max(kept) if step is None else step]

    def _rows(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Positions of pairs in the table of equations."""
        table = self._task.equations
        position = pd.Series(np.arange(len(table)), pd.MultiIndex.from_frame(table[["a", "b"]]))
        rows = position.reindex(pd.MultiIndex.from_arrays([a, b])).to_numpy(float)
        if np.isnan(rows).any():
            first = int(np.flatnonzero(np.isnan(rows))[0])
            ends = [f"{name} in {table[name].min()}..{table[name].max()}" for name in "ab"]
            raise ConfigError(
                f"({a[first]}, {b[first]}) is no equation of {self.formula}; {' and '.join(ends)}"
            )
        return rows.astype(int)


def _require_whole(name: str, value: object) -> None:
    """Refuse all but whole numbers; 60.0 is one, as steps are floats in the tables of a run."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Real) or not float(value).is_integer():
        raise ConfigError(f"`{name}` must be a whole number, but got {value!r}")


def _whole(operand: int | Sequence[int] | np.ndarray) -> np.ndarray:
    try:
        array = np.asarray(operand)
    except ValueError:  # lists of several lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or (array > np.iinfo(np.int64).max).any():
        raise ConfigError(f"operands are whole numbers of at most 64 bits, but got {operand!r}")
    return array.astype(np.int64)
