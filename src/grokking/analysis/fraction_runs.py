"""Replicas at several training fractions, and what a law makes of when they generalized."""

# G gaps at once (a leading axis, which may be absent), N replicas, C coefficients

from dataclasses import dataclass

import numpy as np

from grokking.analysis.censored import Likelihood
from grokking.analysis.spans import SCATTERS, Array, spans


@dataclass(frozen=True)
class Runs:
    """Training fractions of the replicas; times, `observed` and `before` as `spans` takes them."""

    fractions: Array
    times: Array
    observed: Array
    before: Array | None = None

    def __post_init__(self) -> None:
        seen = self.fractions[self.observed]
        if len(np.unique(seen)) < 3 or len(seen) < 4:
            raise ValueError(
                f"a law needs four events at three training fractions, but got {len(seen)} at "
                f"{np.unique(seen).tolist()}: train more replicas, or longer"
            )

    def take(self, which: Array) -> "Runs":
        """The replicas at these positions or under this mask."""
        before = None if self.before is None else self.before[which]
        return Runs(self.fractions[which], self.times[which], self.observed[which], before)

    @property
    def smallest(self) -> float:
        """The smallest training fraction at which the event was seen to happen."""
        return float(self.fractions[self.observed].min())

    def likelihood(self, gap_G: Array) -> Likelihood:
        """Of log-normal times about the law, whose coefficients are log factor and exponent.

        The gap is the smallest fraction less the critical one, in units of the smallest. Up to the critical
        fraction nothing generalizes: a replica there that did not says nothing.
        """
        above_GN = self.fractions - self.smallest * (1 - gap_G[..., None])
        log_GN = np.log(np.where(above_GN > 0, above_GN, 1.0))
        design_GNC = np.stack([np.ones_like(log_GN), -log_GN], -1)
        known, says_GN = spans(self.times, self.observed, self.before), (above_GN > 0).astype(float)
        return Likelihood(SCATTERS["log-normal"], known, design_GNC, np.zeros(len(self.times)), says_GN)
