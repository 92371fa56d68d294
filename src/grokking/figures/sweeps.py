"""What became of the networks of a sweep: maps of phases, and time-to-grok over one key."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator
from pandas.api.types import is_numeric_dtype

from grokking.analysis.phases import PHASES
from grokking.analysis.results import short, value_text
from grokking.figures.style import TRAIN, VALIDATION, log_axis, save

COLOURS = dict(zip(PHASES, ("#2a9d5c", "#f2c14e", "#4c72b0", "#b8b8b8", "#b5483c"), strict=True))


def phase_map(cells: pd.DataFrame, axes: list[str], title: str, file: Path) -> None:
    """A panel per value of the first of three axes, a square per cell, coloured by its phase.

    The number in a square is the median step of generalization. `cells` as of `analysis.sweeps`.
    """
    *outer, down, across = axes
    panels: list[tuple[Any, pd.DataFrame]] = list(cells.groupby(outer[0])) if outer else [("", cells)]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    size = (1.2 + 2.9 * columns, 1.3 + 2.5 * rows)
    figure, plots = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    for plot, (value, own) in zip(plots.flat, panels, strict=False):
        _panel(plot, own, down, across)
        plot.set_title(f"{short(outer[0])} {value_text(value)}" if outer else "", fontsize=9)
    for plot in plots.flat[len(panels) :]:
        plot.set_visible(False)
    for plot in plots[-1]:
        plot.set_xlabel(short(across))
    figure.supylabel(short(down), fontsize=9)
    present = [Patch(color=COLOURS[name], label=name) for name in PHASES if name in set(cells["phase"])]
    figure.legend(handles=present, loc="outside lower center", ncols=min(len(present), 3))
    figure.suptitle(title, fontsize=10)
    save(figure, file)


def _panel(plot: Any, cells: pd.DataFrame, down: str, across: str) -> None:
    found = cells.pivot(index=down, columns=across, values="phase").sort_index(ascending=False)
    steps = cells.pivot(index=down, columns=across, values="median_step").sort_index(ascending=False)
    numbers = found.map(list(PHASES).index).to_numpy()
    plot.imshow(numbers, cmap=ListedColormap(list(COLOURS.values())), vmin=-0.5, vmax=4.5, aspect="auto")
    for (line, column), step in np.ndenumerate(steps.to_numpy(float)):
        if step == step:
            plot.text(column, line, f"{step:,.0f}", ha="center", va="center", fontsize=6.5)
    plot.set_xticks(range(found.shape[1]), [value_text(each) for each in found.columns], fontsize=7)
    plot.set_yticks(range(found.shape[0]), [value_text(each) for each in found.index], fontsize=7)
    plot.grid(False)


def over_axis(networks: pd.DataFrame, axes: list[str], title: str, file: Path) -> None:
    """Time-to-grok of every network over the first axis, a colour per value of the second."""
    across, *inner = axes
    figure, plot = plt.subplots(figsize=(6.5, 4))
    groups: list[tuple[Any, pd.DataFrame]] = list(networks.groupby(inner[0])) if inner else [("", networks)]
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(groups))) if inner else [VALIDATION]
    words = [] if is_numeric_dtype(networks[across]) else sorted(networks[across].unique())
    for number, ((value, own), colour) in enumerate(zip(groups, colours, strict=True)):
        observed, x = own["observed"].to_numpy(bool), own[across]
        aside = number - (len(groups) - 1) / 2  # groups that end at one step must not hide each other
        x = x.map(words.index) + 0.06 * aside if words else x * (1 + 0.01 * aside)
        label = f"{short(inner[0])} {value}" if inner else "generalized"
        steps, style = own["generalization_step"], {"color": colour, "alpha": 0.6, "ms": 4, "label": label}
        plot.plot(x[observed], steps[observed], "o", **style)
        edge = colour if inner else TRAIN
        plot.plot(x[~observed], own["budget"][~observed], "^", color=edge, mfc="none", ms=5)
    if words:
        plot.set_xticks(range(len(words)), words)
    step_ticks(plot)
    plot.set(xlabel=short(across), ylabel="steps to 99 % validation accuracy")
    plot.set_title(f"{title}; hollow: not by then", fontsize=10)
    plot.legend(fontsize=8)
    save(figure, file)


def step_ticks(plot: Axes) -> None:
    """A logarithmic axis of steps over a few powers of ten: 100, 200, 500, 1,000."""
    log_axis(plot)
    plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def fraction_laws(
    tables: dict[str, pd.DataFrame], curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], file: Path
) -> None:
    """A panel per sweep: every network over its train fraction, and the curve of each law."""
    key = "task.split.train_fraction"
    figure, plots = plt.subplots(1, len(tables), figsize=(4 * len(tables), 3.6), squeeze=False)
    for plot, (name, table) in zip(plots.flat, tables.items(), strict=True):
        observed = table["observed"].to_numpy(bool)
        spread = 1 + 0.004 * (table["replica"].to_numpy() % 5 - 2)
        x = table[key].to_numpy(float) * spread
        steps, budget = table["generalization_step"].to_numpy(float), table["budget"].to_numpy(float)
        plot.plot(x[observed], steps[observed], "o", color=VALIDATION, alpha=0.5, ms=3, label="generalized")
        plot.plot(x[~observed], budget[~observed], "^", color=TRAIN, mfc="none", ms=4, label="not by then")
        for (law, (f, t)), style in zip(curves[name].items(), ("--", "-"), strict=True):
            plot.plot(f, t, style, color="black", lw=1, label=f"{law} power law")
        step_ticks(plot)
        plot.set_ylim(0.7 * np.nanmin(steps), 1.5 * budget.max())
        plot.set(xlabel="train fraction", ylabel="steps to 99 % validation accuracy")
        plot.set_title(name, fontsize=10)
    plots.flat[0].legend(fontsize=7)
    save(figure, file)
