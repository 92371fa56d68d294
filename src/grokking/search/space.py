"""The space of a study: for each hyperparameter the values it may take, as written in params.yaml."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT
from grokking.training.experiment import with_values


class Suggests(Protocol):
    """What of an Optuna trial is used; a FixedTrial gives the parameters it was made of."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


@dataclass(frozen=True, config=STRICT)
class FloatDimension:
    kind: Literal["log", "linear"]
    low: float
    high: float

    def __post_init__(self) -> None:
        _require_order(self.kind, self.low, self.high)

    def suggest(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.kind == "log")

    def corners(self) -> tuple[Any, ...]:
        """The extreme values."""
        return self.low, self.high


@dataclass(frozen=True, config=STRICT)
class IntegerDimension:
    kind: Literal["log_integer", "integer"]
    low: int
    high: int

    def __post_init__(self) -> None:
        _require_order(self.kind, self.low, self.high)

    def suggest(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=self.kind == "log_integer")

    def corners(self) -> tuple[Any, ...]:
        return self.low, self.high


@dataclass(frozen=True, config=STRICT)
class ChoiceDimension:
    kind: Literal["choice"]
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("needs at least one of `values`, but has none; remove the key or name some")

    def suggest(self, trial: Suggests, name: str) -> Any:
        """Lists and mappings are kept by Optuna as JSON."""
        written = [_written(value) for value in self.values]
        return self.values[written.index(trial.suggest_categorical(name, written))]

    def corners(self) -> tuple[Any, ...]:
        return self.values


Dimension = Annotated[FloatDimension | IntegerDimension | ChoiceDimension, Field(discriminator="kind")]


@dataclass(frozen=True, config=STRICT)
class Branch:
    """One way to fill a section of the experiment: keys that are fixed, and keys that are searched."""

    fixed: dict[str, Any]
    space: dict[str, Dimension]


@dataclass(frozen=True, config=STRICT)
class BranchDimension:
    kind: Literal["branch"]
    branches: dict[str, Branch]  # which of them is chosen is a hyperparameter too


Space = dict[
    str,
    Annotated[
        FloatDimension | IntegerDimension | ChoiceDimension | BranchDimension, Field(discriminator="kind")
    ],
]
# Rates of decay, learning_rate * weight_decay, are searched in place of weight decays: they set the time
# scale of decay, and good configurations have them in common at very different learning rates.
DECAY_RATES = {
    "optimizer.decay_rate": ("optimizer.learning_rate", "optimizer.weight_decay"),
    "optimizer.rest_decay_rate": ("optimizer.rest_learning_rate", "optimizer.rest_weight_decay"),
}


def suggest(trial: Suggests, space: Space) -> dict[str, Any]:
    """A point of the space: dotted keys of the experiment and their values, sections of branches first."""
    values: dict[str, Any] = {}
    for key, dimension in space.items():
        if isinstance(dimension, BranchDimension):
            name = trial.suggest_categorical(key, list(dimension.branches))
            branch = dimension.branches[name]
            values[key] = branch.fixed
            for inner, searched in branch.space.items():
                values[f"{key}.{inner}"] = searched.suggest(trial, f"{key}.{name}.{inner}")
        else:
            values[key] = dimension.suggest(trial, key)
    return values


def at(experiment: Mapping[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The experiment at a point of the space, with rates of decay turned into weight decays."""
    mapping = with_values(experiment, values, where)
    for rate, (learning_rate, weight_decay) in DECAY_RATES.items():
        section, name = rate.split(".")
        if name in mapping[section]:
            decay = mapping[section].pop(name) / mapping[section][learning_rate.split(".")[1]]
            mapping = with_values(mapping, {weight_decay: decay}, where)
    return mapping


def corners(space: Space) -> Iterator[dict[str, Any]]:
    """Points at which every branch, every choice and both ends of every range occur."""
    deepest = max((len(_extremes(dimension)) for dimension in space.values()), default=0)
    for number in range(deepest):
        values: dict[str, Any] = {}
        for key, dimension in space.items():
            extremes = _extremes(dimension)
            values |= {
                f"{key}{inner}": value for inner, value in extremes[min(number, len(extremes) - 1)].items()
            }
        yield values


def _extremes(dimension: Any) -> list[dict[str, Any]]:
    """Extreme values of one dimension, each as what it sets: the key itself and, in branches, keys below."""
    if not isinstance(dimension, BranchDimension):
        return [{"": value} for value in dimension.corners()]
    found = []
    for branch in dimension.branches.values():
        count = max((len(inner.corners()) for inner in branch.space.values()), default=1)
        for number in range(count):
            below = {
                f".{name}": inner.corners()[min(number, len(inner.corners()) - 1)]
                for name, inner in branch.space.items()
            }
            found.append({"": branch.fixed} | below)
    return found


def _written(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | tuple) else value


def _require_order(kind: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"needs `low` below `high`, but got {low} and {high}")
    if kind.startswith("log") and low <= 0:
        raise ValueError(f"of kind {kind} needs `low` above 0, but got {low}; write a small number or linear")
