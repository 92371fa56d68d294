"""Accuracy and loss over the steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from grokking.analysis import verdicts
from grokking.analysis.published import PUBLISHED, Published
from grokking.figures.style import NUMBERS, TRAIN, VALIDATION, counts, log_axis, mark_events, save, step_axis
from grokking.storage.runs import Run

# of the figure that is drawn for every replica: finding them again each time would take as long as drawing
MARGINS = {"left": 0.12, "right": 0.98, "bottom": 0.09, "top": 0.91, "hspace": 0.08}


def curves(history: pd.DataFrame, replicas: pd.DataFrame, title: str, file: Path) -> None:
    """Accuracy and loss of every replica over the step, with both events marked."""
    figure, (accuracy, loss) = plt.subplots(
        2, 1, figsize=(7, 5.5), sharex=True, layout="none", gridspec_kw=MARGINS
    )
    _draw_metric(accuracy, history, "accuracy")
    _draw_metric(loss, history, "loss")
    log_axis(loss)
    for axes in (accuracy, loss):
        mark_events(axes, replicas)
    accuracy.legend(loc="center left")
    accuracy.set_title(f"{title}\n{counts(replicas)}; dashed: median event", fontsize=10)
    loss.set_xlabel("optimizer steps")
    save(figure, file)


def gap(history: pd.DataFrame, replicas: pd.DataFrame, number: Published, file: Path) -> None:
    """Accuracy curves of one experiment, the steps between both events shaded, and the published step."""
    figure, axes = plt.subplots(figsize=(8, 3.6))
    _draw_metric(axes, history, "accuracy")
    events = replicas[["memorization_step", "generalization_step"]].astype(float).median()
    if events.notna().all():
        axes.axvspan(*events, color=VALIDATION, alpha=0.08, lw=0)
        for (name, step), word in zip(events.items(), ("memorized", "generalized"), strict=True):
            axes.axvline(step, color=TRAIN if name == "memorization_step" else VALIDATION, ls="--", lw=1)
            axes.annotate(
                f"{word}\nstep {step:,.0f}", (step, 0.5), (6, 0), textcoords="offset points", va="center"
            )
    axes.plot(number.step, number.threshold, "*", color="black", ms=12, zorder=3)
    axes.annotate(
        f"published\nstep {number.step:,}", (number.step, number.threshold), (0, -8),
        textcoords="offset points", ha="center", va="top",
    )  # fmt: skip
    axes.set_xlim(1, 2 * number.step)
    axes.set_xscale("log")
    axes.xaxis.set(major_formatter=NUMBERS, minor_locator=NullLocator())
    axes.set_xlabel("optimizer steps")
    axes.legend(loc="center left")
    axes.set_title(f"System {number.title.replace(chr(10), ', ')}: {len(replicas)} replicas", fontsize=10)
    save(figure, file)


def system_panels(experiments: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]], file: Path) -> None:
    """Accuracy curves of one experiment per panel, side by side: title, history, replicas."""
    size = (2.6 * len(experiments), 2.7)
    figure, panels = plt.subplots(1, len(experiments), figsize=size, sharey=True, squeeze=False)
    for axes, (title, history, replicas) in zip(panels[0], experiments, strict=True):
        _draw_metric(axes, history, "accuracy")
        mark_events(axes, replicas)
        axes.set_title(f"{title}\n{counts(replicas)}", fontsize=8)
        axes.set_xlabel("optimizer steps")
    panels[0][0].legend(loc="upper left", fontsize=7)
    save(figure, file)


def _draw_metric(axes: Axes, history: pd.DataFrame, metric: str) -> None:
    for _, replica in history.groupby("replica"):
        for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
            axes.plot(replica["step"], replica[f"{part}_{metric}"], color=colour, alpha=0.7, lw=1.1)
    for line, label in zip(axes.lines[:2], ("train", "validation"), strict=True):
        line.set_label(label)  # once for all replicas
    step_axis(axes)
    axes.set_ylabel(metric)


def published(presets: Mapping[str, Run], file: Path) -> None:
    """Validation accuracy of every published recipe that was run here, with the published steps marked."""
    shown = [p for p in PUBLISHED if p.preset in presets]
    columns = min(4, max(1, len(shown)))
    lines = -(-len(shown) // columns) or 1
    figure, panels = plt.subplots(
        lines, columns, figsize=(3 * columns, 2.5 * lines), squeeze=False, sharey=True
    )
    for axes, number in zip(panels.flat, shown, strict=False):
        repeated = verdicts.repeated(number, presets)
        if repeated is not None:
            _draw_metric(axes, repeated.history, "accuracy")
        measured = number.qualifier == ""
        axes.plot(number.step, number.threshold, "*" if measured else ">", color="black", ms=9, zorder=3)
        axes.set_xscale("log")
        axes.xaxis.set(major_locator=LogLocator(numticks=5), major_formatter=EngFormatter(sep=""))
        axes.set(xlim=(1, None), xlabel="optimizer steps")
        axes.set_title(number.title, fontsize=8)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    save(figure, file)
