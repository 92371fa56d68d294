"""A hyperparameter study: its trials in order, over each hyperparameter, and what was confirmed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from grokking.analysis.pareto import SECONDS, STEPS, front
from grokking.analysis.search_axes import Axis, shown
from grokking.analysis.survival import median, reached
from grokking.figures.style import OTHERS, TRAIN, VALIDATION, save

COLOURS = {"search": VALIDATION, "random": TRAIN}
ARMS = {"winner": VALIDATION, "runner_up": OTHERS[0], "random_best": TRAIN, "published": OTHERS[2]}
MARKERS = {"all its seeds generalized": "o", "not all by the budget": "^", "stopped by a rule": "x"}
COLUMNS = 4  # panels in a row
MANY = 8  # axes beside each other, from which on their names are set smaller
TOP = 0.2  # of the trials: those drawn in colour in parallel coordinates
LONG, BREAK = 26, 8  # letters from which a title is set smaller, a choice in several lines
ENGINEERING = EngFormatter(sep="")
COSTS = FuncFormatter(lambda value, _: f"{value:,.4g}" if value < 1e4 else ENGINEERING.format_eng(value))

Times = Mapping[str, tuple[np.ndarray, np.ndarray]]  # arm -> cost of each replica, and whether it generalized


def trial_history(trials: pd.DataFrame, unit: str, budget: float | None, file: Path) -> None:
    """The value of every trial in order, and the best so far over the compute spent.

    `budget` is drawn as a line: values above it are graded by how far a trial still was.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for arm, own in trials.groupby("arm", sort=False):
        _scatter(left, own["trial"], own, COLOURS[str(arm)])
        compute, best = own["flops"].cumsum() / 1e12, _best_so_far(own)
        left.plot(own["trial"], best, color=COLOURS[str(arm)], drawstyle="steps-post", lw=1.2)
        right.plot(compute, best, color=COLOURS[str(arm)], drawstyle="steps-post", lw=1.6)
    _costs(left, unit)
    for panel in (left, right):
        if budget is not None:
            panel.axhline(budget, color="black", lw=0.8, ls=":")
            panel.annotate("budget", (1, budget), (-2, 3), xycoords=("axes fraction", "data"),
                           textcoords="offset points", fontsize=7, ha="right")  # fmt: skip
    left.set(xlabel="trial (line: best so far)")
    right.set(xlabel="compute of all trials so far, TFLOP")
    _legend(figure, trials)
    save(figure, file)


def slices(trials: pd.DataFrame, axes: Sequence[Axis], unit: str, file: Path) -> None:
    """The value of every trial over each hyperparameter; hyperparameters of branches where they were used."""
    rows = math.ceil(len(axes) / COLUMNS)
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(11, 2.4 * rows + 0.5), sharey=True, squeeze=False)
    for panel, axis in zip(panels.flat, axes, strict=False):
        _slice(panel, trials, axis)
    for panel in panels.flat[len(axes) :]:
        panel.set_visible(False)
    for panel in panels[:, 0]:
        _costs(panel, unit)
    _legend(figure, trials)
    save(figure, file)


def _slice(panel: Axes, trials: pd.DataFrame, axis: Axis) -> None:
    for arm, own in trials[trials[axis.column].notna()].groupby("arm", sort=False):
        _scatter(panel, _places(own, axis), own, COLOURS[str(arm)])
    panel.set_title(axis.name, fontsize=9 if len(axis.name) < LONG else 7.5)
    margin = 0.2 if axis.choices else 0.06
    panel.set_xlim(-margin, 1 + margin)
    panel.set_xticks(*_ticks(axis), fontsize=8)


def _places(trials: pd.DataFrame, axis: Axis) -> list[float]:
    """Places on an axis; trials of the same choice are spread a little, to be distinguishable."""
    places = [axis.place(value) for value in trials[axis.column]]
    spread = 0.4 / max(len(axis.choices), 2) if axis.choices else 0.0
    return [place + spread * ((0.618 * k) % 1 - 0.5) for k, place in enumerate(places)]


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Choices, or both ends and the middle of a range."""
    if axis.choices:
        return [axis.place(choice) for choice in axis.choices], [_short(choice) for choice in axis.choices]
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    digits = 2 if axis.log else 3
    return [0, 0.5, 1], [f"{value:.{digits}g}" for value in (axis.low, middle, axis.high)]


def _short(choice: object) -> str:
    """A choice on an axis, its words below each other."""
    text = shown(choice).replace("without_replacement, size: ", "batch ")
    return text if len(text) < BREAK else text.replace("_", "\n")


def parallel(trials: pd.DataFrame, axes: Sequence[Axis], unit: str, file: Path) -> None:
    """Every trial as a line over all hyperparameters, broken at branches not taken; the best in colour."""
    ranked = trials.sort_values(["value", "arm", "trial"])
    top = ranked.head(max(math.ceil(TOP * len(ranked)), 5))
    figure, panel = plt.subplots(figsize=(max(7, 0.95 * len(axes) + 1), 4.2))
    costs = 10 ** top["value"]
    norm = LogNorm(costs.min(), max(costs.max(), 1.001 * costs.min()))
    for _, row in ranked.iloc[len(top) :].iterrows():
        panel.plot(_line(row, axes), color="#d5d5d5", lw=0.6, zorder=1)
    for (_, row), cost in reversed(list(zip(top.iterrows(), costs, strict=True))):
        colour = plt.get_cmap("viridis")(norm(cost))
        panel.plot(_line(row, axes), color=colour, lw=1.6, marker="o", ms=3, zorder=2)
    _parallel_axes(panel, axes)
    bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=panel, pad=0.02)
    bar.ax.yaxis.set(major_formatter=COSTS, minor_formatter=COSTS)
    bar.set_label(f"{unit} (best {len(top)} trials; grey: the others)")
    save(figure, file)


def _line(trial: pd.Series, axes: Sequence[Axis]) -> list[float]:
    return [math.nan if pd.isna(trial[a.column]) else a.place(trial[a.column]) for a in axes]


def _parallel_axes(panel: Axes, axes: Sequence[Axis]) -> None:
    """An upright line for each hyperparameter, with its ends or choices written beside it."""
    for x, axis in enumerate(axes):
        panel.axvline(x, color="black", lw=0.8, zorder=0)
        for place, label in zip(*_ticks(axis), strict=True):
            panel.annotate(
                label, (x, place), (3, 0), textcoords="offset points", fontsize=7, va="center",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75}, zorder=3,
            )  # fmt: skip
    names = [axis.name.replace(".", ".\n") for axis in axes]
    panel.set_xticks(range(len(axes)), names, fontsize=8 if len(axes) <= MANY else 7)
    panel.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.1, len(axes) - 0.55))
    panel.grid(False)
    panel.spines[["left", "bottom"]].set_visible(False)


def importances(shares: pd.DataFrame, file: Path) -> None:
    """Two bars for each hyperparameter; none where a method does not judge it."""
    figure, panel = plt.subplots(figsize=(7, 0.34 * len(shares) + 1.2))
    lines = np.arange(len(shares))
    panel.barh(lines - 0.19, shares["ped_anova"], 0.36, color=VALIDATION, label="PED-ANOVA: the best trials")
    panel.barh(lines + 0.19, shares["fanova"], 0.36, color=TRAIN, label="fANOVA: all variance")
    for line in lines[shares["fanova"].isna()]:
        panel.text(0.004, line + 0.19, "not judged", va="center", fontsize=7, color="grey")
    panel.set_yticks(lines, shares.index)
    panel.invert_yaxis()
    panel.grid(axis="y", visible=False)
    panel.set_xlabel("share of importance")
    panel.legend(loc="lower right")
    save(figure, file)


def pareto(points: pd.DataFrame, file: Path) -> None:
    """Steps against seconds of the trials that generalized, and the line of those that none beats in both."""
    figure, panel = plt.subplots(figsize=(6, 4.2))
    best = front(points)
    panel.scatter(points[SECONDS], points[STEPS], s=22, color="#bbbbbb", label="trials with all their seeds")
    panel.plot(best[SECONDS], best[STEPS], "o-", color=VALIDATION, lw=1.4, ms=6, label="not beaten in both")
    for _, row in best.iterrows():
        panel.annotate(f"{row['trial']}", (row[SECONDS], row[STEPS]), (4, 4), textcoords="offset points")
    _costs(panel, "steps to generalization")
    panel.set_xscale("log")
    panel.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=COSTS)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("seconds to generalization, of updates on one core")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    save(figure, file)


def survival(arms: Times, unit: str, file: Path) -> None:
    """Kaplan-Meier share of each arm's replicas that generalized by a cost; ticks mark those that did not."""
    figure, panel = plt.subplots(figsize=(6.5, 4.6))
    for arm, (times, observed) in arms.items():
        x, y = reached(times, observed)
        label = f"{arm.replace('_', ' ')}: {_middle(times, observed)}, {observed.sum()} of {len(times)}"
        panel.plot(x, y, drawstyle="steps-post", color=ARMS[arm], lw=1.8, label=label)
        censored = times[~observed]
        at_censoring = np.full(len(censored), y[-1])
        panel.plot(censored, at_censoring, "|", color=ARMS[arm], ms=9)
    everything = np.concatenate([times for times, _ in arms.values()])
    if everything.max() > 4 * everything.min():
        panel.set_xscale("log")
        panel.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator())
    panel.xaxis.set_major_formatter(COSTS)
    panel.set(xlim=(0.9 * everything.min(), 1.05 * everything.max()), ylim=(-0.03, 1.03))
    panel.set(xlabel=f"{unit} to 99 % validation accuracy", ylabel="share of replicas that generalized")
    figure.legend(title="median, how many generalized", loc="outside lower center", ncols=2, fontsize=8)
    save(figure, file)


def _middle(times: np.ndarray, observed: np.ndarray) -> str:
    middle = median(times, observed)
    return "not reached" if middle is None else f"{middle:,.4g}"


def _scatter(panel: Axes, x: Sequence[float] | pd.Series, trials: pd.DataFrame, colour: str) -> None:
    ends = _ends(trials)
    for end, marker in MARKERS.items():
        which = (ends == end).to_numpy()
        costs = 10 ** trials["value"][which]
        panel.scatter(np.asarray(x)[which], costs, s=22, c=colour, marker=marker, alpha=0.7, linewidths=1.2)


def _ends(trials: pd.DataFrame) -> pd.Series:
    """How each trial ended: the name of its marker."""
    generalized, budget, stopped = MARKERS
    complete = np.where(trials["generalized"] == trials["seeds"], generalized, budget)
    return pd.Series(np.where(trials["state"] == "PRUNED", stopped, complete), index=trials.index)


def _best_so_far(trials: pd.DataFrame) -> pd.Series:
    """The least cost of a trial all of whose seeds generalized; NaN before the first."""
    return (10 ** trials["value"]).where(trials["confirmable"]).cummin().ffill()


def _costs(panel: Axes, unit: str) -> None:
    panel.set_yscale("log")
    panel.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=COSTS)
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_ylabel(unit)


def _legend(figure: Figure, trials: pd.DataFrame) -> None:
    """Colours of the searches and marks of how trials ended, below everything."""
    arms = [_mark("s", COLOURS[arm], arm) for arm in trials["arm"].unique()]
    ends = [_mark(marker, "black", end) for end, marker in MARKERS.items()]
    figure.legend(handles=[*arms, *ends], loc="outside lower center", ncols=5, fontsize=8)


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], ls="", marker=marker, color=colour, label=label, ms=5)
