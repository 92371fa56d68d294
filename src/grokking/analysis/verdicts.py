"""Was a published number reproduced? The published recipe, run here, by its author's criterion."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import pandas as pd

from grokking.analysis import fraction_law
from grokking.analysis.crossings import Crossings, first_at, sustained, times_faster
from grokking.analysis.fraction_runs import Runs
from grokking.analysis.law_intervals import intervals
from grokking.analysis.published import PUBLISHED, Published
from grokking.analysis.results import in_steps, median_ratio, ratio_text, ratios, varying
from grokking.storage.runs import Run

OVER_TRAIN_FRACTION = 4  # the system that was published over training fractions
CLOSE = 1.25  # a median within this factor of a published step counts as reproduced


def judged(presets: Mapping[str, Run], experiments: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Every published number, its preset's crossings and those of our own recipe."""
    return [
        _judged(published, repeated(published, presets), of_one_recipe(experiments.get(published.experiment)))
        for published in PUBLISHED
    ]


def _judged(published: Published, run: Run | None, ours: Run | None) -> dict[str, Any]:
    found = first_at(run, published.threshold)
    return {
        "system": published.system,
        "setting": published.setting,
        "preset": published.preset,
        "experiment": published.experiment,
        "threshold": published.threshold,
        "published": published.with_threshold,
        "step": published.step,
        "qualifier": published.qualifier,
        "published_memorized": published.memorized,
        "source": published.source,
        "first_crossing": found.numbers(),
        "sustained": sustained(run).numbers(),
        "memorized": first_at(run, 0.99, "train_accuracy").numbers(),
        "ratio": None if run is None else median_ratio(ratios(run.replicas)),
        "verdict": verdict(published, found),
        "ours": first_at(ours, published.threshold).numbers(),
    }


def of_one_recipe(run: Run | None) -> Run | None:
    """The run; None for a grid, since the replicas of its points have no median in common."""
    return None if run is None or varying(run.replicas) else run


class Repeatable(Protocol):
    """A published number: the preset that repeats it, and the point of that preset's grid."""

    @property
    def preset(self) -> str: ...
    @property
    def point(self) -> Mapping[str, float]: ...


def repeated(published: Repeatable, presets: Mapping[str, Run]) -> Run | None:
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
    """Reproduced or not, and the median over the published step."""
    if not len(found.times):
        return "not run"
    step, longest = published.step, found.times.max()
    if found.median is None and longest < step:
        return f"not run to {step:,}"
    if published.qualifier == ">":
        return of_bound(step, found)
    if published.qualifier == "≥" and (found.median is None or found.median > step):
        return "reproduced"
    if found.median is None:
        return "not reproduced"
    factor = found.median / step
    if 1 / CLOSE <= factor <= CLOSE or found.times.min() <= step <= longest:
        return f"reproduced, at {factor:.2f} times the step"
    return f"{factor:.1f} times later" if factor > 1 else f"{1 / factor:.1f} times earlier"


def of_bound(step: int, found: Crossings) -> str:
    """Whether our median, too, had not crossed by this step, which all were followed to."""
    early = found.observed & (found.times <= step)
    by_then = f"{early.sum()} of {len(early)} by then"
    if found.median is not None and found.median <= step:
        return f"not reproduced: {by_then}"
    return f"reproduced, {by_then}" if early.any() else "reproduced"


def verdict_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A line per published number, as text."""
    return pd.DataFrame([_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "system": f"{row['system']}: {row['setting']}",
        "published": f"[{row['published']}]({row['source']})",
        "the same recipe here": Crossings.text_of(row["first_crossing"]),
        "verdict": row["verdict"],
        "our recipe": Crossings.text_of(row["ours"]),
        "times faster": times_faster(row["qualifier"], row["step"], row["ours"]["median"]),
    }


def short_table(rows: list[dict[str, Any]], systems: Collection[str]) -> pd.DataFrame:
    """A line per system, for the README; `systems` are the experiments that answer one each."""
    shown = [_line(row) for row in rows if row["experiment"] in systems]
    return pd.DataFrame(shown, columns=list(_line(rows[0]))).drop(columns="verdict")


def detail_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Of the recipes that were run: the sustained crossing, and memorization beside what was published."""
    return pd.DataFrame(
        [
            {
                "system": f"{row['system']}: {row['setting']}",
                "entry": f"`{row['preset']}`",
                "sustained at 99 %": Crossings.text_of(row["sustained"]),
                "memorized, published": in_steps(row["published_memorized"]),
                "memorized here": Crossings.text_of(row["memorized"]),
                "ratio": ratio_text(row["ratio"]),
            }
            for row in rows
            if row["first_crossing"]["n"]
        ]
    )


def without_number(presets: Mapping[str, Run]) -> pd.DataFrame:
    """The recipes that were run and of which no number was published."""
    named = {published.preset for published in PUBLISHED}
    return pd.DataFrame(
        [
            {
                "entry": f"`{name}`",
                "first at 99 %": Crossings.text_of(first_at(run, 0.99).numbers()),
                "sustained at 99 %": Crossings.text_of(sustained(run).numbers()),
                "memorized": Crossings.text_of(first_at(run, 0.99, "train_accuracy").numbers()),
            }
            for name, run in presets.items()
            if name not in named
        ]
    )


def over_train_fraction(presets: Mapping[str, Run], experiments: Mapping[str, Run]) -> pd.DataFrame:
    """First crossings of system 4: train_fraction, step, crossed, and what of three things it is of."""
    rows: list[tuple[float, float, bool, str]] = []
    for published in (p for p in PUBLISHED if p.system == OVER_TRAIN_FRACTION):
        fraction = float(published.setting.rpartition("=")[2])
        rows.append((fraction, published.step, published.qualifier == "", "published, a run each"))
        for what, run in (
            ("the same recipe here", presets.get(published.preset)),
            ("our recipe", experiments.get(published.experiment)),
        ):
            found = first_at(run, published.threshold)
            rows += [
                (fraction, float(time), bool(crossed), what)
                for time, crossed in zip(found.times, found.observed, strict=True)
            ]
    return pd.DataFrame(rows, columns=["train_fraction", "step", "crossed", "what"])


def power_law(points: pd.DataFrame) -> dict[str, Any] | None:
    """System 4's recipe as run here, by a power law and by a shifted one; of rows of `over_train_fraction`.

    Maximum likelihood with those that have not crossed as censored; None with fewer than three fractions. The
    published exponent is of the published runs at the same fractions, by the same rule.
    """
    own = points[points["what"] == "the same recipe here"]
    if own.loc[own["crossed"], "train_fraction"].nunique() < 3:
        return None
    runs, theirs = _runs(own), points[points["what"] == "published, a run each"]
    shared = theirs["train_fraction"].isin(own["train_fraction"])
    plain, shifted = fraction_law.power_law(runs), fraction_law.shifted_power_law(runs)
    return {
        "factor": plain.factor,
        "exponent": plain.exponent,
        "interval": intervals(runs, plain)["exponent"],
        "published_exponent": fraction_law.power_law(_runs(theirs[shared])).exponent,
        "shifted_exponent": shifted.exponent,
        "critical_fraction": shifted.critical,
        "critical_interval": intervals(runs, shifted)["critical"],
        "aic_of_plain_less_shifted": plain.aic - shifted.aic,
        "replicas": len(own),
        "fractions": sorted(own["train_fraction"].unique().tolist()),
        "censored": int((~own["crossed"]).sum()),
    }


def _runs(points: pd.DataFrame) -> Runs:
    return Runs(*(points[name].to_numpy() for name in ("train_fraction", "step", "crossed")))
