"""All figures of one page of the reports, drawn into its folder."""

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
from grokking.figures.search import importances, parallel, slices, survival, trial_history

Tables = Mapping[str, pd.DataFrame]  # by experiment
SHOWN_FIRST = 2  # the system whose gap the README shows


def draw_report(tables: Tables, histories: Tables, folder: Path) -> list[str]:
    """Figures of trained experiments; the names of those that belong on the page, in order."""
    for name, table in tables.items():
        curves(histories[name], table, name, folder / f"{name}.png")
    panels = [(p.title, histories[p.experiment], tables[p.experiment]) for p in main_experiments(tables)]
    system_panels(panels, folder / "systems.png")
    for number in (p for p in main_experiments(tables) if p.system == SHOWN_FIRST):
        gap(histories[number.experiment], tables[number.experiment], number, folder / "grokking.png")
    return [*_draw_grids(tables, folder), *(f"{name}.png" for name in tables)]


def _draw_grids(tables: Tables, folder: Path) -> list[str]:
    """A map for every experiment whose grid has two axes."""
    names = []
    for name, table in tables.items():
        medians = results.grid_map(table)
        if medians is not None:
            names.append(f"{name}_map.png")
            grid(medians, int(table["budget"].max()), name, folder / names[-1])
    return names


def draw_learned(
    tables: Tables,
    diagnosed: Tables,
    portraits: Mapping[str, Mapping[str, np.ndarray]],
    warning: pd.DataFrame,
    folder: Path,
) -> list[str]:
    """What sees generalization coming, and what each main experiment and transformer learned; their names."""
    names = []
    if warning["auroc"].notna().any():
        names.append("early_warning.png")
        groups = {"system 2": early_warning.PUBLISHED_FIVE, "hindsight": early_warning.IN_HINDSIGHT}
        warnings(warning, groups, folder / names[-1])
    transformers = [name for name in tables if tables[name]["model.family"].iloc[0] == "transformer"]
    for name in dict.fromkeys([*(p.experiment for p in main_experiments(tables)), *transformers]):
        if name in transformers:
            names.append(f"{name}_progress.png")
            progress(diagnosed[name], tables[name], name, folder / names[-1])
        names.append(f"{name}_diagnostics.png")
        diagnostics(diagnosed[name], tables[name], name, folder / names[-1])
        if portraits[name]:
            names.append(f"{name}_portrait.png")
            portrait(portraits[name], name, folder / names[-1])
    return names


def draw_study(study: Study, shares: pd.DataFrame, histories: Tables, folder: Path) -> None:
    """Figures of a study's page, and the curves of each confirmed arm; `shares` are importances."""
    budget = study.config["experiment"]["budget"] if study.objective == "steps" else None
    trial_history(study.trials, study.unit, budget, folder / "history.png")
    parallel(study.trials, study.axes, study.unit, folder / "parallel.png")
    slices(study.trials, study.axes, study.unit, folder / "slices.png")
    importances(shares, folder / "importances.png")
    arms = {arm: studies.times(replicas, study.objective) for arm, replicas in study.confirmed.items()}
    survival(arms, study.unit, folder / "survival.png")
    for arm, replicas in study.confirmed.items():
        curves(histories[arm], replicas, f"{study.name}_{arm}", folder / f"{arm}.png")
