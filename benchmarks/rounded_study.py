"""The studies on which samplers are compared, their points rounded to a grid."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recordings import Recordings
from grokking.catalogue import read_catalogue
from grokking.config import load
from grokking.data import tasks
from grokking.data.tasks import Task, TaskConfig
from grokking.diagnostics import cyclic
from grokking.experiment import Replica, Seeds
from grokking.search.config import StudyPlan, read_study
from grokking.search.space import FloatDimension, Space

FOLDER = Path(".checkpoints/samplers")
LEVELS = 8  # of each number of a space
SMALL: dict[str, dict[str, Any]] = {  # studies on the network of a sweep; what they have of their own
    "small_mlp": {"sweep": "phases_quadratic", "fraction": 0.5, "budget": 150, "study": {}},
    "small_transformer": {
        "sweep": "fractions_transformer",
        "fraction": 0.75,
        "budget": 500,
        "study": {
            "space": {
                "model.embedding_std": {"kind": "log", "low": 0.02, "high": 1.0},
                "optimizer.learning_rate": {"kind": "log", "low": 1e-3, "high": 0.1},
                "optimizer.decay_rate": {"kind": "log", "low": 1e-4, "high": 0.1},
                "optimizer.beta2": {"kind": "linear", "low": 0.9, "high": 0.999},
            }
        },
    },
}


@dataclass(frozen=True)
class RoundedPlan(StudyPlan):
    """A study whose points are rounded to a grid before they are trained."""

    def replicas(self, values: Mapping[str, Any], seeds: Seeds) -> list[Replica]:
        return super().replicas(rounded(values, self.config.space), seeds)


def rounded(values: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The nearest of LEVELS values of each number, evenly spaced on its scale."""
    found = dict(values)
    for key, dimension in space.items():
        if key in found and isinstance(dimension, FloatDimension):
            found[key] = nearest(found[key], dimension)
    return found


def nearest(value: float, dimension: FloatDimension) -> float:
    low, high, last = dimension.low, dimension.high, LEVELS - 1
    if dimension.kind == "linear":
        found = low + (high - low) * round((value - low) / (high - low) * last) / last
    else:
        found = low * (high / low) ** (round(math.log(value / low) / math.log(high / low) * last) / last)
    return float(f"{found:.6g}")


@dataclass(frozen=True)
class Study:
    """A study, its task, and the recordings of its networks."""

    plan: RoundedPlan
    task: Task
    order: cyclic.Order | None

    @classmethod
    def read(cls, name: str) -> "Study":
        entry, section = _small(name) if name in SMALL else _whole(name)
        entry |= {"initial_points": [], "published": {}, "random_baseline": False}
        plan = read_study(entry, name, name)
        config = load(TaskConfig, section, name)
        return cls(
            RoundedPlan(plan.name, plan.where, plan.config),
            tasks.build(config, name),
            cyclic.order_of(config),
        )

    def recordings(self, task: Task) -> Recordings:
        return Recordings(FOLDER / self.plan.name, task, self.order)


def _whole(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A study of params.yaml and its task."""
    entry = read_catalogue().entry("studies", name)
    return entry, read_catalogue().entry("tasks", entry["experiment"]["task"])


def _small(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The study `quick` with the network and the table of a sweep, and its task."""
    own, catalogue = SMALL[name], read_catalogue()
    sweep = catalogue.entry("sweeps", own["sweep"])
    entry = catalogue.entry("studies", "quick") | own["study"]
    entry["experiment"] = sweep["experiment"] | {"task": name, "budget": own["budget"]}
    seeds = sorted({seed for part in ("search", "confirm") for seed in entry[part]["split_seeds"]})
    split = sweep["task"]["split"] | {"train_fraction": own["fraction"]}
    return entry, sweep["task"] | {"split_seeds": seeds, "split": split}
