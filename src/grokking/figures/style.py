"""How every figure looks: colours, axes, files."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from grokking.analysis.results import diverged_text

TRAIN, VALIDATION = "#4c72b0", "#dd5b3c"
OTHERS = ("#2a9d5c", "#8a5fb5", "#8c8c8c", "#c79a00")
# plain numbers and no minor ticks on logarithmic axes: powers of ten set as formulas took half the time
NUMBERS = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
METADATA = {"Software": None}  # no library version in the PNG: equal data, equal file

plt.rcParams.update({
    "figure.dpi": 110, "savefig.dpi": 110, "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False,
    "figure.constrained_layout.use": True,
})  # fmt: skip


def step_axis(axes: Axes) -> None:
    """Optimizer steps, logarithmic with a place for 0."""
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set(major_formatter=NUMBERS, minor_locator=NullLocator())


def log_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set(major_formatter=NUMBERS, minor_locator=NullLocator())


def mark_events(axes: Axes, replicas: pd.DataFrame) -> None:
    """Dashed lines at the median memorization and generalization."""
    for column, colour in (("memorization_step", TRAIN), ("generalization_step", VALIDATION)):
        median = replicas[column].astype(float).median()
        if median == median:
            axes.axvline(median, color=colour, ls="--", lw=1)


def counts(replicas: pd.DataFrame) -> str:
    lost = diverged_text({"diverged": int(replicas["diverged"].sum())})
    return f"{int(replicas['observed'].sum())} of {len(replicas)} replicas generalized{lost}"


def save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata=METADATA)
    plt.close(figure)
