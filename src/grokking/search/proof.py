"""Whether what a search found lasts: the best trials trained to the full definition, on more seeds.

A search ends a seed once its crossing has held for 50 steps; some networks lose it later, as their weights go
on shrinking, and the fastest do so on some seeds and not on others. Validation stays closed: this is on the
search's own splits and monitored equations.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from grokking.data.tasks import Task
from grokking.experiment import Replica
from grokking.search.config import StudyPlan
from grokking.search.follower import HOLD_SHARE
from grokking.search.study import outcomes
from grokking.search.table import parameters
from grokking.training import history
from grokking.training.workers import train_all

LOST_SHARE = 0.2  # of the further seeds may lose their crossing: one of six, none of fewer than five


def lasting(ranking: Iterable[FrozenTrial], wanted: int, plan: StudyPlan, task: Task) -> dict[int, bool]:
    """The first trials of a ranking until so many last: by number, in this order, whether each does."""
    found: dict[int, bool] = {}
    for trial in ranking:
        if sum(found.values()) == wanted:
            break
        found[trial.number] = lasts(trial, plan, task)
        told = "last" if found[trial.number] else "do not last"
        print(f"trial {trial.number}: its crossings {told}", flush=True)
    return found


def lasts(trial: FrozenTrial, plan: StudyPlan, task: Task) -> bool:
    """Whether its seeds keep their crossings: the search's own those it saw, most others their first."""
    values = parameters(trial, plan)
    own = _trained(plan.replicas(values, plan.config.search), task)
    seen = {outcome.seed_number: float(outcome.step or 0) for outcome in outcomes(trial.user_attrs)}
    if _lost(own, [seen[number] for number in range(len(own))]):
        return False
    further = _trained(plan.replicas(values, plan.config.proof), task)
    return _lost(further, further["first_crossing_step"].astype(float)) <= LOST_SHARE


def _trained(replicas: list[Replica], task: Task) -> pd.DataFrame:
    """The replicas' events."""
    with tempfile.TemporaryDirectory() as checkpoints:
        return history.replica_table(replicas, train_all(replicas, task, [], Path(checkpoints)), task)


def _lost(table: pd.DataFrame, crossing: Sequence[float] | pd.Series) -> float:
    """Share of replicas of which neither this crossing nor one soon after was sustained, or that had none."""
    kept = table["generalization_step"].astype(float) <= HOLD_SHARE * np.asarray(crossing)
    return float(1 - kept.mean())
