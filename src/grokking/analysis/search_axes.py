"""The searched hyperparameters of a study as axes of a table or a figure, named as Optuna names them."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokking.config import PARAMS_PREFIX

NEAR = 0.05  # of a range: a value so close to an end is at the edge


@dataclass(frozen=True)
class Axis:
    """A range of numbers, or choices; `low` and `high` are 0 where there are choices."""

    name: str
    low: float
    high: float
    log: bool
    choices: tuple[Any, ...]  # as in trials.parquet: lists and mappings as JSON

    @property
    def column(self) -> str:
        """Its column in trials.parquet."""
        return f"{PARAMS_PREFIX}{self.name}"

    @property
    def text(self) -> str:
        """The range or the choices, for a reader."""
        if self.choices:
            return " or ".join(map(shown, self.choices))
        return f"{self.low:g}–{self.high:g}" + (", logarithmic" if self.log else "")

    def place(self, value: Any) -> float:
        """Where a value lies between the ends, in [0, 1]; choices are spread evenly."""
        if self.choices:
            return self.choices.index(value) / max(len(self.choices) - 1, 1)
        low, high, x = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (x - low) / (high - low)

    def at_edge(self, value: Any) -> bool:
        """Whether a value lies so near an end of its range that a wider range may do better."""
        return not self.choices and not NEAR <= self.place(value) <= 1 - NEAR


def axes(space: Mapping[str, Mapping[str, Any]]) -> list[Axis]:
    """The axes of a study's `space`, those of a branch after the choice of the branch."""
    found = []
    for name, dimension in space.items():
        found.append(_axis(name, dimension))
        for branch, inner in dimension.get("branches", {}).items():
            found += [_axis(f"{name}.{branch}.{key}", below) for key, below in inner["space"].items()]
    return found


def _axis(name: str, dimension: Mapping[str, Any]) -> Axis:
    choices = tuple(map(_written, dimension.get("values", dimension.get("branches", ()))))
    log = str(dimension["kind"]).startswith("log")
    return Axis(name, dimension.get("low", 0), dimension.get("high", 0), log, choices)


def _written(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | tuple) else value


def shown(value: Any) -> str:
    """A value for a reader: numbers in three digits, JSON without its signs, — where there is none."""
    if value is None or value != value:
        return "—"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value).translate(str.maketrans("", "", '{}[]"')).removeprefix("sampling: ")


def space_table(found: list[Axis], arms: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row per hyperparameter: its range and what each arm has; * where that is at an end of the range."""
    rows = []
    for axis in found:
        values = {arm: params.get(axis.column) for arm, params in arms.items()}
        rows.append({"parameter": f"`{axis.name}`", "searched": axis.text} | _marked(axis, values))
    return pd.DataFrame(rows)


def _marked(axis: Axis, values: Mapping[str, Any]) -> dict[str, str]:
    marks = {arm: " *" if shown(v) != "—" and axis.at_edge(v) else "" for arm, v in values.items()}
    return {arm.replace("_", " "): shown(value) + marks[arm] for arm, value in values.items()}
