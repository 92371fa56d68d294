"""Logistic regression on one number, and where it is one half, with Fieller's interval."""

from dataclasses import dataclass

import numpy as np
import scipy


@dataclass(frozen=True)
class Logistic:
    """Log odds = constant + slope · x."""

    constant: float
    slope: float
    covariance: np.ndarray

    @property
    def half(self) -> float:
        """Where half of the networks are expected to generalize."""
        return -self.constant / self.slope

    def half_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Fieller's interval of `half`: where the log odds may be 0; infinite for an unsure slope."""
        z = scipy.stats.norm.ppf(0.5 + level / 2) ** 2
        (aa, ab), (_, bb) = self.covariance
        quadratic = (
            self.slope**2 - z * bb,
            2 * (self.constant * self.slope - z * ab),
            self.constant**2 - z * aa,
        )
        if quadratic[0] <= 0:
            return -np.inf, np.inf
        low, high = np.sort(np.roots(quadratic).real)
        return float(low), float(high)


def logistic(x: np.ndarray, generalized: np.ndarray) -> Logistic:
    """Maximum likelihood over the counts at each x, with half a network more of each outcome.

    The halves (Haldane 1956, Anscombe 1956) keep a clean boundary, which has no largest likelihood, finite.
    """
    import statsmodels.api as sm  # which takes half a second

    at, which = np.unique(x, return_inverse=True)
    trials = np.bincount(which)
    successes = np.bincount(which, weights=generalized)
    counts = np.column_stack([successes + 0.5, trials - successes + 0.5])
    fit = sm.GLM(counts, sm.add_constant(at), family=sm.families.Binomial()).fit()
    constant, slope = map(float, fit.params)
    return Logistic(constant, slope, np.asarray(fit.cov_params()))
