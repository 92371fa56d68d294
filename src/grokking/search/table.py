"""A study as tables: its trials, their curves, and the best of them."""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FixedTrial, FrozenTrial

from grokking.search.config import StudyPlan
from grokking.search.driver import all_generalised, is_exempt
from grokking.search.follower import Outcome
from grokking.search.space import suggest
from grokking.search.study import REASON, Trials, outcomes

OF_OUTCOME = (
    "reason", "step", "steps_run", "cost", "flops", "seconds", "memorization_step", "stopped_by", "stop_step",
    "limit", "forecast_error",
)  # fmt: skip


def trial_table(trials: Trials, plan: StudyPlan) -> pd.DataFrame:
    """A row per trial in the order of their numbers: state, value, parameters, what became of its seeds."""
    ended = sorted(trials.ended(), key=lambda trial: trial.number)
    return pd.DataFrame([_row(trial, plan) for trial in ended])


def _row(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    of_trial = outcomes(trial.user_attrs)
    costs = [outcome.cost for outcome in of_trial if outcome.cost is not None]
    pruner = plan.config.pruner
    return {
        "trial": trial.number,
        "state": trial.state.name,
        "reason": trial.user_attrs[REASON],
        "value": trial.value,  # log10 of the cost, graded where it was not reached
        "mean_value": float(np.mean([outcome.value for outcome in of_trial])) if of_trial else None,
        "cost": float(np.median(costs)) if costs and len(costs) == len(of_trial) else None,
        "seeds": len(of_trial),
        "generalized": len(costs),
        "confirmable": all_generalised(of_trial, len(plan.config.search.seeds)),
        "exempt": pruner.name == "none" or is_exempt(trial.number, pruner.unpruned, pruner.exempt_every),
        "flops": sum(outcome.flops for outcome in of_trial),
        "seconds": sum(outcome.seconds for outcome in of_trial),
        **{f"params/{name}": value for name, value in trial.params.items()},
    }


def replica_table(trials: Trials) -> pd.DataFrame:
    """A row per trial and seed."""
    return pd.DataFrame(
        [
            {"trial": outcome.trial, "seed_number": outcome.seed_number}
            | {name: asdict(outcome)[name] for name in OF_OUTCOME}
            for outcome in _outcomes(trials)
        ]
    )


def curve_table(trials: Trials) -> pd.DataFrame:
    """A row per trial, seed and evaluation."""
    return pd.concat(
        [
            pd.DataFrame(outcome.curves).assign(trial=outcome.trial, seed_number=outcome.seed_number)
            for outcome in _outcomes(trials)
        ],
        ignore_index=True,
    )


def _outcomes(trials: Trials) -> list[Outcome]:
    ended = sorted(trials.ended(), key=lambda trial: trial.number)
    return [outcome for trial in ended for outcome in outcomes(trial.user_attrs)]


def best_trials(table: pd.DataFrame) -> list[int]:
    """Numbers of the trials all of whose seeds generalised, best first; ties go to the lower mean over seeds.

    Steps are known to within the gaps between evaluations, so ties of the median are common.
    """
    ranked = table[table["confirmable"]].sort_values(["value", "mean_value", "trial"])
    return [int(number) for number in ranked["trial"]]


def parameters(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    """What a trial sets of the experiment, by dotted key."""
    return copy.deepcopy(suggest(FixedTrial(trial.params), plan.config.space))


def chosen(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any]:
    """A trial for best.yaml: its number, its cost in the search, and what it sets of the experiment."""
    costs = [outcome.cost for outcome in outcomes(trial.user_attrs) if outcome.cost is not None]
    return {
        "trial": trial.number,
        "searched_cost": float(np.median(costs)),
        "values": parameters(trial, plan),
    }
