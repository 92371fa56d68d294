"""A study as tables: its trials, their seeds and curves, and the ranking."""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FixedTrial, FrozenTrial

from grokking.config import PARAMS_PREFIX
from grokking.search.config import StudyPlan
from grokking.search.seed_job import SeedOutcome
from grokking.search.space import suggest
from grokking.search.study import REASON, SharedStudy
from grokking.search.trial_outcomes import all_seeds_generalized, seed_outcomes

REPLICA_COLUMNS = (
    "trial", "seed_number", "reason", "step", "steps_run", "cost", "flops", "seconds", "memorization_step",
    "stopped_by", "stop_step", "limit", "forecast_error",
)  # fmt: skip


def trial_table(study: SharedStudy, plan: StudyPlan) -> pd.DataFrame:
    """A row per trial in the order of their numbers: state, value, parameters, outcomes of its seeds."""
    return pd.DataFrame([_row(trial, plan) for trial in _by_number(study)])


def _row(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    outcomes = seed_outcomes(trial)
    costs = [outcome.cost for outcome in outcomes if outcome.cost is not None]
    return {
        "trial": trial.number,
        "state": trial.state.name,
        "reason": trial.user_attrs.get(REASON, "ended by another program"),
        "value": trial.value,  # log10 of the cost, graded where the goal was not reached
        "mean_value": float(np.mean([outcome.value for outcome in outcomes])) if outcomes else None,
        "cost": float(np.median(costs)) if costs and len(costs) == len(outcomes) else None,
        "seeds": len(outcomes),
        "generalized": len(costs),
        "confirmable": all_seeds_generalized(trial, len(plan.config.search.seeds)),
        "exempt": plan.config.pruner.is_exempt(trial.number),
        "flops": sum(outcome.flops for outcome in outcomes),
        "seconds": sum(outcome.seconds for outcome in outcomes),
        **{f"{PARAMS_PREFIX}{name}": value for name, value in trial.params.items()},
    }


def replica_table(study: SharedStudy) -> pd.DataFrame:
    """A row per trial and seed."""
    return pd.DataFrame([asdict(outcome) for outcome in _outcomes(study)], columns=list(REPLICA_COLUMNS))


def curve_table(study: SharedStudy) -> pd.DataFrame:
    """A row per trial, seed and evaluation."""
    curves = [
        pd.DataFrame(outcome.curves).assign(trial=outcome.trial, seed_number=outcome.seed_number)
        for outcome in _outcomes(study)
    ]
    return pd.concat(curves, ignore_index=True)


def _outcomes(study: SharedStudy) -> list[SeedOutcome]:
    return [outcome for trial in _by_number(study) for outcome in seed_outcomes(trial)]


def _by_number(study: SharedStudy) -> list[FrozenTrial]:
    return sorted(study.ended(), key=lambda trial: trial.number)


def best_trials(table: pd.DataFrame) -> list[int]:
    """Numbers of the trials all of whose seeds generalized, best first; ties go to the lower mean over seeds.

    Steps are known to within the gaps between evaluations, so ties of the median are common. Of trials of
    one point, which a small space has, only the first counts.
    """
    ranked = table[table["confirmable"]].sort_values(["value", "mean_value", "trial"])
    point = [name for name in table if str(name).startswith(PARAMS_PREFIX)]
    if point:
        ranked = ranked.drop_duplicates(point)
    return [int(number) for number in ranked["trial"]]


def ranked(study: SharedStudy, table: pd.DataFrame) -> list[FrozenTrial]:
    """The trials of `best_trials`, themselves."""
    by_number = {trial.number: trial for trial in study.ended()}
    return [by_number[number] for number in best_trials(table)]


def parameters(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    """What a trial sets of the experiment, by dotted key."""
    return copy.deepcopy(suggest(FixedTrial(trial.params), plan.config.space))


def as_chosen(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    """A trial for best.yaml: its number, its cost in the search, and what it sets of the experiment."""
    cost = float(np.median([o.cost for o in seed_outcomes(trial) if o.cost is not None]))
    return {"trial": trial.number, "searched_cost": cost, "values": parameters(trial, plan)}
