"""Time to an event over the training fraction: T = factor · (fraction - critical)^-exponent."""

from dataclasses import dataclass

import numpy as np

from grokking.analysis.fraction_runs import Runs
from grokking.analysis.newton import Maximum, maximise
from grokking.analysis.spans import Array

# How far below the smallest fraction with an event the critical one is looked for, in units of that fraction.
# At PLAIN it is 0; beyond FARTHEST the law hardly changes, as it is all but exponential.
NEAREST, PLAIN, FARTHEST = 1e-6, 1.0, 30.0
POINTS = 24  # of a grid of gaps
ZOOMS = 6


@dataclass(frozen=True)
class Law:
    """Median time over the training fraction, with log-normal scatter."""

    log_factor: float  # natural
    exponent: float
    critical: float  # the training fraction up to which nothing generalizes; 0 in the plain power law
    scatter: float  # standard deviation of the natural logarithm of the times, by maximum likelihood
    standard_error: float | None  # of the exponent, as least squares has it; None in the shifted law
    r_squared: float  # of the logarithm of the times, over the replicas that were observed
    log_likelihood: float
    parameters: int  # the scatter is one
    events: int

    @property
    def factor(self) -> float:
        """In the unit of the times; inf where an all but exponential law has one beyond all numbers."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_factor))

    @property
    def aic(self) -> float:
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for few events; inf where they are too few for that."""
        free = self.events - self.parameters - 1
        return self.aic + 2 * self.parameters * (self.parameters + 1) / free if free > 0 else float("inf")

    def predict(self, fractions: Array) -> Array:
        """Median time at training fractions, in the unit of the times; inf where nothing generalizes."""
        above = np.asarray(fractions, float) - self.critical
        log_above = np.log(np.where(above > 0, above, 1.0))
        return np.where(above > 0, np.exp(self.log_factor - self.exponent * log_above), np.inf)


def power_law(runs: Runs) -> Law:
    """T = factor · fraction^-exponent, by maximum likelihood with censoring."""
    fit, events = _fit(runs, PLAIN), runs.observed.sum()
    error = np.sqrt(fit.covariance_BCC[1, 1] * events / (events - 2))
    return _law(runs, fit, 0.0, 3, float(error))


def shifted_power_law(runs: Runs) -> Law:
    """T = factor · (fraction - critical)^-exponent, by maximum likelihood with censoring.

    The critical fraction lies below all at which an event was seen; it may be negative.
    """
    gap = best_gap(runs)
    return _law(runs, _fit(runs, gap), runs.smallest * (1 - gap), 4, None)


LAWS = {"power": power_law, "shifted": shifted_power_law}


def best_gap(runs: Runs) -> float:
    """The gap with the largest likelihood, by ever finer grids."""
    low, high = np.log(NEAREST), np.log(FARTHEST)
    for _ in range(ZOOMS):
        gap_G = np.linspace(low, high, POINTS)
        found_G = maximise(runs.likelihood(np.exp(gap_G))).log_likelihood_B
        best = int(np.argmax(np.where(np.isnan(found_G), -np.inf, found_G)))
        low, high = gap_G[max(best - 1, 0)], gap_G[min(best + 1, POINTS - 1)]
    return float(np.exp(gap_G[best]))


def _fit(runs: Runs, gap: float) -> Maximum:
    fit = maximise(runs.likelihood(np.array(gap)))
    if np.isnan(fit.scale_B):
        raise ValueError("the times have no best scatter: all lie on the law, to the spacing of evaluations")
    return fit


def _law(runs: Runs, fit: Maximum, critical: float, parameters: int, error: float | None) -> Law:
    log_factor, exponent = fit.coefficients_BC
    log_T = np.log(runs.times[runs.observed])
    rest = log_T - log_factor + exponent * np.log(runs.fractions[runs.observed] - critical)
    return Law(
        log_factor=float(log_factor),
        exponent=float(exponent),
        critical=critical,
        scatter=float(fit.scale_B),
        standard_error=error,
        r_squared=float(1 - np.sum(rest**2) / np.sum((log_T - log_T.mean()) ** 2)),
        log_likelihood=float(fit.log_likelihood_B),
        parameters=parameters,
        events=len(log_T),
    )
