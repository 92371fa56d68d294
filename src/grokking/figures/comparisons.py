"""Times to generalization against each other: over training fractions, methods, grids."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

from grokking.analysis.results import value_text
from grokking.figures.style import TRAIN, VALIDATION, save

XY = ["train_fraction", "step"]


def train_fraction(numbers: pd.DataFrame, file: Path) -> None:
    """First crossings against the training fraction; columns as of `verdicts.over_train_fraction`."""
    figure, axes = plt.subplots(figsize=(6.5, 4))
    styles = zip(numbers.groupby("what", sort=False), ("grey", VALIDATION, TRAIN), "sov", strict=False)
    for (what, rows), colour, marker in styles:
        crossed = rows[rows["crossed"]]
        axes.plot(*crossed[XY].to_numpy(float).T, marker, color=colour, alpha=0.7, label=what)
        axes.plot(*rows.loc[~rows["crossed"], XY].to_numpy(float).T, "^", color=colour, mfc="none")
    axes.set(yscale="log", xlabel="training fraction", ylabel="steps to 99 % validation accuracy")
    axes.set_title("System 4; hollow triangles: not by then", fontsize=10)
    axes.legend()
    save(figure, file)


def strips(points: dict[str, tuple[np.ndarray, np.ndarray]], title: str, file: Path) -> None:
    """Steps of every replica, a line per name: times, and whether the event was observed."""
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(points) + 1.2))
    for line, (times, observed) in enumerate(points.values()):
        axes.plot(times[observed], np.full(observed.sum(), line), "o", color=VALIDATION, alpha=0.6, ms=5)
        axes.plot(times[~observed], np.full((~observed).sum(), line), ">", color=TRAIN, alpha=0.6, ms=6)
        axes.plot(np.median(times), line, "|", color="black", ms=14)
    axes.set_yticks(range(len(points)), points)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="steps to 99 % validation accuracy (bar: median; triangle: not by then)")
    axes.set_title(title, fontsize=10)
    save(figure, file)


def grid(medians: pd.DataFrame, budgets: pd.DataFrame, title: str, file: Path) -> None:
    """Time to generalization over a grid of two hyperparameters; empty cells did not generalize.

    Both tables have one hyperparameter as index, the other as columns; a median is NaN where there is none.
    """
    lines, columns = medians.shape
    figure, axes = plt.subplots(figsize=(1.1 * columns + 2.2, 0.7 * lines + 1.6))
    budget = budgets.to_numpy().max()
    axes.imshow(medians.to_numpy(float), cmap="Blues", norm=LogNorm(budget / 10, 10 * budget), aspect="auto")
    axes.set_xticks(range(columns), map(value_text, medians.columns.tolist()))
    axes.set_yticks(range(lines), map(value_text, medians.index.tolist()))
    axes.set(xlabel=str(medians.columns.name), ylabel=str(medians.index.name))
    axes.grid(False)
    for (row, column), value in np.ndenumerate(medians.to_numpy(float)):
        text = f"{value:,.0f}" if value == value else f"> {budgets.to_numpy()[row, column]:,.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8)
    axes.set_title(f"{title}: median steps to generalize", fontsize=10)
    save(figure, file)
