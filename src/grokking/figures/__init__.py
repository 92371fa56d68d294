"""Every figure of the reports; the only part that imports matplotlib."""

from grokking.figures.comparisons import grid, strips, train_fraction
from grokking.figures.diagnostics import diagnostics, progress, warnings
from grokking.figures.pages import draw_comparisons, draw_experiment, draw_study
from grokking.figures.portraits import portrait
from grokking.figures.runs import curves, published, system_panels
from grokking.figures.search import importances, parallel, pareto, slices, survival, trial_history
from grokking.figures.sweeps import fraction_laws, over_axis, phase_map
from grokking.figures.training_pictures import answer_grid, moving_picture, training_picture

__all__ = [
    "answer_grid", "curves", "diagnostics", "draw_comparisons", "draw_experiment", "draw_study",
    "fraction_laws", "grid",
    "importances", "moving_picture", "over_axis", "parallel", "pareto", "phase_map", "portrait", "progress",
    "published", "slices", "strips", "survival", "system_panels", "train_fraction", "training_picture",
    "trial_history", "warnings",
]  # fmt: skip
