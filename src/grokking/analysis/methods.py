"""Optimizers and accelerators on one network and task, each with its own tuned hyperparameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.results import generalized_text, in_steps, median_and_range, summary
from grokking.analysis.survival import logrank_p, median_interval
from grokking.analysis.tuning import at_edge

BASELINE = "adamw"  # what the others are compared with


@dataclass(frozen=True)
class Method:
    """A tuned method: its grid, and its best point's replicas on fresh seeds."""

    name: str
    grid: dict[str, list[Any]]
    tuning: pd.DataFrame
    confirmed: pd.DataFrame

    @property
    def best(self) -> dict[str, Any]:
        return {axis: self.confirmed[axis].iloc[0] for axis in self.grid}

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
        "tuned": ", ".join(f"{axis.rpartition('.')[2]} {value:g}" for axis, value in method.best.items()),
        "at the grid's edge": ", ".join(axis.rpartition(".")[2] for axis in _edges(method)) or "—",
        "points × seeds": _tried(method),
        "generalized": generalized_text(found),
        "median (range)": median_and_range(found),
        "95 % of median": _interval(method),
        "memorized at": in_steps(found["median_memorization_step"]),
        "log-rank p": _p_value(method, baseline),
        "seconds": f"{method.confirmed['seconds'].median():.1f}",
    }


def _edges(method: Method) -> list[str]:
    """Axes with more than one value on which the best was the first or last."""
    return at_edge({axis: values for axis, values in method.grid.items() if len(values) > 1}, method.best)


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
