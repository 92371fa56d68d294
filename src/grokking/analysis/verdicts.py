"""Was a published number reproduced? The published recipe, run here, by its author's criterion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import linregress

from grokking.analysis.crossings import Crossings, first_at, sustained
from grokking.analysis.published import PUBLISHED, Published
from grokking.storage.runs import Run

OVER_TRAIN_FRACTION = 4  # the system that was published over training fractions
CLOSE = 1.25  # a median within this factor of a published step counts as reproduced


def judged(presets: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Every published number with its preset's crossings, as they stand in reports/published.json."""
    return [_judged(published, repeated(published, presets)) for published in PUBLISHED]


def _judged(published: Published, run: Run | None) -> dict[str, Any]:
    found = first_at(run, published.threshold)
    return {
        "system": published.system,
        "setting": published.setting,
        "preset": published.preset,
        "threshold": published.threshold,
        "published": published.text,
        "published_memorized": published.memorized,
        "source": published.source,
        "first_crossing": found.numbers(),
        "sustained": sustained(run).numbers(),
        "memorized": first_at(run, 0.99, "train_accuracy").numbers(),
        "verdict": verdict(published, found),
    }


def repeated(published: Published, presets: Mapping[str, Run]) -> Run | None:
    """The replicas that repeat a published run; None where none has finished."""
    run = presets.get(published.preset)
    if run is None:
        return None
    replicas = run.replicas
    for key, value in published.point.items():
        replicas = replicas[replicas[key] == value]
    history = run.history[run.history["replica"].isin(replicas["replica"])]
    return Run(replicas, history, run.facts) if len(replicas) else None


def verdict(published: Published, found: Crossings) -> str:
    """Reproduced or not; with the factor where it was, but earlier or later."""
    if not len(found.times):
        return "not run"
    step, longest = published.step, found.times.max()
    early = found.observed & (found.times <= step)
    if found.median is None and longest < step:
        return f"not run to {step:,}"
    if published.qualifier == ">":
        return f"not reproduced: {early.sum()} of {len(early)} by then" if early.any() else "reproduced"
    if found.median is None:
        return "not reproduced"
    factor = found.median / step
    close = 1 / CLOSE <= factor <= CLOSE or found.times.min() <= step <= longest
    if close or (published.qualifier == "≥" and factor > 1):
        return "reproduced"
    return f"{factor:.1f} times later" if factor > 1 else f"{1 / factor:.1f} times earlier"


def verdict_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A line per published number, as text."""
    return pd.DataFrame([_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "system": f"{row['system']}: {row['setting']}",
        "published": f"[{row['published']}]({row['source']})",
        "criterion": f"{row['threshold']:.0%}, first seen",
        "run here": Crossings.text_of(row["first_crossing"]),
        "sustained": Crossings.text_of(row["sustained"]),
        "memorised, published": "—"
        if row["published_memorized"] is None
        else f"{row['published_memorized']:,}",
        "memorised here": Crossings.text_of(row["memorized"]),
        "verdict": row["verdict"],
    }


def power_law(presets: Mapping[str, Run], tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Fit of system 4's first crossings over the training fraction, T = factor * f^-exponent.

    Least squares on the logarithms of all replicas that crossed; None with fewer than three fractions. Those
    that have not crossed are counted: without them, the times of a fraction are too early.
    """
    names = [p.preset for p in PUBLISHED if p.system == OVER_TRAIN_FRACTION and p.preset in presets]
    found = {tasks[name]["split"]["train_fraction"]: first_at(presets[name], 0.99) for name in names}
    points = [(f, time) for f, c in found.items() for time in c.times[c.observed]]
    if len({f for f, _ in points}) < 3:
        return None
    fit = linregress(*np.log(points).T)
    return {
        "factor": float(np.exp(fit.intercept)),
        "exponent": float(-fit.slope),
        "standard_error": float(fit.stderr),
        "replicas": len(points),
        "fractions": sorted({f for f, _ in points}),
        "censored": int(sum((~c.observed).sum() for c in found.values())),
    }
