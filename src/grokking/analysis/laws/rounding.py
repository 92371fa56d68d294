"""Rounding in the loss as a cause of grokking, or as what prevents it."""

import pandas as pd
import scipy

from grokking.analysis.laws.delays import DECAY
from grokking.analysis.laws.law import Found, Law

EDGE = "https://arxiv.org/abs/2501.04697"


def share_without_decay(table: pd.DataFrame) -> Found:
    """How many times as often networks without decay generalize with float64 sums as with float32."""
    own = table[table[DECAY] == 0.0]
    counts = {
        precision: (int(part["observed"].sum()), len(part))
        for precision, part in own.groupby("loss_precision")
    }
    (single, n), (double, m) = counts["float32"], counts["float64"]
    note = f"float32 {single} of {n}, float64 {double} of {m}"
    at_least = max(single, 1)  # one of none, so that the ratio is a number
    risk = scipy.stats.contingency.relative_risk(double, m, at_least, n)
    low, high = risk.confidence_interval(0.95)
    censored = int((~own["observed"].astype(bool)).sum())
    return Found(float(risk.relative_risk), float(low), float(high), 2, len(own), censored, note)


LAWS = (
    Law("rounding prevents grokking without decay",
        "without weight decay, rounding stops what would generalize: float64 does more often",
        EDGE, "share_without_decay", (1.01, float("inf")), ("rounding_mlp", "rounding_transformer"),
        share_without_decay),
)  # fmt: skip
