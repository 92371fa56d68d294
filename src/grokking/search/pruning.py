"""Rules that stop a replica early, although validation accuracy is flat until the transition.

No rule looks at validation accuracy. Stopping a replica that is only slow is worse than stopping none, so
`progressing` overrules most rules. Each rule is a function of the curve up to the last check.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from grokking.engine.events import ACCURACY_THRESHOLD

COLLAPSED, RACED = "collapsed", "raced"  # rules that others ask for by name
WINDOW = 0.3  # of the steps so far: what counts as recent
RISE = 0.01  # of R_sum or IPR within the window that counts as rising; both are exact, without sampling noise
FALL = 0.01  # relative, of a loss within the window that counts as falling
CLEARLY_PAST = 0.1  # relative, below its peak: from there on the fall of the monitor loss is a forecast
FORECASTS = 10  # replicas that must have generalized before forecasts are believed within their worst error
CLOCK_SLACK = 3.0  # for errors of the decay clock of 18 to 35 %, and decay slower than its rate
UNDERFIT_AFTER = 5.0  # times the median memorization step
FEWEST_CHECKS = 4  # before any of these rules applies
STAGNANT_AFTER = 10.0  # times the replica's own memorization step
FORGOTTEN = 3  # checks in a row with less than half of the best training accuracy; large rates forget for one
DEAD_LOGITS = 1e-6  # root mean square of centred logits; networks have recovered from 1e-4


@dataclass(frozen=True)
class CurvePoint:
    """What the rules know of a replica at one check."""

    step: int
    cost: float  # so far, in units of the objective
    train_loss: float
    train_accuracy: float
    monitor_loss: float
    weight_norm: float
    logit_rms: float
    r_sum: float  # NaN without a cyclic order
    ipr: float  # of neurons; NaN without a cyclic order or without neurons to look at
    zero_gradient: float  # share of training equations whose gradient is exactly 0


@dataclass(frozen=True)
class PruningContext:
    """What the rules know besides the curve."""

    budget: int
    limit: float  # cost from which on the replica can no longer be near the best; inf without racing
    decay_rate: float  # share of a weight that decay takes away per step
    decay_driven: bool  # cross-entropy and weight decay: the norm must fall before the replica generalizes
    memorization_step: float | None  # median of earlier trials
    generalization_norm: float | None  # median weight norm at which earlier trials generalized
    slack: float  # largest overestimate of earlier forecasts, as a ratio; inf: forecasts are not to be used


Curve = Sequence[CurvePoint]


def collapsed(curve: Curve, context: PruningContext) -> bool:
    """The network has lost what it knew, or its logits have died away."""
    last, best = curve[-1], max(point.train_accuracy for point in curve)
    forgotten = best >= 0.5 and all(point.train_accuracy < 0.5 * best for point in curve[-FORGOTTEN:])
    dead = last.logit_rms < DEAD_LOGITS and last.logit_rms < curve[0].logit_rms
    return (forgotten or dead) and not _falling(recent(curve), "train_loss")


def underfit(curve: Curve, context: PruningContext) -> bool:
    """Far past the usual memorization, the training set is not memorized and its loss stands still."""
    usual = context.memorization_step
    late = usual is not None and curve[-1].step > UNDERFIT_AFTER * usual
    return late and memorization_step(curve) is None and not _falling(recent(curve), "train_loss")


def frozen(curve: Curve, context: PruningContext) -> bool:
    """No gradient is left, and weight decay will not bring one back within the budget."""
    last = curve[-1]
    return last.zero_gradient > 0.95 and context.decay_rate * (context.budget - last.step) < 1


def slow_decay(curve: Curve, context: PruningContext) -> bool:
    """Weights shrink by exp(-decay_rate t): far too late at the norm where others generalized."""
    if not context.decay_driven or context.generalization_norm is None or memorization_step(curve) is None:
        return False
    last = curve[-1]
    ratio = max(last.weight_norm / context.generalization_norm, 1.0)
    steps_to_go = np.log(ratio) / max(context.decay_rate, 1e-12)
    return bool(last.step + steps_to_go > CLOCK_SLACK * context.budget)


def stagnant(curve: Curve, context: PruningContext) -> bool:
    """Long after its own memorization; that it does not progress, `stop_rule` has found."""
    since = memorization_step(curve)
    return since is not None and curve[-1].step > STAGNANT_AFTER * max(since, 1)


def raced(curve: Curve, context: PruningContext) -> bool:
    """Its cost, or the earliest end that its loss points to, is too far above the best trial's."""
    last = curve[-1]
    growth = max(1.0, forecast(curve) / context.slack / max(last.step, 1))
    return growth * last.cost > context.limit


def progressing(curve: Curve) -> bool:
    """The monitor loss falls, or R_sum or IPR rises."""
    window = recent(curve)
    return _falling(window, "monitor_loss") or any(_rising(window, name) for name in ("r_sum", "ipr"))


Rule = Callable[[Curve, PruningContext], bool]
UNCONDITIONAL_RULES: dict[str, Rule] = {COLLAPSED: collapsed, RACED: raced}  # whatever the progress
SPARING_RULES: dict[str, Rule] = {  # these spare a replica that progresses
    "underfit": underfit, "frozen": frozen, "slow_decay": slow_decay, "stagnant": stagnant,
}  # fmt: skip
RULES = UNCONDITIONAL_RULES | SPARING_RULES  # the first of them that applies is recorded


def stop_rule(curve: Curve, context: PruningContext) -> str | None:
    """The name of the rule by which the replica should stop at the last check, or None."""
    if len(curve) < FEWEST_CHECKS:
        return None
    rules = UNCONDITIONAL_RULES if progressing(curve) else RULES
    return next((name for name, rule in rules.items() if rule(curve, context)), None)


def slack(errors: Sequence[float]) -> float:
    """The largest ratio of forecast to true step; infinite where there are too few to say, or no forecast."""
    largest = max(errors, default=0.0)
    return largest if len(errors) >= FORECASTS and largest > 0 else np.inf


def memorization_step(curve: Curve) -> int | None:
    """The first check at which the training set was memorized."""
    return next((point.step for point in curve if point.train_accuracy >= ACCURACY_THRESHOLD), None)


def recent(curve: Curve) -> Curve:
    """The checks of the last WINDOW of the steps, at least the last three."""
    start = (1 - WINDOW) * curve[-1].step
    window = [point for point in curve if point.step >= start]
    return window if len(window) >= 3 else curve[-3:]


def forecast(curve: Curve) -> float:
    """The step at which the monitor loss reaches 0 if it goes on falling as recently; 0 before it falls.

    The real fall accelerates, so the forecast is too late, early on many times too late: see `slack`.
    """
    first, last, peak = recent(curve)[0], curve[-1], max(point.monitor_loss for point in curve)
    slope = (first.monitor_loss - last.monitor_loss) / max(last.step - first.step, 1)
    falls = slope > 0 and last.monitor_loss < (1 - CLEARLY_PAST) * peak
    return last.step + last.monitor_loss / slope if falls else 0.0


def _falling(window: Curve, name: str) -> bool:
    return getattr(window[-1], name) < (1 - FALL) * getattr(window[0], name)


def _rising(window: Curve, name: str) -> bool:
    return getattr(window[-1], name) > getattr(window[0], name) + RISE
