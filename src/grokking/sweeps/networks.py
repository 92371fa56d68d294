"""The networks of a sweep: every cell of its design with every pair of seeds."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
import scipy

from grokking.config import ConfigError, load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.experiment import MOST_REPLICAS, ExperimentConfig, Replica, require_fit, with_values
from grokking.sweeps.config import GridDesign, SobolDesign, SweepConfig

Point = Mapping[str, Any]  # the value of each axis
UNUSED = {
    "experiment.task": "the task of a sweep is its own `task`",
    "task.split_seeds": "the split seeds of a sweep are in its own `replicas`",
    "experiment.replicas": "the seeds of a sweep are in its own `replicas`",
}


@dataclass(frozen=True)
class Network:
    """One network of a sweep."""

    cell: int  # the number of its point of the design
    replica: Replica
    task: Task
    data: TaskConfig

    def row(self) -> dict[str, Any]:
        """What its task is, flat: task.operation.modulus, task.split.train_fraction and so on."""
        flat: dict[str, Any] = {"cell": self.cell, "task.classes": self.task.sizes.classes}
        for key, section in asdict(self.data).items():
            if isinstance(section, dict):
                flat |= {f"task.{key}.{name}": value for name, value in section.items()}
        return flat

    def stack_key(self) -> str:
        """Equal for networks that can train as one stack: of one shape, on one task."""
        return json.dumps([id(self.task), self.replica.stack_key(self.task)])


def expand(mapping: Mapping[str, Any], where: str) -> list[Network]:
    """The networks of a sweep, cell by cell. Raises ConfigError for anything wrong in any cell."""
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"`{where}` must be a mapping of keys, but got {mapping!r}")
    own = {key: value for key, value in mapping.items() if key not in ("experiment", "task")}
    config = load(SweepConfig, own, where)
    pairs = config.replicas.drawn()
    _require_few(config, len(pairs), where)
    networks: list[Network] = []
    known: dict[str, tuple[Task, TaskConfig]] = {}
    for cell, point in enumerate(points(config)):
        _require_known_axes(point, where)
        changed = with_values(mapping, point, "design.axes")
        task, data = _task(changed["task"], config, known, where)
        experiment = changed["experiment"] | {"task": name_of(data)}
        loaded = load(ExperimentConfig, experiment, f"{where}.experiment")
        for seed, split_seed in pairs:
            replica = Replica(len(networks), seed, split_seed, loaded)
            require_fit(replica, task, f"{where}.experiment")
            networks.append(Network(cell, replica, task, data))
    return networks


def points(config: SweepConfig) -> list[Point]:
    """The cells of the design."""
    design = config.design
    if isinstance(design, GridDesign):
        return [
            dict(zip(design.axes, values, strict=True)) for values in itertools.product(*design.axes.values())
        ]
    return _sobol(design)


def _sobol(design: SobolDesign) -> list[Point]:
    drawn = scipy.stats.qmc.Sobol(len(design.axes), rng=design.seed).random(design.points)
    ends = [
        np.log([axis.low, axis.high]) if axis.scale == "log" else np.array([axis.low, axis.high])
        for axis in design.axes.values()
    ]
    scaled = np.array([low for low, _ in ends]) + drawn * np.array([high - low for low, high in ends])
    logs = np.array([axis.scale == "log" for axis in design.axes.values()])
    values = np.where(logs, np.exp(scaled), scaled)
    # three digits, so that a cell can be repeated by hand
    return [
        {key: float(f"{value:.3g}") for key, value in zip(design.axes, row, strict=True)} for row in values
    ]


def name_of(data: TaskConfig) -> str:
    """A task's name where it has no entry: its operation, size and train fraction."""
    size = next((value for key, value in asdict(data.operation).items() if key != "name"), "")
    fraction = getattr(data.split, "train_fraction", None)
    share = "" if fraction is None else f"_f{fraction:g}"
    return f"{data.operation.name}_{size}{share}"


def _require_few(config: SweepConfig, pairs: int, where: str) -> None:
    """Raise ConfigError where nobody would live to see the last network."""
    design = config.design
    cells = prod(map(len, design.axes.values())) if isinstance(design, GridDesign) else design.points
    if cells * pairs > MOST_REPLICAS:
        raise ConfigError(
            f"`{where}.design` makes {cells * pairs:,} networks; a sweep has at most {MOST_REPLICAS:,}; "
            "write fewer values, points or seeds"
        )


def _require_known_axes(point: Point, where: str) -> None:
    for key in point:
        if reason := UNUSED.get(key):
            raise ConfigError(f"`{where}.design.axes` names {key}, but {reason}; remove it")
        if key.partition(".")[0] not in ("experiment", "task"):
            raise ConfigError(
                f"`{where}.design.axes` names {key}; write experiment.{key} or task.{key}, "
                "as a key of the sweep is written"
            )


def _task(
    written: Mapping[str, Any], config: SweepConfig, known: dict[str, tuple[Task, TaskConfig]], where: str
) -> tuple[Task, TaskConfig]:
    """The task of one cell, split with the sweep's seeds; each task is built once."""
    key = json.dumps(written, sort_keys=True, default=str)
    if key not in known:
        data = load(
            TaskConfig, {**written, "split_seeds": list(config.replicas.split_seeds)}, f"{where}.task"
        )
        known[key] = tasks.build(data, f"{where}.task"), data
    return known[key]
