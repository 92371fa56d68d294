"""Whether the crossings of the best trials are sustained, on more seeds and to the full definition.

A search ends a seed once its crossing has held for a short time. Some networks lose it later, as their
weights go on shrinking, and the fastest do so on some seeds and not on others. Validation stays closed: this
uses the search's own splits and monitored equations.
"""

import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from grokking.data.tasks import Task
from grokking.engine.events import HOLD_FACTOR
from grokking.experiment import Replica
from grokking.search.config import StudyPlan
from grokking.search.tables import parameters
from grokking.search.trial_outcomes import seed_outcomes
from grokking.training import history
from grokking.training.workers import train_all

LOST_SHARE = 0.2  # of the further seeds may lose their crossing: one of six, none of fewer than five


def check_in_order(
    ranking: Iterable[FrozenTrial], wanted: int, plan: StudyPlan, task: Task, seeds: int | None = None
) -> dict[int, float | None]:
    """Check trials in rank order until `wanted` are sustained: {trial number: its `sustained_median`}."""
    found: dict[int, float | None] = {}
    for trial in ranking:
        if sum(median is not None for median in found.values()) == wanted:
            break
        found[trial.number] = sustained_median(trial, plan, task, seeds)
        state = "not sustained" if found[trial.number] is None else "sustained"
        print(f"trial {trial.number}: crossings {state}", flush=True)
    return found


def sustained_median(
    trial: FrozenTrial, plan: StudyPlan, task: Task, seeds: int | None = None
) -> float | None:
    """The median step of generalization on the further seeds; None where the trial is not sustained.

    It is sustained if each seed of the search keeps the crossing that was seen there, and at least 80 % of
    the further seeds keep their first one. Most trials that fail do so on their first seed, so that one is
    trained before the others. Where there is no time for all, only the first `seeds` are looked at; without
    further ones the median is infinite.
    """
    values = parameters(trial, plan)
    own = plan.replicas(values, plan.config.search)
    further = plan.replicas(values, plan.config.sustain_seeds)
    looked_at = len(own) + len(further) if seeds is None else seeds
    own, further = own[:looked_at], further[: max(0, looked_at - len(own))]
    seen = [float(outcome.step or 0) for outcome in seed_outcomes(trial)]
    for part in (slice(1), slice(1, len(own))):
        if own[part] and _lost_share(_replica_table(own[part], task), seen[part]):
            return None
    if not further:
        return float("inf")
    table = _replica_table(further, task)
    if _lost_share(table, table["first_crossing_step"].astype(float)) > LOST_SHARE:
        return None
    return float(table["generalization_step"].astype(float).fillna(np.inf).median())


def _replica_table(replicas: list[Replica], task: Task) -> pd.DataFrame:
    """Train to the full definition; a row of events per replica."""
    with tempfile.TemporaryDirectory() as checkpoints:
        evaluations = chain.from_iterable(train_all(replicas, task, [], Path(checkpoints)))
        return history.replica_table(replicas, list(evaluations), task)


def _lost_share(table: pd.DataFrame, crossing: Sequence[float] | pd.Series) -> float:
    """Share of replicas without a sustained crossing at the given steps or soon after."""
    kept = table["generalization_step"].astype(float) <= HOLD_FACTOR * np.asarray(crossing)
    return float(1 - kept.mean())
