"""How the time to an event is stretched by what replicas differ in: accelerated-failure-time regression."""

# N replicas, C coefficients

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from grokking.analysis.censored import Likelihood
from grokking.analysis.newton import Maximum, maximise
from grokking.analysis.spans import SCATTERS, Array, Spans, spans


@dataclass(frozen=True)
class Accelerated:
    """log T = constant + covariates · coefficients + scale · scatter, of natural logarithms."""

    distribution: str  # of the times, a key of SCATTERS
    scale: float
    coefficients: pd.DataFrame  # of "constant" and each covariate: value, standard_error, low, high
    log_likelihood: float
    aics: Mapping[str, float]  # Akaike's criterion of every distribution that was tried

    @property
    def aic(self) -> float:
        return self.aics[self.distribution]

    def interval(self, name: str) -> tuple[float, float, float]:
        """A coefficient, and the ends of its 95 % interval."""
        low, value, high = (self.coefficients[end].to_dict()[name] for end in ("low", "value", "high"))
        return float(value), float(low), float(high)

    def median(self, covariates: pd.DataFrame) -> Array:
        """Time by which half of the replicas at each row have had the event, in the unit of the times."""
        line_N = _design(covariates) @ self.coefficients["value"].to_numpy()
        return np.exp(line_N + self.scale * SCATTERS[self.distribution].law().median())


def accelerated(
    covariates: pd.DataFrame,
    times: Array,
    observed: Array,
    before: Array | None = None,
    distribution: str | None = None,
) -> Accelerated:
    """Maximum likelihood of the distribution with the smallest AIC, or of the one asked for.

    Times as in `spans`. The coefficient of a covariate's logarithm is the exponent of a power law. Errors are
    by the observed information (Wald), made larger as in least squares for the coefficients that were fitted;
    the 95 % intervals are of Student's distribution. With log-normal times that all were observed exactly,
    both are those of least squares.
    """
    design_NC, known = _design(covariates), spans(times, observed, before)
    _check(design_NC, observed)
    if distribution not in (None, *SCATTERS):
        raise ValueError(f"`distribution` must be one of {', '.join(SCATTERS)}, but got {distribution}")
    fits = {name: _fit(name, design_NC, known) for name in SCATTERS if distribution in (None, name)}
    aics = {
        name: float(2 * (design_NC.shape[1] + 1) - 2 * fit.log_likelihood_B) for name, fit in fits.items()
    }
    best = min(aics, key=aics.__getitem__)
    table = _table(fits[best], ["constant", *covariates], int(observed.sum()))
    return Accelerated(best, float(fits[best].scale_B), table, float(fits[best].log_likelihood_B), aics)


def _design(covariates: pd.DataFrame) -> Array:
    return np.column_stack([np.ones(len(covariates)), covariates.to_numpy(float)])


def _check(design_NC: Array, observed: Array) -> None:
    coefficients, rank = design_NC.shape[1], np.linalg.matrix_rank(design_NC[observed])
    if rank < coefficients or observed.sum() <= coefficients:
        raise ValueError(
            f"{coefficients} coefficients need more events than that, at points that tell them apart, but "
            f"{observed.sum()} events are at points of rank {rank}: leave out covariates, or train longer"
        )


def _fit(name: str, design_NC: Array, known: Spans) -> Maximum:
    ones_N = np.ones(len(design_NC))
    found = maximise(Likelihood(SCATTERS[name], known, design_NC, 0 * ones_N, ones_N))
    if np.isnan(found.scale_B):
        raise ValueError(f"{name} times have no best scale: all lie on a line, to the spacing of evaluations")
    return found


def _table(fit: Maximum, names: list[str], events: int) -> pd.DataFrame:
    free = events - len(names)
    value_C = fit.coefficients_BC
    error_C = np.sqrt(np.diagonal(fit.covariance_BCC) * events / free)
    half_C = scipy.stats.t.ppf(0.975, free) * error_C
    columns = {"value": value_C, "standard_error": error_C, "low": value_C - half_C, "high": value_C + half_C}
    return pd.DataFrame(columns, index=names)
