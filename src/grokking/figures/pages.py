"""All figures of one page of the reports, drawn into its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from grokking.analysis import early_warning, results, studies
from grokking.analysis.published import main_experiments
from grokking.analysis.studies import Study
from grokking.figures.comparisons import grid
from grokking.figures.diagnostics import diagnostics, progress, warnings
from grokking.figures.portraits import portrait
from grokking.figures.runs import curves, gap, system_panels
from grokking.figures.search import importances, parallel, pareto, slices, survival, trial_history
from grokking.storage.runs import Run

Tables = Mapping[str, pd.DataFrame]  # by experiment
SHOWN_FIRST = 2  # the system whose gap the README shows


def draw_experiment(
    name: str, run: Run, diagnosed: pd.DataFrame, portrayed: Mapping[str, np.ndarray], folder: Path
) -> None:
    """Everything about one trained experiment; the folder then holds these figures and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    curves(run.history, run.replicas, name, folder / "curves.png")
    diagnostics(diagnosed, run.replicas, name, folder / "diagnostics.png")
    if portrayed:
        portrait(portrayed, name, folder / "portrait.png")
    if run.replicas["model.family"].iloc[0] == "transformer":
        progress(diagnosed, run.replicas, name, folder / "progress.png")
    medians, budgets = (results.grid_map(run.replicas, number) for number in ("median_step", "budget"))
    if medians is not None and budgets is not None:
        grid(medians, budgets, name, folder / "map.png")


def draw_comparisons(runs: Mapping[str, Run], warning: pd.DataFrame, folder: Path) -> None:
    """The gap of one system, a panel for each system, and what warns of generalization.

    The folder then holds these figures and no others; of what is not there, none is drawn.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    numbers = main_experiments({name: run.replicas for name, run in runs.items()})
    panels = [(p.title, runs[p.experiment].history, runs[p.experiment].replicas) for p in numbers]
    if panels:
        system_panels(panels, folder / "systems.png")
    for number in (p for p in numbers if p.system == SHOWN_FIRST):
        shown = runs[number.experiment]
        gap(shown.history, shown.replicas, number, folder / "grokking.png")
    if warning["auroc"].notna().any():
        groups = {"system 2": early_warning.PUBLISHED_FIVE, "hindsight": early_warning.IN_HINDSIGHT}
        warnings(warning, groups, folder / "early_warning.png")


def draw_study(study: Study, shares: pd.DataFrame, histories: Tables, folder: Path) -> None:
    """Figures of a study's page, and the curves of each confirmed arm; `shares` are importances."""
    budget = study.config["experiment"]["budget"] if study.objective == "steps" else None
    trial_history(study.trials, study.unit, budget, folder / "history.png")
    parallel(study.trials, study.axes, study.unit, folder / "parallel.png")
    slices(study.trials, study.axes, study.unit, folder / "slices.png")
    importances(shares, folder / "importances.png")
    pareto(study.whole_trials, folder / "pareto.png")
    arms = {arm: studies.times(replicas, study.objective) for arm, replicas in study.confirmed.items()}
    survival(arms, study.unit, folder / "survival.png")
    for arm, replicas in study.confirmed.items():
        curves(histories[arm], replicas, f"{study.name}_{arm}", folder / f"{arm}.png")
