"""What the good trials of searches have in common: learning rate, weight decay, their product, the betas."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.nested import flat
from grokking.analysis.pareto import whole
from grokking.config import PARAMS_PREFIX

GOOD = 1.5  # times the best cost: a trial or cell within it counts as good
GROUPS = ["study", "optimizer"]
OF_OPTIMIZER = f"{PARAMS_PREFIX}optimizer."
FEWEST = 3  # good trials that have a range
SHOWN = {
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "decay_rate": "learning rate · weight decay",
    "beta1": "β₁",
    "beta2": "β₂",
}


def good_trials(entry: Mapping[str, Any], trials: pd.DataFrame) -> pd.DataFrame:
    """A row per trial that generalized with all its seeds within GOOD of the best: SHOWN, optimizer, cost."""
    generalized = whole(trials)
    own = generalized[generalized["cost"] <= GOOD * generalized["cost"].min()]
    experiment = flat(entry["experiment"])
    found = pd.DataFrame({name: _values(own, experiment, name) for name in SHOWN})
    found["weight_decay"] = found["weight_decay"].fillna(found["decay_rate"] / found["learning_rate"])
    found["decay_rate"] = found["decay_rate"].fillna(found["weight_decay"] * found["learning_rate"])
    return found.assign(
        cost=own["cost"],
        optimizer=own.get(f"{PARAMS_PREFIX}optimizer", experiment["optimizer.name"]),
        family=experiment["model.family"],
        loss=own.get(f"{PARAMS_PREFIX}loss", experiment["loss"]),
        task=experiment["task"],
    )


def _values(trials: pd.DataFrame, experiment: Mapping[str, Any], name: str) -> pd.Series:
    """What trials have of a hyperparameter of the optimizer, searched (in a branch, maybe) or fixed."""
    searched = _columns(trials, name)
    if searched:
        return trials[searched].astype(float).bfill(axis=1).iloc[:, 0]
    follows = name == "weight_decay" and _columns(trials, "decay_rate")
    fixed = None if follows else experiment.get(f"optimizer.{name}")
    return pd.Series(fixed, trials.index, dtype=float)


def _columns(trials: pd.DataFrame, name: str) -> list[str]:
    """Of the optimizer's hyperparameter of this name, one for each branch that has it."""
    of_optimizer = (str(column) for column in trials if str(column).startswith(OF_OPTIMIZER))
    return [column for column in of_optimizer if column.endswith(f".{name}")]


def study_table(good: pd.DataFrame) -> pd.DataFrame:
    """A row per study and optimizer: median and range of each hyperparameter over the good trials."""
    rows = []
    for (study, optimizer), own in good.groupby(GROUPS, sort=False):
        if len(own) >= FEWEST:
            about = {
                "study": f"[{study}](search/{study}.md)", "network": own["family"].iloc[0],
                "optimizer": optimizer, "loss": _most(own["loss"]), "task": f"`{own['task'].iloc[0]}`",
                "good trials": str(len(own)), "steps": _span(own["cost"]),
            }  # fmt: skip
            rows.append(about | {title: _span(own[name]) for name, title in SHOWN.items()})
    return pd.DataFrame(rows)


def _most(values: pd.Series) -> str:
    """The most frequent value, and how often it occurs where it is not the only one."""
    counts = values.value_counts()
    text = str(counts.index[0])
    return text if len(counts) == 1 else f"{text} ({counts.iloc[0]} of {len(values)})"


def _span(values: pd.Series) -> str:
    """Median and range."""
    known = values.dropna()
    return "—" if known.empty else with_range(known.median(), known)


def with_range(middle: float, values: pd.Series) -> str:
    """A number, and the range of those that it stands for."""
    low, high = values.min(), values.max()
    return f"{middle:.3g}" if low == high else f"{middle:.3g} ({low:.3g}–{high:.3g})"


def spread_table(good: pd.DataFrame) -> pd.DataFrame:
    """A row per hyperparameter: how far medians of studies lie apart, and how many pairs of ranges meet.

    A study in which all good trials have one value does not count: it is fixed there.
    """
    groups = [own for _, own in good.groupby(GROUPS)]
    known = {name: [own[name].dropna().to_numpy(float) for own in groups] for name in SHOWN}
    many = {name: [values for values in found if _is_searched(values)] for name, found in known.items()}
    return pd.DataFrame([_spread(name, found) for name, found in many.items() if len(found) > 1])


def _is_searched(values: np.ndarray) -> bool:
    return bool(len(values) >= FEWEST and np.ptp(values) > 0)


def _spread(name: str, many: list[np.ndarray]) -> dict[str, str]:
    """The row of a hyperparameter, of its values in the good trials of each search."""
    medians = np.array([np.median(values) for values in many])
    pairs = list(itertools.combinations(many, 2))
    meet = sum(one.min() <= other.max() and other.min() <= one.max() for one, other in pairs)
    return {
        "hyperparameter": SHOWN[name],
        "searches": str(len(many)),
        "medians": f"{medians.min():.3g}–{medians.max():.3g}",
        "largest over smallest": f"{medians.max() / medians.min():.3g}",
        "pairs of searches whose ranges meet": f"{meet} of {len(pairs)}",
    }
