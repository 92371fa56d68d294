"""When a transformer's circuit forms: restricted loss falls first, excluded loss rises (Nanda et al. 2023).

Restricted loss keeps of the logits what the key frequencies of a + b explain, excluded loss takes just that
away (arXiv 2301.05217, section 5). A network that only memorizes owes them nothing yet.
"""

# S snapshots

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

FALLEN = 0.5  # of its value at initialisation: where a loss counts as fallen
EVENTS = ("memorization_step", "generalization_step")


def circuits(diagnosed: Mapping[str, pd.DataFrame], replicas: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per replica of every transformer whose operation has a cyclic order."""
    return pd.DataFrame(
        {"experiment": name} | _circuit(row, diagnosed[name].query(f"replica == {row['replica']}"))
        for name, table in replicas.items()
        if _is_looked_at(table, diagnosed[name])
        for row in table.astype(dict.fromkeys(EVENTS, float)).to_dict("records")
    )


def _is_looked_at(replicas: pd.DataFrame, snapshots: pd.DataFrame) -> bool:
    transformer = replicas["model.family"].iloc[0] == "transformer"
    return transformer and "restricted_loss/validation" in snapshots.dropna(axis="columns")


def _circuit(replica: Mapping[Any, Any], snapshots: pd.DataFrame) -> dict[str, Any]:
    excluded_S = snapshots["excluded_loss/train"].to_numpy(float)
    return {
        "seed": int(replica["seed"]),
        "memorized": replica["memorization_step"],
        "generalized": replica["generalization_step"],
        "diverged": bool(replica["diverged"]),
        "restricted_loss_falls": fall(snapshots["step"], snapshots["restricted_loss/validation"]),
        "validation_loss_falls": fall(snapshots["step"], snapshots["loss/validation"]),
        "excluded_loss_lowest": float(excluded_S.min()),
        "excluded_loss_final": float(excluded_S[-1]),
        "train_loss_final": float(snapshots["loss/train"].iloc[-1]),
    }


def fall(step_S: pd.Series, loss_S: pd.Series) -> float:
    """The step at which a loss fell below FALLEN of its first value for good, interpolated between snapshots.

    NaN where it did not.
    """
    steps, losses = step_S.to_numpy(float), loss_S.to_numpy(float)
    bound = FALLEN * losses[0]
    above = np.flatnonzero(~(losses < bound))
    if above[-1] == len(losses) - 1:
        return float("nan")
    before, after = above[-1], above[-1] + 1
    share = (losses[before] - bound) / (losses[before] - losses[after])
    return float(steps[before] + share * (steps[after] - steps[before]))
