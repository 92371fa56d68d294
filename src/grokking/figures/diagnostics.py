"""What networks learn, over the steps: progress measures, structure, scale."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from grokking.figures.style import OTHERS, TRAIN, VALIDATION, counts, log_axis, mark_events, save, step_axis

FIRST_STEP = 10  # nothing happens before
SMALLEST_LOSS = 1e-3  # shown; below it a loss only says that training went on
LOSSES = {
    "loss/train": "train",
    "loss/validation": "validation",
    "restricted_loss/all": "restricted, all pairs",
    "excluded_loss/train": "excluded, train",
}
# panels of the figure: title, columns with their labels, whether each is divided by its first value
PANELS: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("loss", LOSSES, False),
    (
        "share of the logits' energy",
        {"r_sum": "a+b (R_sum)", "energy/a": "a", "energy/b": "b", "energy/a-b": "a-b",
         "energy/other": "other"},
        False,
    ),
    (
        "concentration and circles",
        {"neuron_ipr": "IPR per neuron", "neuron_gini": "Gini per neuron", "circularity": "circularity",
         "phase_rqi": "phase RQI"},
        False,
    ),
    (
        "last hidden layer",
        {"class_alignment": "class alignment", "uncentred_alignment": "uncentred",
         "hidden_rqi": "hidden RQI"},
        False,
    ),
    (
        "system 2's, over their first value",
        {"effective_rank": "effective rank", "participation_ratio": "participation ratio",
         "mean_free_ratio": "published SNR", "uncentred_alignment": "uncentred alignment"},
        True,
    ),
    (
        "scale, over its first value",
        {"logit_rms": "logit rms", "norm/total": "weight norm"},
        True,
    ),
)  # fmt: skip


def diagnostics(table: pd.DataFrame, replicas: pd.DataFrame, title: str, file: Path) -> None:
    """Diagnostics of every replica over the step, by kind, with both events marked."""
    figure, panels = plt.subplots(2, 3, figsize=(12, 6), sharex=True)
    for axes, (name, columns, relative) in zip(panels.flat, PANELS, strict=True):
        shown = {column: label for column, label in columns.items() if table[column].notna().any()}
        _draw(axes, table, shown, relative)
        mark_events(axes, replicas)
        axes.set_title(name, fontsize=9)
    for axes in panels[1]:
        axes.set_xlabel("optimizer steps")
    log_axis(panels[0, 0])
    panels[0, 0].set_ylim(bottom=SMALLEST_LOSS)
    for axes in panels[1, 1:]:
        log_axis(axes)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    figure.suptitle(f"{title}: {counts(replicas)}; dashed: median events", fontsize=10)
    save(figure, file)


def progress(table: pd.DataFrame, replicas: pd.DataFrame, title: str, file: Path) -> None:
    """Restricted and excluded loss beside train and validation loss, a panel per replica."""
    shown = replicas["replica"].tolist()
    size = (1 + 3.2 * len(shown), 3.2)
    figure, panels = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False)
    for axes, replica in zip(panels[0], shown, strict=True):
        own = replicas[replicas["replica"] == replica]
        _draw(axes, table[table["replica"] == replica], LOSSES, relative=False)
        mark_events(axes, own)
        axes.get_legend().set_visible(axes is panels[0][0])
        axes.set(xlabel="optimizer steps", xlim=(FIRST_STEP, None), ylim=(0, None))
        axes.set_title(f"replica {replica}, seed {own['seed'].iloc[0]}", fontsize=9)
    panels[0][0].set_ylabel("cross-entropy")
    figure.suptitle(f"{title}; key frequencies are the final network's", fontsize=10)
    save(figure, file)


def warnings(table: pd.DataFrame, groups: dict[str, tuple[str, ...]], file: Path) -> None:
    """AUROC and lead of every diagnostic, best on top; names of a group are marked with its sign."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.26 * len(table) + 1.4), sharey=True)
    for line, (name, row) in enumerate(table.iterrows()):
        colour = VALIDATION if name in groups["system 2"] else TRAIN
        for axes, kind in ((left, "auroc"), (right, "lead")):
            axes.plot([row[f"{kind}_low"], row[f"{kind}_high"]], [line, line], color=colour, lw=1.4)
            axes.plot(row[kind], line, "o", color=colour, ms=4)
    labels = [f"{name} *" if name in groups["hindsight"] else str(name) for name in table.index]
    left.set_yticks(range(len(table)), labels)
    left.invert_yaxis()
    left.axvline(0.5, color="grey", lw=1)
    left.set(xlabel="AUROC after memorization: generalizes within 2x the step", xlim=(0, 1.02))
    right.axvline(1, color="grey", lw=1)
    right.set(xlabel="generalization over alarm step, at 5 % false positives", xscale="log")
    right.set_xticks([1, 2, 3, 5, 10, 20], ["1", "2", "3", "5", "10", "20"], minor=False)
    right.minorticks_off()
    title = "Red: system 2's five; *: known in hindsight only; 95 % bootstrap over replicas"
    figure.suptitle(title, fontsize=10)
    save(figure, file)


def _draw(axes: Axes, table: pd.DataFrame, columns: dict[str, str], relative: bool) -> None:
    colours = (TRAIN, VALIDATION, *OTHERS)
    for (column, label), colour in zip(columns.items(), colours, strict=False):
        for number, (_, replica) in enumerate(table.groupby("replica")):
            own = replica[["step", column]].dropna()
            value = own[column] / own[column].iloc[0] if relative else own[column]
            once = label if number == 0 else None
            axes.plot(own["step"], value, color=colour, alpha=0.8, lw=1.2, label=once)
    step_axis(axes)
    axes.legend(fontsize=7)
