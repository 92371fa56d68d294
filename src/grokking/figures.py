"""Every figure of the reports; the only module that imports matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, NullLocator

TRAIN, VALIDATION = "#4c72b0", "#dd5b3c"
# of the figure that is drawn for every replica: finding them anew each time would take as long as drawing
MARGINS = {"left": 0.12, "right": 0.98, "bottom": 0.09, "top": 0.91, "hspace": 0.08}
# plain numbers and no minor ticks on logarithmic axes: powers of ten set as formulas took half the time
NUMBERS = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
METADATA = {"Software": None}  # no library version in the PNG: equal data, equal file

plt.rcParams.update({
    "figure.dpi": 110, "savefig.dpi": 110, "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False,
})  # fmt: skip


def curves(history: pd.DataFrame, replicas: pd.DataFrame, title: str, file: Path) -> None:
    """Accuracy and loss of every replica over the step, with both events marked."""
    figure, (accuracy, loss) = plt.subplots(2, 1, figsize=(7, 5.5), sharex=True, gridspec_kw=MARGINS)
    _draw_metric(accuracy, history, "accuracy")
    _draw_metric(loss, history, "loss")
    loss.set_yscale("log")
    loss.yaxis.set(major_formatter=NUMBERS, minor_locator=NullLocator())
    for axes in (accuracy, loss):
        _mark_events(axes, replicas)
    accuracy.legend(loc="center left")
    accuracy.set_title(f"{title}\n{_replica_count(replicas)}; dashed: median event", fontsize=10)
    loss.set_xlabel("optimizer steps")
    _save(figure, file)


def system_panels(experiments: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]], file: Path) -> None:
    """Accuracy curves of one experiment per panel, side by side: title, history, replicas."""
    figure, panels = plt.subplots(
        1,
        len(experiments),
        figsize=(2.6 * len(experiments), 2.7),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for axes, (title, history, replicas) in zip(panels[0], experiments, strict=True):
        _draw_metric(axes, history, "accuracy")
        _mark_events(axes, replicas)
        axes.set_title(f"{title}\n{_replica_count(replicas)}", fontsize=8)
        axes.set_xlabel("optimizer steps")
    panels[0][0].legend(loc="upper left", fontsize=7)
    _save(figure, file)


def train_fraction(points: pd.DataFrame, published: pd.DataFrame, file: Path) -> None:
    """Time to generalisation against the training fraction, ours and the published one."""
    figure, axes = plt.subplots(figsize=(5.5, 4), layout="constrained")
    axes.plot(
        published["train_fraction"], published["step"], "s--", color="grey", label="published, 1 seed each"
    )
    done = points[points["observed"]]
    axes.plot(
        done["train_fraction"], done["step"], "o", color=VALIDATION, alpha=0.7, label="this study, per seed"
    )
    censored = points[~points["observed"]]
    if len(censored):
        axes.plot(
            censored["train_fraction"], censored["step"], "^", color=TRAIN, label="not within the budget"
        )
    axes.set(yscale="log", xlabel="training fraction", ylabel="steps to 99 % validation accuracy")
    axes.set_title("System 4: shared embedding MLP, a+b mod 97", fontsize=10)
    axes.legend()
    _save(figure, file)


def strips(points: dict[str, tuple[np.ndarray, np.ndarray]], title: str, file: Path) -> None:
    """Steps of every replica, a line per name: times, and whether the event was observed."""
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(points) + 1.2), layout="constrained")
    for line, (times, observed) in enumerate(points.values()):
        axes.plot(times[observed], np.full(observed.sum(), line), "o", color=VALIDATION, alpha=0.6, ms=5)
        axes.plot(times[~observed], np.full((~observed).sum(), line), ">", color=TRAIN, alpha=0.6, ms=6)
        axes.plot(np.median(times), line, "|", color="black", ms=14)
    axes.set_yticks(range(len(points)), points)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="steps to 99 % validation accuracy (bar: median; triangle: not by then)")
    axes.set_title(title, fontsize=10)
    _save(figure, file)


def grid(table: pd.DataFrame, budget: int, title: str, file: Path) -> None:
    """Time to generalisation over a grid of two hyperparameters; empty cells did not generalise.

    `table` has one hyperparameter as index, the other as columns, and median steps or NaN as values.
    """
    figure, axes = plt.subplots(
        figsize=(1.1 * table.shape[1] + 2.2, 0.7 * table.shape[0] + 1.6), layout="constrained"
    )
    axes.imshow(table.to_numpy(float), cmap="Blues", norm=LogNorm(budget / 10, 10 * budget), aspect="auto")
    axes.set_xticks(range(table.shape[1]), [f"{value:g}" for value in table.columns])
    axes.set_yticks(range(table.shape[0]), [f"{value:g}" for value in table.index])
    axes.set(xlabel=str(table.columns.name), ylabel=str(table.index.name))
    axes.grid(False)
    for (row, column), value in _cells(table):
        text = f"{value:,.0f}" if value == value else f"> {budget:,}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8)
    axes.set_title(f"{title}: median steps to generalise", fontsize=10)
    _save(figure, file)


def _cells(table: pd.DataFrame) -> Sequence[tuple[tuple[int, ...], float]]:
    return [(index, float(value)) for index, value in np.ndenumerate(table.to_numpy(float))]


def _draw_metric(axes: Axes, history: pd.DataFrame, metric: str) -> None:
    for _, replica in history.groupby("replica"):
        for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
            axes.plot(replica["step"], replica[f"{part}_{metric}"], color=colour, alpha=0.7, lw=1.1)
    _label_once(axes)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set(major_formatter=NUMBERS, minor_locator=NullLocator())
    axes.set_ylabel(metric)


def _label_once(axes: Axes) -> None:
    for line, label in zip(axes.lines[:2], ("train", "validation"), strict=True):
        line.set_label(label)


def _mark_events(axes: Axes, replicas: pd.DataFrame) -> None:
    for column, colour in (("memorization_step", TRAIN), ("generalization_step", VALIDATION)):
        median = replicas[column].astype(float).median()
        if median == median:
            axes.axvline(median, color=colour, ls="--", lw=1)


def _replica_count(replicas: pd.DataFrame) -> str:
    return f"{int(replicas['observed'].sum())} of {len(replicas)} replicas generalised"


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata=METADATA)
    plt.close(figure)
