"""Times to an event where some replicas were stopped before it happened (right-censored)."""

# E event times, in order

import warnings
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are first used; scipy.stats takes a second


def median(times: np.ndarray, observed: np.ndarray) -> float | None:
    """Kaplan-Meier median: the first time by which at least half have had the event; None if never.

    `times` holds the event's time where `observed`, else the time until which it had not happened.
    """
    if not observed.any():
        return None
    survival = _survival(times, observed)
    return _half(survival.quantiles, survival.probabilities)


def median_interval(times: np.ndarray, observed: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of the median: where the log-log band around the survival curve falls to one half.

    Brookmeyer and Crowley 1982; None where the band never falls so far. Where nobody or everybody has had the
    event, the band is undefined and the curve itself takes its place.
    """
    if not observed.any():
        return None, None
    survival = _survival(times, observed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined")
        band = survival.confidence_interval(method="log-log")
    low_E, high_E = (
        np.where(np.isnan(edge.probabilities), survival.probabilities, edge.probabilities)
        for edge in (band.low, band.high)
    )
    return _half(survival.quantiles, low_E), _half(survival.quantiles, high_E)


def reached(times: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share that has had the event by each time: the corners of a step function that begins at 0."""
    end = float(times.max())
    if not observed.any():
        return np.array([0.0, end]), np.zeros(2)
    survival = _survival(times, observed)
    shares = 1 - survival.probabilities
    return np.array([0.0, *survival.quantiles, end]), np.array([0.0, *shares, shares[-1]])


def logrank_p(times: np.ndarray, observed: np.ndarray, times2: np.ndarray, observed2: np.ndarray) -> float:
    """Two-sided p-value of the log-rank test that two groups have the same time to the event.

    1 where the test has no variance: nobody has had the event, or everybody at the same time.
    """
    with np.errstate(invalid="ignore"):
        p = float(scipy.stats.logrank(_censored(times, observed), _censored(times2, observed2)).pvalue)
    return 1.0 if np.isnan(p) else p


def restricted_mean(times: np.ndarray, observed: np.ndarray, until: float) -> tuple[float, float]:
    """Mean of the time to the event or `until`, whichever is earlier, and its standard error; unit of times.

    The area under the Kaplan-Meier curve, with Greenwood's variance (Klein and Moeschberger 2003,
    section 4.5). The curve must be known up to `until`.
    """
    survival = _survival(times, observed)
    time_E, survival_E = survival.quantiles, survival.probabilities
    if until > times.max() and survival_E[-1] > 0:
        raise ValueError(
            f"`until` must be at most {times.max():g}, the longest that was waited, but got {until:g}"
        )
    edges = np.minimum(np.append(time_E, until), until)
    rest_E = np.cumsum((survival_E * np.diff(edges))[::-1])[::-1]  # area from each event on
    events_E = np.array([np.sum(times[observed] == time) for time in time_E])
    risk_E = np.array([np.sum(times >= time) for time in time_E])
    surviving_E = np.maximum(risk_E - events_E, 1)  # where nobody is left, nor is any area
    variance = np.sum(rest_E**2 * events_E / (risk_E * surviving_E))
    return float(edges[0] + rest_E[0]), float(np.sqrt(variance))


def share_with_interval(count: int, n: int) -> tuple[float, float, float]:
    """A share, and its 95 % interval of Wilson 1927."""
    interval = scipy.stats.binomtest(count, n).proportion_ci(method="wilson")
    return count / n, float(interval.low), float(interval.high)


def _censored(times: np.ndarray, observed: np.ndarray) -> Any:
    return scipy.stats.CensoredData(uncensored=times[observed], right=times[~observed])


def _survival(times: np.ndarray, observed: np.ndarray) -> Any:
    return scipy.stats.ecdf(_censored(times, observed)).sf


def _half(time_E: np.ndarray, survival_E: np.ndarray) -> float | None:
    """The first time at which a survival curve is at one half or below."""
    below = survival_E <= 0.5 + 1e-12
    return float(time_E[below][0]) if below.any() else None
