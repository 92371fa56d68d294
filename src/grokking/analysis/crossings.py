"""When the replicas of a run reached an accuracy, with those that had not when they were stopped."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokking.analysis.survival import median, median_interval
from grokking.storage.runs import Run


@dataclass(frozen=True)
class Crossings:
    """The step of each replica's crossing where it was observed, else the step until which it was not.

    One that diverged ended early, but would not have crossed by its budget either: it counts until then.
    """

    times: np.ndarray
    observed: np.ndarray

    @property
    def median(self) -> float | None:
        """Kaplan-Meier."""
        return median(self.times, self.observed) if len(self.times) else None

    def numbers(self) -> dict[str, Any]:
        """Median, its 95 % interval, replicas that crossed, all replicas, and the longest that was waited."""
        low, high = median_interval(self.times, self.observed) if len(self.times) else (None, None)
        return {
            "median": self.median,
            "low": low,
            "high": high,
            "crossed": int(self.observed.sum()),
            "n": len(self.times),
            "longest": float(self.times.max(initial=0)),
        }

    @staticmethod
    def text_of(numbers: Mapping[str, Any]) -> str:
        """The median, its interval where there are several replicas, and how many of how many crossed."""
        if not numbers["n"]:
            return "—"
        count = f"{numbers['crossed']} of {numbers['n']}"
        if numbers["median"] is None:
            return f"> {numbers['longest']:,.0f}, {count}"
        if numbers["n"] == 1:
            return f"{numbers['median']:,.0f}, {count}"
        low, high = ("∞" if numbers[end] is None else f"{numbers[end]:,.0f}" for end in ("low", "high"))
        return f"{numbers['median']:,.0f} ({low}–{high}), {count}"


def times_faster(qualifier: str, published: int, median: float | None) -> str:
    """A published step over a median, to two digits: both are of few runs. A bound is never rounded up."""
    if median is None:
        return "—"
    digits = 1 - math.floor(math.log10(published / median))
    scaled = published / median * 10**digits
    return f"{qualifier} {(math.floor(scaled) if qualifier else round(scaled)) / 10**digits:,g}".strip()


NONE = Crossings(np.empty(0), np.empty(0, bool))


def first_at(run: Run | None, threshold: float, column: str = "validation_accuracy") -> Crossings:
    """First evaluation of each replica with at least this accuracy, as authors count."""
    if run is None:
        return NONE
    at = run.history[run.history[column] >= threshold].groupby("replica")["step"].min()
    step = at.reindex(run.replicas["replica"]).to_numpy(float)
    until = run.replicas[["steps_run", "budget"]].max(axis=1)
    return Crossings(np.where(np.isnan(step), until, step), ~np.isnan(step))


def sustained(run: Run | None) -> Crossings:
    """Time-to-grok by the definition of this laboratory."""
    if run is None:
        return NONE
    observed = run.replicas["observed"].to_numpy(bool)
    step = run.replicas["generalization_step"].where(observed, run.replicas["budget"])
    return Crossings(step.to_numpy(float), observed)
