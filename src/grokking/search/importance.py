"""Which hyperparameters matter: PED-ANOVA and fANOVA of a study's table of trials.

Stopped trials count too, with their graded values: leaving them out would leave only what went well, and
the hyperparameters that decide between success and failure would seem to matter least.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FixedTrial, FrozenTrial, create_trial

from grokking.config import PARAMS_PREFIX
from grokking.search.space import Space, suggest

SEED = 0  # of fANOVA's forest
BEST_SHARE, BEST_TRIALS = 0.1, 5  # what PED-ANOVA calls the best: a tenth, but at least five


def importances(trials: pd.DataFrame, space: Space) -> pd.DataFrame:
    """A row per hyperparameter, most important first; the columns ped_anova and fanova each sum to 1.

    PED-ANOVA tells what sets the best trials apart, hyperparameters of branches included. fANOVA divides the
    variance of the value among the hyperparameters that every trial has; the others are NaN. The table may
    hold several searches of one space.
    """
    study = as_study(trials, space)
    best = min(max(BEST_SHARE, BEST_TRIALS / len(study.trials)), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials in a branch: seen in the table of trials
        ped = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best))
        fanova = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
    table = pd.DataFrame({"ped_anova": pd.Series(ped), "fanova": pd.Series(fanova, dtype=float)})
    return table.rename_axis("parameter").sort_values("ped_anova", ascending=False, kind="stable")


def as_study(trials: pd.DataFrame, space: Space) -> Study:
    """The trials in memory, all of them complete: Optuna's measures pass over those that were stopped."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    rows = trials[trials["value"].notna()].to_dict("records")
    study.add_trials([_trial({str(key): value for key, value in row.items()}, space) for row in rows])
    return study


def _trial(row: Mapping[str, Any], space: Space) -> FrozenTrial:
    params = {k.removeprefix(PARAMS_PREFIX): v for k, v in row.items() if k.startswith(PARAMS_PREFIX)}
    fixed = FixedTrial({name: value for name, value in params.items() if pd.notna(value)})
    suggest(fixed, space)
    linear = {name: _linear(fixed.params[name], d) for name, d in fixed.distributions.items()}
    return create_trial(
        value=row["value"],
        params={name: value for name, (value, _) in linear.items()},
        distributions={name: distribution for name, (_, distribution) in linear.items()},
    )


def _linear(value: Any, distribution: BaseDistribution) -> tuple[Any, BaseDistribution]:
    """A logarithmic range as a linear one of logarithms: else fANOVA weighs its upper end most."""
    if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log:
        low, high = math.log(distribution.low), math.log(distribution.high)
        return min(max(math.log(value), low), high), FloatDistribution(low, high)
    return value, distribution
