"""Published laws of time-to-grok, each tested on sweeps of this laboratory."""

from collections.abc import Mapping
from math import isfinite, nan
from typing import Any

import pandas as pd

from grokking.analysis.laws import boundaries, delays, fractions, norms, rounding
from grokking.analysis.laws.law import HOLDS, NOT_RUN, Found, Law

LAWS: tuple[Law, ...] = (*delays.LAWS, *norms.LAWS, *boundaries.LAWS, *fractions.LAWS, *rounding.LAWS)


def judged(
    tables: Mapping[str, pd.DataFrame], predicted: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each law on each sweep that tests it: its claim, what was found, with n and interval, and the verdict.

    `tables` are of the sweeps that were run; `predicted` has what their entries predict.
    """
    return [
        _row(law, sweep, tables.get(sweep), predicted.get(sweep, {})) for law in LAWS for sweep in law.sweeps
    ]


def _row(law: Law, sweep: str, table: pd.DataFrame | None, predicted: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "law": law.name,
        "claim": law.claim,
        "source": law.source,
        "sweep": sweep,
        "measured": law.measured,
    }
    row |= {
        "claimed": [end if isfinite(end) else None for end in law.claimed],
        "predicted": predicted.get(law.measured),
    }
    if table is None:
        return row | {"verdict": NOT_RUN}
    try:
        found = law.test(table)
    except ValueError as error:  # too few events for a regression
        found = Found(nan, nan, nan, 0, len(table), int((~table["observed"].astype(bool)).sum()), str(error))
    return row | found.as_json() | {"verdict": law.verdict(found)}


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many laws there are, and how many tests of them came out how."""
    verdicts = [row["verdict"] for row in rows]
    return {"laws": len({row["law"] for row in rows})} | {v: verdicts.count(v) for v in sorted(set(verdicts))}


__all__ = ["HOLDS", "LAWS", "NOT_RUN", "Law", "counts", "judged"]
