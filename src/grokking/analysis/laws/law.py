"""A published law as a number that a sweep measures, and how the two are compared."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite, isnan
from typing import Any, Literal

import pandas as pd

HOLDS, CONTRADICTED, UNDECIDED, NOT_RUN = "holds", "does not hold", "cannot be said", "not run"


@dataclass(frozen=True)
class Found:
    """What a sweep says of one number, with its 95 % interval."""

    value: float
    low: float
    high: float
    cells: int
    networks: int  # that the number is of
    censored: int  # of them, those that did not generalize
    note: str = ""  # what else a reader must know

    def as_json(self) -> dict[str, Any]:
        """Its numbers; what is no number is None."""
        return {k: None if isinstance(v, float) and isnan(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Law:
    """A claim of others, the number in which it can be wrong, and the sweeps that measure it."""

    name: str
    claim: str
    source: str
    measured: str  # the name of the number, as in `predicted` of a sweep
    claimed: tuple[float, float]  # lowest and highest value with which the claim is right
    sweeps: tuple[str, ...]
    test: Callable[[pd.DataFrame], Found]
    # what a longer budget does to the number: one that is off the claim on that side contradicts nothing
    with_budget: Literal["stays", "falls", "rises"] = "stays"

    def verdict(self, found: Found) -> str:
        """Contradicted where the interval found lies apart from what is claimed, holds where it lies within.

        Where the two only overlap, the claim holds if the interval is narrow, at most half as wide as the
        claim or the estimate is large; a wider one could contain anything.
        """
        low, high = self.claimed
        if isnan(found.value) or isnan(found.low) or isnan(found.high):
            return UNDECIDED
        if found.high < low:
            return UNDECIDED if self.with_budget == "rises" else CONTRADICTED
        if found.low > high:
            return UNDECIDED if self.with_budget == "falls" else CONTRADICTED
        if low <= found.low and found.high <= high:
            return HOLDS
        largest = max(abs(low), abs(high), abs(found.value)) if isfinite(high) else abs(found.value)
        return HOLDS if found.high - found.low <= largest / 2 else UNDECIDED
