"""Performance profiles of the benchmark: who is near the fastest, and on how many workloads."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, PercentFormatter

from grokking.figures.style import OTHERS, TRAIN, VALIDATION, save

COLOURS = (VALIDATION, TRAIN, OTHERS[0], OTHERS[1], OTHERS[3])  # of the best; all others are thin and grey


def performance(share_by_name: Mapping[str, np.ndarray], factor_T: np.ndarray, file: Path) -> None:
    """Shares of workloads (T,) on which each submission is within each factor of the fastest, best first."""
    figure, axes = plt.subplots(figsize=(8, 4))
    for number, (name, share_T) in enumerate(share_by_name.items()):
        named = number < len(COLOURS)
        style = {"color": COLOURS[number], "label": name} if named else {"color": "lightgrey", "lw": 0.8}
        axes.step(factor_T, share_T, where="post", zorder=2 if named else 1, **style)
    axes.set(xlim=(factor_T[0], factor_T[-1]), ylim=(0, 1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlabel="steps to generalization, as a multiple of the fastest", ylabel="share of workloads")
    axes.set_title("Grey: all other submissions", fontsize=10)
    figure.legend(loc="outside right upper")
    save(figure, file)
