"""The space of a study: for each hyperparameter the values it may take, as written in params.yaml."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError
from grokking.experiment import with_values


class Suggests(Protocol):
    """The part of an Optuna trial that is used; a FixedTrial returns the parameters it was made of."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


@dataclass(frozen=True, config=STRICT)
class RangeDimension:
    kind: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"needs `low` below `high`, but got {self.low} and {self.high}")
        if self.kind.startswith("log") and self.low <= 0:
            raise ValueError(
                f"of kind {self.kind} needs `low` above 0, but got {self.low}; write a small number or linear"
            )

    def corners(self) -> tuple[Any, ...]:
        """The extreme values."""
        return self.low, self.high


@dataclass(frozen=True, config=STRICT)
class FloatDimension(RangeDimension):
    kind: Literal["log", "linear"]

    def suggest(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.kind == "log")

    def holds(self, value: Any) -> bool:
        """Whether a trial may have this value, in the form in which Optuna keeps it."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, config=STRICT)
class IntegerDimension(RangeDimension):
    kind: Literal["log_integer", "integer"]
    low: int
    high: int

    def suggest(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=self.kind == "log_integer")

    def holds(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True, config=STRICT)
class ChoiceDimension:
    kind: Literal["choice"]
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("needs at least one of `values`, but has none; remove the key or name some")
        if any(self.values.count(value) > 1 for value in self.values):
            raise ValueError(f"needs distinct `values`, but got {list(self.values)}")

    def suggest(self, trial: Suggests, name: str) -> Any:
        """Optuna keeps lists and mappings as JSON."""
        stored = self._stored()
        return self.values[stored.index(trial.suggest_categorical(name, stored))]

    def holds(self, value: Any) -> bool:
        return value in self._stored()

    def corners(self) -> tuple[Any, ...]:
        return self.values

    def _stored(self) -> list[Any]:
        return [json.dumps(v) if isinstance(v, list | dict | tuple) else v for v in self.values]


ValueDimension = FloatDimension | IntegerDimension | ChoiceDimension


@dataclass(frozen=True, config=STRICT)
class Branch:
    """One way to fill a section of the experiment: keys that are fixed, and keys that are searched."""

    fixed: dict[str, Any]
    space: dict[str, Annotated[ValueDimension, Field(discriminator="kind")]]


@dataclass(frozen=True, config=STRICT)
class BranchDimension:
    kind: Literal["branch"]
    branches: dict[str, Branch]  # the choice among them is a hyperparameter too

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError("needs at least one of `branches`, but has none; remove the key or name some")

    def holds(self, value: Any) -> bool:
        return value in self.branches


Space = dict[str, Annotated[ValueDimension | BranchDimension, Field(discriminator="kind")]]
# Decay rates, learning_rate * weight_decay, are searched in place of weight decays: they set the time scale
# of decay, and good configurations at very different learning rates share them.
DECAY_RATES = {
    "optimizer.decay_rate": ("optimizer.learning_rate", "optimizer.weight_decay"),
    "optimizer.rest_decay_rate": ("optimizer.adamw_learning_rate", "optimizer.adamw_weight_decay"),
}


def dimensions(space: Space) -> dict[str, Any]:
    """The dimension of each hyperparameter, by its name in Optuna."""
    found: dict[str, Any] = dict(space)
    for key, dimension in space.items():
        for branch, inner in getattr(dimension, "branches", {}).items():
            found |= {f"{key}.{branch}.{name}": below for name, below in inner.space.items()}
    return found


def suggest(trial: Suggests, space: Space) -> dict[str, Any]:
    """A point of the space: dotted keys of the experiment and their values, sections of branches first."""
    values: dict[str, Any] = {}
    for key, dimension in space.items():
        if isinstance(dimension, BranchDimension):
            name = trial.suggest_categorical(key, list(dimension.branches))
            branch = dimension.branches[name]
            values[key] = branch.fixed
            for inner, below in branch.space.items():
                values[f"{key}.{inner}"] = below.suggest(trial, f"{key}.{name}.{inner}")
        else:
            values[key] = dimension.suggest(trial, key)
    return values


def apply_point(experiment: Mapping[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The experiment at a point of the space, its decay rates turned into weight decays."""
    mapping = with_values(experiment, values, where)
    for rate, (learning_rate, weight_decay) in DECAY_RATES.items():
        section, name = rate.split(".")
        if not isinstance(mapping.get(section), dict | None):
            raise ConfigError(
                f"`{where}` gives {section} {mapping[section]!r}; name a key of it, {section}.name"
            )
        if name in (mapping.get(section) or {}):
            decay = mapping[section].pop(name) / _learning_rate(mapping, learning_rate, rate, where)
            mapping = with_values(mapping, {weight_decay: decay}, where)
    return mapping


def _learning_rate(mapping: Mapping[str, Any], key: str, rate: str, where: str) -> float:
    section, name = key.split(".")
    found = mapping[section].get(name)
    if not isinstance(found, int | float) or found <= 0:
        raise ConfigError(f"`{where}` names `{rate}`, which needs `{key}` above 0, but got {found!r}")
    return found


def corners(space: Space) -> Iterator[dict[str, Any]]:
    """Points that hold every branch, choice and end of a range, any two of them together.

    Two are enough: a point that cannot be trained has two keys that do not fit each other.
    """
    extremes = {key: _extremes(dimension) for key, dimension in space.items()}
    extreme_numbers = {(key, number) for key, found in extremes.items() for number in range(len(found))}
    for one, other in itertools.combinations_with_replacement(sorted(extreme_numbers), 2):
        chosen = {key: extremes[key][n] for key, n in (dict.fromkeys(space, 0) | dict([one, other])).items()}
        yield {f"{key}{inner}": value for key, found in chosen.items() for inner, value in found.items()}


def _extremes(dimension: Any) -> list[dict[str, Any]]:
    """The extreme values of one dimension, by suffix of the key they set: "" or, in branches, a key below."""
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
