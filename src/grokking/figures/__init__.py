"""Every figure of the reports; the only part that imports matplotlib."""

from grokking.figures.comparisons import grid, strips, train_fraction
from grokking.figures.diagnostics import diagnostics, progress, warnings
from grokking.figures.pages import draw_comparisons, draw_experiment, draw_study
from grokking.figures.portraits import portrait
from grokking.figures.runs import curves, published, system_panels
from grokking.figures.search import importances, parallel, slices, survival, trial_history

__all__ = [
    "curves", "diagnostics", "draw_comparisons", "draw_experiment", "draw_study", "grid", "importances",
    "parallel", "portrait", "progress", "published", "slices", "strips", "survival", "system_panels",
    "train_fraction", "trial_history", "warnings",
]  # fmt: skip
