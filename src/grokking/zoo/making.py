"""Makes a zoo of trained experiments: which networks, in which type, with which facts."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from grokking.config import ConfigError
from grokking.data.tasks import Task
from grokking.diagnostics.internals import rebuild
from grokking.experiment import Replica
from grokking.storage import snapshots
from grokking.storage.runs import checksum, put_in_place, recover
from grokking.training.fingerprint import input_hash
from grokking.zoo import manifest
from grokking.zoo.accuracy import Accuracy, accuracy_of, equations_of, verdict
from grokking.zoo.manifest import Entry, Manifest

STEPS = 8  # networks of a replica that is shown from its first step on
SHORT = "float16"  # the type of a file where it costs no equation

Parameters = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Trained:
    """An experiment with its tables and, where it was trained here, its snapshots."""

    name: str
    group: str
    config: Mapping[str, Any]  # as ExperimentConfig is loaded from it
    replicas: Sequence[Replica]
    task: Task
    table: pd.DataFrame  # a row per replica
    networks: Path  # a folder per replica
    in_steps: bool  # whether one replica is shown from its first step on

    def rows(self) -> Iterator[tuple[Replica, dict[str, Any]]]:
        """Each trained replica with its row; ConfigError where it was trained with other values."""
        by_index = {replica.index: replica for replica in self.replicas}
        for row in self.table.to_dict("records"):
            replica = by_index.get(row["replica"])
            if replica is None or input_hash(replica, self.task) != row["inputs"]:
                raise ConfigError(
                    f"`{self.name}` was trained with other values than it has now; train it again"
                )
            yield replica, {str(key): value for key, value in row.items()}

    def shown_in_steps(self) -> int | None:
        """The replica that is shown from its first step on: the first that generalized."""
        return (
            int(self.table["replica"].iloc[int(self.table["observed"].argmax())]) if self.in_steps else None
        )


def make(experiments: Sequence[Trained], folder: Path) -> Manifest:
    """Write the networks of these experiments and their manifest in place of what the folder holds.

    A network whose snapshots are not here is kept from the folder. ConfigError where it is not there either.
    """
    fresh = folder.with_name(f".{folder.name}.unfinished")
    recover(fresh, folder, manifest.NAME)
    before = manifest.read(folder).entries if (folder / manifest.NAME).exists() else []
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    entries = [entry for trained in experiments for entry in _entries(trained, fresh, folder, before)]
    made = Manifest({trained.name: trained.config for trained in experiments}, entries)
    made.write(fresh)
    put_in_place(fresh, folder)
    return made


def _entries(trained: Trained, fresh: Path, folder: Path, before: Sequence[Entry]) -> Iterator[Entry]:
    for replica, row in trained.rows():
        snapshots_here = trained.networks / row["inputs"]
        if snapshots.are_whole(snapshots_here):
            files = snapshots.files(snapshots_here)
            for step in _steps(sorted(files), in_steps=replica.index == trained.shown_in_steps()):
                yield _written(trained, replica, row, step, files, fresh)
            continue
        kept = [entry for entry in before if _is_of(entry, trained.name, replica, row)]
        if not kept:
            raise ConfigError(
                f"no network of `{trained.name}`, replica {replica.index}, is in {trained.networks} or in "
                f"{folder}; train it (`python -m pipelines.train {trained.name}`)"
            )
        yield from (_copied(entry, folder, fresh) for entry in kept)


def _steps(kept: Sequence[int], in_steps: bool) -> list[int]:
    """The last step, or steps from the first to the last, evenly spread over those that were kept."""
    if not in_steps:
        return [kept[-1]]
    return [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, STEPS).round().astype(int))]


def _written(
    trained: Trained,
    replica: Replica,
    row: Mapping[str, Any],
    step: int,
    files: Mapping[int, Path],
    fresh: Path,
) -> Entry:
    """Write one network in the shortest type in which it is as good."""
    parameters, accuracy = _shortened(load_file(files[step]), replica, trained.task)
    name = f"{trained.group}/{trained.name}/replica_{replica.index}_step_{step}.safetensors"
    file = fresh / name
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(parameters), file)
    return Entry(
        file=name,
        experiment=trained.name,
        group=trained.group,
        system=replica.config.system,
        role=replica.config.role,
        task=replica.config.task,
        replica=replica.index,
        seed=replica.seed,
        split_seed=replica.split_seed,
        step=step,
        last=step == max(files),
        dtype=str(next(iter(parameters.values())).dtype),
        bytes=file.stat().st_size,
        train_accuracy=accuracy.train,
        validation_accuracy=accuracy.validation,
        verdict=verdict(accuracy, parameters),
        memorization_step=_step(row["memorization_step"]),
        first_crossing_step=_step(row["first_crossing_step"]),
        generalization_step=_step(row["generalization_step"]),
        inputs=row["inputs"],
        sha256=checksum(file),
    )


def _shortened(parameters: Parameters, replica: Replica, task: Task) -> tuple[Parameters, Accuracy]:
    """The parameters in the short type where both accuracies stay exactly the same, else as they are."""
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and the network another
        short = {name: array.astype(SHORT) for name, array in parameters.items()}
    whole = {name: array.astype(replica.config.precision) for name, array in short.items()}
    equations = equations_of(replica, task)
    exact, rounded = (accuracy_of(rebuild(replica, task, each), equations) for each in (parameters, whole))
    same = rounded == exact and verdict(rounded, short) == verdict(exact, parameters)
    return (short if same else parameters), exact


def _is_of(entry: Entry, name: str, replica: Replica, row: Mapping[str, Any]) -> bool:
    return (entry.experiment, entry.replica, entry.inputs) == (name, replica.index, row["inputs"])


def _copied(entry: Entry, folder: Path, fresh: Path) -> Entry:
    """Keep a file as it is; ConfigError where it is damaged."""
    entry.require_whole(folder)
    (fresh / entry.file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / entry.file, fresh / entry.file)
    return entry


def _step(value: Any) -> int | None:
    """A cell of a column of steps, where pandas may write None, NaN or a float."""
    return None if pd.isna(value) else int(value)
