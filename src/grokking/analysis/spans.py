"""Between which evaluations an event happened, and how log-times may scatter."""

# N replicas

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

Array = np.ndarray


@dataclass(frozen=True)
class Spans:
    """Logarithms of the times between which events lie: equal where exact, -inf or inf where open."""

    lower_N: Array
    upper_N: Array

    @property
    def exact_N(self) -> Array:
        return self.lower_N == self.upper_N


def spans(times: Array, observed: Array, before: Array | None = None) -> Spans:
    """An event lies in (before, time] where `observed`, at the time itself without `before`, else beyond.

    `before` is the last evaluation before that of the time, in the same unit; it may be 0.
    """
    before = times if before is None else before
    if (times <= 0).any() or (before < 0).any() or (before > times)[observed].any():
        raise ValueError("times must be positive, and `before` between 0 and them: leave out the untrained")
    with np.errstate(divide="ignore"):
        lower_N = np.log(np.where(observed, before, times))
    return Spans(lower_N, np.where(observed, np.log(times), np.inf))


@dataclass(frozen=True)
class Scatter:
    """How log-times scatter about their centre, in units of a scale; derivatives are of the log density."""

    law: Callable[[], Any]  # a distribution of scipy.stats
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]

    def share(self, low: Array, high: Array) -> Array:
        """Logarithm of the probability between two edges, from the tail that does not lose it to rounding."""
        right = low > 0
        large = np.where(right, self.law().logsf(low), self.law().logcdf(high))
        small = np.where(right, self.law().logsf(high), self.law().logcdf(low))
        return large + np.log1p(-np.exp(small - large))


SCATTERS = {  # called by what it makes of the times; all have a concave log density
    "log-normal": Scatter(lambda: scipy.stats.norm, np.negative, lambda z: np.full_like(z, -1.0)),
    "log-logistic": Scatter(
        lambda: scipy.stats.logistic,
        lambda z: 1 - 2 * scipy.special.expit(z),
        lambda z: -2 * scipy.special.expit(z) * scipy.special.expit(-z),
    ),
    "Weibull": Scatter(lambda: scipy.stats.gumbel_l, lambda z: 1 - np.exp(z), lambda z: -np.exp(z)),
}
