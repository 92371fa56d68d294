"""Times to an event where some replicas were stopped before it happened (right-censored)."""

import numpy as np
from scipy.stats import CensoredData, ecdf


def median(times: np.ndarray, observed: np.ndarray) -> float | None:
    """Kaplan-Meier median: the first time by which at least half have had the event.

    `times` holds the event's time where `observed`, else the time until which it had not happened. None
    where the estimate never falls to one half.
    """
    if not observed.any():
        return None
    survival = ecdf(CensoredData(uncensored=times[observed], right=times[~observed])).sf
    reached = survival.probabilities <= 0.5 + 1e-12
    return float(survival.quantiles[reached][0]) if reached.any() else None
