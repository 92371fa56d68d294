"""Results of experiments: a summary of each, and the comparison with published numbers."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.crossings import Crossings, first_at, times_faster
from grokking.analysis.published import PUBLISHED, Published
from grokking.analysis.survival import median
from grokking.analysis.tuning import best_replicas
from grokking.storage.runs import Run

KEY_ABOVE = re.compile(r"(\w+\.)+(?!name=)(?=\w+=)")  # model. in model.alpha=0.5
# keys of an experiment that hold a value of their own; the others are sections, whose columns have a dot
PLAIN_KEYS = (
    "system", "role", "task", "loss", "label_noise", "precision", "matmul_precision", "loss_precision",
    "gradient_projection", "frozen", "budget",
)  # fmt: skip
GROKKING_RATIO = 3  # generalization this many times later than memorization is called grokking


def summary(replicas: pd.DataFrame) -> dict[str, Any]:
    """Time to generalization over a table of replicas, those that did not generalize included.

    Medians are Kaplan-Meier's: of steps, and of the costs that a replica without generalization had already.
    """
    observed = replicas["observed"].to_numpy(bool)
    # one that diverged stopped early, but would not have generalized by the budget either
    times = replicas["generalization_step"].where(observed, replicas["budget"]).to_numpy(float)
    reached = times[observed]
    memorized = replicas["memorization_step"].astype(float)
    own = ratios(replicas)
    return {
        "n": len(replicas),
        "generalized": int(observed.sum()),
        "diverged": int(replicas["diverged"].sum()),
        "median_step": median(times, observed),
        "first_step": float(reached.min()) if len(reached) else None,
        "last_step": float(reached.max()) if len(reached) else None,
        "budget": int(replicas["budget"].max()),
        "median_memorization_step": median_with_censored(memorized, replicas["budget"]),
        "median_ratio": median_ratio(own),
        "lowest_ratio": round(float(own.min()), 2) if np.isfinite(own).any() else None,
        "grokked": int((replicas["generalization_step"] >= GROKKING_RATIO * memorized).sum()),
        "median_examples": median(replicas["examples"].to_numpy(float), observed),
        "median_flops": median(replicas["flops"].to_numpy(float), observed),
        "final_validation_accuracy_max": round(float(replicas["final_validation_accuracy"].max()), 4),
    }


def median_with_censored(steps: pd.Series, until: pd.Series) -> float | None:
    """The Kaplan-Meier median of steps, of which those that are missing had not come by `until`."""
    return median(steps.fillna(until).to_numpy(float), steps.notna().to_numpy())


def ratios(replicas: pd.DataFrame) -> pd.Series:
    """Generalization over memorization; infinite where a replica did not generalize."""
    generalized, memorized = (replicas[f"{e}_step"].astype(float) for e in ("generalization", "memorization"))
    return (generalized / memorized).where(generalized.notna(), math.inf).dropna()


def median_ratio(own: pd.Series) -> float | None:
    """None where half of the replicas did not generalize."""
    middle = float(own.median()) if len(own) else math.inf
    return round(middle, 2) if math.isfinite(middle) else None


def key_numbers(found: Mapping[str, Any]) -> dict[str, Any]:
    """A summary in the few numbers that `dvc metrics` shows: steps, and counts of replicas."""
    return {
        "time_to_grok": found["median_step"],
        "ratio": found["median_ratio"],
        "generalized": found["generalized"],
        "replicas": found["n"],
    }


def key_numbers_of_all(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Those of every experiment, or of every point of its grid, whose name has the last part of each key."""
    return {
        f"{name}, {without_sections(point)}" if point else name: key_numbers(summary(part))
        for name, table in tables.items()
        for point, part in grid_points(table).items()
    }


def results(tables: dict[str, pd.DataFrame], machine: dict[str, Any] | None) -> dict[str, Any]:
    """The content of results.json; all but `timing` is the same on every run of one machine."""
    seconds = {name: _seconds(table) for name, table in tables.items()}
    return {
        "experiments": {name: _experiment(table) for name, table in tables.items()},
        "timing": {"machine": machine, "median_seconds": seconds},
    }


def _experiment(table: pd.DataFrame) -> dict[str, Any]:
    points, first = grid_points(table), table.iloc[0]
    system = str(first["system"])
    found = {point: summary(part) for point, part in points.items()}
    return {
        "system": int(system) if system.isdecimal() else system,
        "role": first["role"],
        "task": first["task"],
    } | _whole_or_grid(found)


def _whole_or_grid(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What was found at each point of a grid, or in an experiment without one; `points` is its inverse."""
    return {"grid": found} if len(found) > 1 else dict(found[""])


def points(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What was found of an experiment, by the points of its grid."""
    return dict(found.get("grid", {"": found}))


def grid_points(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Replicas that differ in their seeds only, by the values that set them apart."""
    axes = varying(table)
    if not axes:
        return {"": table}
    # a section may lack a key that another has
    return {point_text(axes, point): part for point, part in table.groupby(axes, dropna=False)}


def point_text(axes: list[str], values: Any) -> str:
    given = [(axis, value) for axis, value in zip(axes, values, strict=True) if pd.notna(value)]
    return ", ".join(f"{axis}={value}" for axis, value in given)


def short(axis: str) -> str:
    """The last part of a key: learning_rate of optimizer.learning_rate."""
    return axis.rpartition(".")[2]


def value_text(value: Any) -> str:
    """A point on an axis: a number in few digits, a word or a list as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def best_of_grid(table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The best point of a grid, as `axis=value`, and its replicas; without a grid all of them."""
    axes = varying(table)
    best = best_replicas(table, axes) if axes else table
    return point_text(axes, best[axes].iloc[0]), best


def without_sections(point: str) -> str:
    """The last part of each key of a point: alpha=0.5 of model.alpha=0.5."""
    return re.sub(KEY_ABOVE, "", point)


def grid_map(table: pd.DataFrame, number: str) -> pd.DataFrame | None:
    """A number of the summaries over a grid with exactly two axes (index, columns); NaN where there is none.

    None for any other grid, also where two keys of one section vary together.
    """
    axes = varying(table)
    if len(axes) != 2 or len(grid_points(table)) < math.prod(table[x].nunique(dropna=False) for x in axes):
        return None
    found = {point: summary(part)[number] for point, part in table.groupby(axes)}
    return pd.Series(found, dtype=float).rename_axis(axes).unstack()


def varying(table: pd.DataFrame) -> list[str]:
    """The hyperparameters in which the replicas of an experiment differ."""
    return [c for c in hyperparameters(table) if table[c].nunique(dropna=False) > 1]


def hyperparameters(table: pd.DataFrame) -> list[str]:
    """Columns that hold a replica's configuration, seeds excluded."""
    return [c for c in table.columns if "." in c or c in PLAIN_KEYS]


def _seconds(table: pd.DataFrame) -> float | None:
    return median(table["seconds"].to_numpy(float), table["observed"].to_numpy(bool))


def by_published_criterion(runs: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
    """When the replicas of each experiment first had the accuracy that a published number is of."""
    answered = [published for published in PUBLISHED if published.experiment in runs]
    return {p.experiment: _first_at(runs[p.experiment], p.threshold) for p in answered}


def _first_at(run: Run, threshold: float) -> dict[str, Any]:
    parts = {point: Run(part, run.history, run.facts) for point, part in grid_points(run.replicas).items()}
    return _whole_or_grid({point: first_at(part, threshold).numbers() for point, part in parts.items()})


def comparison(results: dict[str, Any]) -> pd.DataFrame:
    """The results table, a row per published number that an experiment answers, at each point of its grid."""
    first = results["by_published_criterion"]
    return pd.DataFrame(
        [row for p in PUBLISHED if p.experiment in first for row in _rows(p, results)], columns=COLUMNS
    )


def _rows(published: Published, results: dict[str, Any]) -> list[dict[str, str]]:
    first, ours = (
        points(results[part][published.experiment]) for part in ("by_published_criterion", "experiments")
    )
    return [_row(published, point, ours[point], first[point]) for point in ours]


COLUMNS = (
    "system", "published", "source", "ours at that accuracy", "ours, sustained", "memorized at", "ratio",
    "times faster", "experiment",
)  # fmt: skip


def _row(
    published: Published, point: str, ours: Mapping[str, Any], first: Mapping[str, Any]
) -> dict[str, str]:
    ratio, lowest = ours["median_ratio"], ours["lowest_ratio"]
    return {
        "system": "; ".join([f"{published.system}: {published.setting}", *([point] if point else [])]),
        "published": published.with_threshold,
        "source": published.source,
        "ours at that accuracy": Crossings.text_of(first),
        "ours, sustained": in_steps(ours["median_step"]) + diverged_text(ours),
        "memorized at": in_steps(ours["median_memorization_step"]),
        "ratio": "—" if ratio is None else f"{ratio:.1f} (≥ {lowest:.1f})",
        "times faster": times_faster(published.qualifier, published.step, first["median"]),
        "experiment": published.experiment,
    }


def generalized_text(found: Mapping[str, Any]) -> str:
    """How many replicas of a summary generalized, and how many were lost."""
    return f"{found['generalized']} of {found['n']}{diverged_text(found)}"


def diverged(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """How many of how many replicas diverged, of the experiments in which any did."""
    lost = {name: table["diverged"].sum() for name, table in tables.items()}
    return {name: f"{count} of {len(tables[name])}" for name, count in lost.items() if count}


def diverged_text(found: Mapping[str, Any]) -> str:
    return f", {found['diverged']} diverged" if found["diverged"] else ""


def median_and_range(ours: Mapping[str, Any]) -> str:
    """The median step of a summary with the first and last; > the budget where there is no median.

    The last is infinite where a replica did not generalize.
    """
    if ours["median_step"] is None:
        return f"> {in_steps(ours['budget'])}"
    if ours["n"] == 1:
        return in_steps(ours["median_step"])
    last = in_steps(ours["last_step"]) if ours["generalized"] == ours["n"] else "∞"
    return f"{in_steps(ours['median_step'])} ({in_steps(ours['first_step'])}–{last})"


def ratio_text(ratio: float | None, digits: int = 1) -> str:
    return "—" if ratio is None else f"{ratio:.{digits}f}"


def in_steps(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}"
