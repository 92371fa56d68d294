"""Optimizers and accelerators on one network and task, each with its own tuned hyperparameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from grokking.analysis.results import (
    generalized_text,
    in_steps,
    median_and_range,
    short,
    summary,
    value_text,
    varying,
)
from grokking.analysis.survival import logrank_p, median_interval

BASELINE = "adamw"  # what the others are compared with


@dataclass(frozen=True)
class Method:
    """A tuned method: its grid, and its best point's replicas on fresh seeds."""

    name: str
    grid: Mapping[str, Sequence[Any]]
    tuning: pd.DataFrame
    confirmed: pd.DataFrame

    @property
    def best(self) -> dict[str, Any]:
        """The columns of the grid's keys; a key that the best point's section does not have is left out."""
        row = self.confirmed.iloc[0].dropna().to_dict()
        return {str(key): value for key, value in row.items() if self._varies(str(key))}

    def _varies(self, column: str) -> bool:
        """Whether the grid names this column, or the section that it is of."""
        return any(f"{column}.".startswith(f"{axis}.") for axis in self.grid)

    @property
    def observed(self) -> np.ndarray:
        return self.confirmed["observed"].to_numpy(bool)

    @property
    def times(self) -> np.ndarray:
        """Steps to generalize, or the budget where that was not reached."""
        steps = self.confirmed["generalization_step"]
        return steps.where(self.observed, self.confirmed["budget"]).to_numpy(float)


def by_speed(methods: list[Method]) -> list[Method]:
    """Fastest first; those that generalized less often come later."""
    return sorted(methods, key=lambda method: ((~method.observed).mean(), np.median(method.times)))


def method_table(methods: list[Method]) -> pd.DataFrame:
    """A row per method, fastest first."""
    baseline = next((method for method in methods if method.name == BASELINE), None)
    return pd.DataFrame([_row(method, baseline) for method in by_speed(methods)])


def _row(method: Method, baseline: Method | None) -> dict[str, str]:
    found = summary(method.confirmed)
    return {
        "method": f"`{method.name}`",
        "tuned": ", ".join(f"{short(key)} {value_text(value)}" for key, value in method.best.items()),
        "at the grid's edge": ", ".join(map(short, _edges(method))) or "—",
        "points × seeds": _tried(method),
        "generalized": generalized_text(found),
        "median (range)": median_and_range(found),
        "95 % of median": _interval(method),
        "memorized at": in_steps(found["median_memorization_step"]),
        "log-rank p": _p_value(method, baseline),
        "seconds": f"{method.confirmed['seconds'].median():.1f}",
    }


def _edges(method: Method) -> list[str]:
    """Numbers of which the best was the smallest or the largest that were tried."""
    tried, best = method.tuning, method.confirmed.iloc[0]
    numbers = [
        axis for axis in varying(tried) if is_numeric_dtype(tried[axis]) and not is_bool_dtype(tried[axis])
    ]
    return [axis for axis in numbers if best.get(axis) in (tried[axis].min(), tried[axis].max())]


def _tried(method: Method) -> str:
    points = int(np.prod([len(values) for values in method.grid.values()]))
    return f"{points} × {len(method.tuning) // points}"


def _interval(method: Method) -> str:
    low, high = map(in_steps, median_interval(method.times, method.observed))
    return f"{low}–{high}"


def _p_value(method: Method, baseline: Method | None) -> str:
    if baseline is None or method.name == baseline.name:
        return "—"
    return f"{logrank_p(method.times, method.observed, baseline.times, baseline.observed):.3f}"
