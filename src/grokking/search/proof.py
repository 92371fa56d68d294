"""Whether what a search found lasts: the best trials' seeds trained once more, to the full definition.

A search ends a seed once its crossing has held for 50 steps; some networks lose it later, as their weights go
on shrinking. Validation stays closed: this is on the search's own seeds and monitored equations.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from optuna.trial import FrozenTrial

from grokking.data.tasks import Task
from grokking.search.config import StudyPlan
from grokking.search.follower import HOLD_SHARE
from grokking.search.study import outcomes
from grokking.search.table import parameters
from grokking.training import history
from grokking.training.workers import train_all


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
    """Whether each seed's sustained crossing is the one that the search saw, not one after it was lost."""
    replicas = plan.replicas(parameters(trial, plan), plan.config.search)
    with tempfile.TemporaryDirectory() as checkpoints:
        evaluations = train_all(replicas, task, [], Path(checkpoints))
    table = history.replica_table(replicas, evaluations, task)
    seen = {outcome.seed_number: float(outcome.step or 0) for outcome in outcomes(trial.user_attrs)}
    sustained = table["generalization_step"].astype(float)
    return all(step <= HOLD_SHARE * seen[number] for number, step in enumerate(sustained))
