"""Replays the curves of finished replicas to Optuna's pruners: when would each have stopped which?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import optuna
import pandas as pd
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

STARTUP_TRIALS = 5  # Optuna's default: this many trials end before the median stops any
FIRST_RUNG, REDUCTION = 10, 3  # steps to Hyperband's first rung; one in three leaves a rung


@dataclass(frozen=True)
class Pruner:
    """One of Optuna's pruners and the curve that it watches."""

    metric: str
    direction: Literal["minimize", "maximize"]
    build: Callable[[int], BasePruner]  # from the budget


def median(budget: int) -> BasePruner:
    """Stop what is below the median of the trials that ended (Golovin et al., Vizier, KDD 2017)."""
    return MedianPruner(n_startup_trials=STARTUP_TRIALS)


def hyperband(budget: int) -> BasePruner:
    """Successive halving from several first rungs (Li et al., arXiv 1603.06560)."""
    return HyperbandPruner(min(FIRST_RUNG, budget), budget, REDUCTION)


PRUNERS = {
    "median/accuracy": Pruner("validation_accuracy", "maximize", median),
    "hyperband/accuracy": Pruner("validation_accuracy", "maximize", hyperband),
    "hyperband/loss": Pruner("validation_loss", "minimize", hyperband),
}


def stops(
    pruner: Pruner, curves: Sequence[pd.DataFrame], generalized: Sequence[float], budget: int
) -> list[float]:
    """The step at which the pruner stops each replica, NaN where it lets it go on.

    Replicas are replayed one after the other, a trial each. From its step of generalization on (NaN: never)
    a replica is not stopped any more: the search ends it as a success.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="replay",  # Hyperband draws a trial's bracket from it
        direction=pruner.direction,
        sampler=RandomSampler(seed=0),  # nothing is sampled
        pruner=pruner.build(budget),
    )
    each = zip(curves, generalized, strict=True)
    return [_replay(study, curve[["step", pruner.metric]], until) for curve, until in each]


def _replay(study: Study, curve: pd.DataFrame, generalized: float) -> float:
    trial, value = study.ask(), math.nan
    for step, value in curve.itertuples(index=False, name=None):
        if _should_stop(trial, int(step), value) and not step >= generalized:
            study.tell(trial, state=TrialState.PRUNED)
            return float(step)
    if math.isnan(value):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)
    return math.nan


def _should_stop(trial: Trial, step: int, value: float) -> bool:
    trial.report(value, step)
    return trial.should_prune()
