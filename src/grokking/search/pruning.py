"""When a replica should stop: rules that see through a flat validation accuracy.

Validation accuracy says nothing until the transition, so no rule looks at it. A rule that stops a replica
which is only slow is worse than none; `progressing` spares it. Rules are functions of the signs seen so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from grokking.engine.events import ACCURACY_THRESHOLD

WINDOW = 0.3  # of the steps so far: what counts as lately
RISE = 0.01  # of R_sum or IPR within the window that counts as rising; both are exact, without sampling noise
FALL = 0.01  # relative, of a loss within the window that counts as falling
CLEARLY_PAST = 0.1  # relative, below its peak: from there on the fall of the monitor loss is a forecast
FORECASTS = 10  # replicas that must have generalised before forecasts are believed within their worst error
CLOCK_SLACK = 3.0  # for errors of the decay clock of 18 to 35 %, and decay slower than its rate
UNDERFIT_AFTER = 5.0  # times the median memorisation step
FEWEST = 4  # checks before any rule applies
STAGNANT_AFTER = 10.0  # times the replica's own memorisation step
FORGOTTEN = 3  # checks in a row with less than half of the best training accuracy; large rates forget for one
DEAD_LOGITS = 1e-6  # root mean square of centred logits; networks have recovered from 1e-4


@dataclass(frozen=True)
class Sign:
    """What is seen of a replica at one check."""

    step: int
    cost: float  # so far, in units of the objective
    train_loss: float
    train_accuracy: float
    monitor_loss: float
    weight_norm: float
    logit_rms: float
    r_sum: float  # NaN without a cyclic order
    ipr: float  # of neurons; NaN without a cyclic order
    zero_gradient: float  # share of training equations whose gradient is exactly 0


@dataclass(frozen=True)
class Circumstances:
    """What the rules know besides the signs."""

    budget: int
    limit: float  # cost from which on the replica can no longer be near the best; inf without racing
    decay_rate: float  # learning rate times decoupled weight decay
    decay_driven: bool  # cross-entropy and weight decay: the norm must fall before the replica generalises
    memorization_step: float | None  # median of earlier trials
    generalization_norm: float | None  # median weight norm at which earlier trials generalised
    slack: float  # how many times too late a forecast may be, by those of earlier trials; inf: not to be used


Signs = Sequence[Sign]


def collapsed(signs: Signs, at: Circumstances) -> bool:
    """The network has lost what it knew, or its logits have died away."""
    last, best = signs[-1], max(sign.train_accuracy for sign in signs)
    forgotten = best >= 0.5 and all(sign.train_accuracy < 0.5 * best for sign in signs[-FORGOTTEN:])
    dead = last.logit_rms < DEAD_LOGITS and last.logit_rms < signs[0].logit_rms
    return (forgotten or dead) and not _falling(lately(signs), "train_loss")


def underfit(signs: Signs, at: Circumstances) -> bool:
    """Far past the usual memorisation, the training set is not memorised and its loss stands still."""
    late = at.memorization_step is not None and signs[-1].step > UNDERFIT_AFTER * at.memorization_step
    return late and memorized(signs) is None and not _falling(lately(signs), "train_loss")


def frozen(signs: Signs, at: Circumstances) -> bool:
    """No gradient is left, and weight decay will not bring one back within the budget."""
    last = signs[-1]
    return last.zero_gradient > 0.95 and at.decay_rate * (at.budget - last.step) < 1


def slow_decay(signs: Signs, at: Circumstances) -> bool:
    """Weights shrink by exp(-decay_rate · t): far too late at the norm where others generalised."""
    if not at.decay_driven or at.generalization_norm is None or memorized(signs) is None:
        return False
    last = signs[-1]
    to_go = np.log(max(last.weight_norm / at.generalization_norm, 1.0)) / max(at.decay_rate, 1e-12)
    return bool(last.step + to_go > CLOCK_SLACK * at.budget)


def stagnant(signs: Signs, at: Circumstances) -> bool:
    """Long after memorisation, the monitor loss does not fall and no structure grows."""
    since = memorized(signs)
    return since is not None and signs[-1].step > STAGNANT_AFTER * max(since, 1)


def raced(signs: Signs, at: Circumstances) -> bool:
    """It cannot come near the best any more, by its cost or by the earliest end that its loss points to."""
    last = signs[-1]
    return max(1.0, forecast(signs) / at.slack / max(last.step, 1)) * last.cost > at.limit


def progressing(signs: Signs) -> bool:
    """The monitor loss is past its peak and falls, or R_sum or IPR rises."""
    window = lately(signs)
    past_peak = window[-1].monitor_loss < (1 - FALL) * max(sign.monitor_loss for sign in signs)
    rising = any(_rising(window, name) for name in ("r_sum", "ipr"))
    return rising or (past_peak and _falling(window, "monitor_loss"))


Rule = Callable[[Signs, Circumstances], bool]
# Those that stop whatever progress there is, and those that progress overrules
RULES: dict[str, Rule] = {"collapsed": collapsed, "raced": raced}
SPARING_RULES: dict[str, Rule] = {
    "underfit": underfit, "frozen": frozen, "slow_decay": slow_decay, "stagnant": stagnant,
}  # fmt: skip


def verdict(signs: Signs, at: Circumstances) -> str | None:
    """The rule by which the replica should stop after these signs, or None."""
    if len(signs) < FEWEST:
        return None
    rules = RULES if progressing(signs) else RULES | SPARING_RULES
    return next((name for name, rule in rules.items() if rule(signs, at)), None)


def slack(errors: Sequence[float]) -> float:
    """The worst of the ratios of forecast to truth; infinite where there are too few to say."""
    return max(errors) if len(errors) >= FORECASTS else np.inf


def memorized(signs: Signs) -> int | None:
    """The first check at which the training set was memorised."""
    return next((sign.step for sign in signs if sign.train_accuracy >= ACCURACY_THRESHOLD), None)


def lately(signs: Signs) -> Signs:
    """The checks of the last WINDOW of the steps, at least the last three."""
    start = (1 - WINDOW) * signs[-1].step
    recent = [sign for sign in signs if sign.step >= start]
    return recent if len(recent) >= 3 else signs[-3:]


def forecast(signs: Signs) -> float:
    """The step at which the monitor loss would be 0 if it fell on as lately; 0 where it has hardly begun to.

    The loss falls faster and faster, so this is too late, early on many times too late: `slack`.
    """
    first, last, peak = lately(signs)[0], signs[-1], max(sign.monitor_loss for sign in signs)
    slope = (first.monitor_loss - last.monitor_loss) / max(last.step - first.step, 1)
    falls = slope > 0 and last.monitor_loss < (1 - CLEARLY_PAST) * peak
    return last.step + last.monitor_loss / slope if falls else 0.0


def _falling(window: Signs, name: str) -> bool:
    return getattr(window[-1], name) < (1 - FALL) * getattr(window[0], name)


def _rising(window: Signs, name: str) -> bool:
    return getattr(window[-1], name) > getattr(window[0], name) + RISE
