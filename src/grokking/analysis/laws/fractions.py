"""Laws of the train fraction: how time-to-grok falls with it, and below which there is none."""

from typing import Any

import numpy as np
import pandas as pd

from grokking.analysis.fraction_law import LAWS as FITS
from grokking.analysis.fraction_law import power_law, shifted_power_law
from grokking.analysis.fraction_runs import Runs
from grokking.analysis.law_checks import bootstrap, leave_one_fraction_out, score
from grokking.analysis.law_intervals import intervals
from grokking.analysis.laws.boundaries import half
from grokking.analysis.laws.delays import FRACTION
from grokking.analysis.laws.law import Found, Law

AUTHOR = "https://github.com/taot/grokking-lab"
COGO = "https://arxiv.org/abs/2509.21519"
MODULUS = "task.operation.modulus"
NETWORKS = ("fractions_quadratic", "fractions_shared_mlp", "fractions_transformer")


def runs(table: pd.DataFrame) -> Runs:
    """Time-to-grok of each network over its train fraction, between two evaluations each."""
    observed = table["observed"].to_numpy(bool)
    times = (
        table["generalization_step"].where(table["observed"].astype(bool), table["budget"]).to_numpy(float)
    )
    before = table["generalization_after_step"].fillna(0).to_numpy(float)
    return Runs(table[FRACTION].to_numpy(float), times, observed, before)


def plain_exponent(table: pd.DataFrame) -> Found:
    """k in T ∝ f^-k, all fractions."""
    own = runs(table)
    law = power_law(own)
    return _found(table, law.exponent, intervals(own, law)["exponent"], f"R² {law.r_squared:.2f}")


def critical_fraction(table: pd.DataFrame) -> Found:
    """f_c in T ∝ (f - f_c)^-k."""
    own = runs(table)
    law = shifted_power_law(own)
    return _found(table, law.critical, intervals(own, law)["critical"], f"exponent {law.exponent:.2f}")


def shifted_exponent(table: pd.DataFrame) -> Found:
    """k in T ∝ (f - f_c)^-k."""
    own = runs(table)
    law = shifted_power_law(own)
    better = power_law(own).aic - law.aic
    note = f"f_c {law.critical:.2f}; AIC {better:.0f} below that of the plain law"
    return _found(table, law.exponent, intervals(own, law)["exponent"], note)


def smallest_fraction(table: pd.DataFrame) -> Found:
    """c in f = c · ln p / p, f the fraction at which half of the networks generalize, over several moduli."""
    found = {int(p): half(table[table[MODULUS] == p], FRACTION, "") for p in sorted(table[MODULUS].unique())}
    ratios = np.array([f.value * p / np.log(p) for p, f in found.items() if np.isfinite(f.value)])
    mean, error = ratios.mean(), ratios.std(ddof=1) / np.sqrt(len(ratios))
    each = ", ".join(f"{f.value:.2f} at p = {p}" for p, f in found.items())
    censored = int((~table["observed"].astype(bool)).sum())
    return Found(
        float(mean),
        float(mean - 1.96 * error),
        float(mean + 1.96 * error),
        len(found),
        len(table),
        censored,
        each,
    )


def compared(table: pd.DataFrame) -> dict[str, Any]:
    """Both laws on one network: numbers with intervals, AIC, and how they predict a fraction left out."""
    own = runs(table)
    laws = {name: fit(own) for name, fit in FITS.items()}
    left_out = leave_one_fraction_out(own)
    return {
        "fractions": sorted(table[FRACTION].unique().tolist()),
        "networks": len(table),
        "censored": int((~own.observed).sum()),
        "laws": {
            name: {"factor": law.factor, "exponent": law.exponent, "critical": law.critical, "aic": law.aic,
                   "r_squared": law.r_squared, "intervals": intervals(own, law)}
            for name, law in laws.items()
        },
        "over_seeds": _over_seeds(own),
        "error_in_decades": score(left_out),
        "left_out": left_out.to_dict("records"),
    }  # fmt: skip


def curves(table: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Train fractions and the median time that each law, plain or shifted, has there."""
    own, at = runs(table), np.geomspace(table[FRACTION].min(), table[FRACTION].max(), 200)
    return {"plain": (at, power_law(own).predict(at)), "shifted": (at, shifted_power_law(own).predict(at))}


def _over_seeds(own: Runs) -> dict[str, list[float]]:
    """The middle 95 % of the exponent and the critical fraction over replicas drawn with replacement."""
    drawn = bootstrap(own, "shifted", 200)
    return {
        name: [float(x) for x in drawn[name].quantile([0.025, 0.975])] for name in ("exponent", "critical")
    }


def _found(table: pd.DataFrame, value: float, ends: tuple[float | None, float | None], note: str) -> Found:
    low, high = (np.nan if end is None else end for end in ends)
    observed = table["observed"].astype(bool)
    return Found(value, low, high, table[FRACTION].nunique(), len(table), int((~observed).sum()), note)


LAWS = (
    Law("power of the train fraction", "T ∝ f^-2.41 (± 0.1, six runs of one network mod 97)", AUTHOR,
        "fraction_exponent", (2.31, 2.51), NETWORKS, plain_exponent),
    Law("shifted power of the train fraction", "the same six runs fit T ∝ (f - f_c)^-1.19 better", AUTHOR,
        "shifted_exponent", (1.19, 1.19), NETWORKS, shifted_exponent),
    Law("critical fraction of system 4", "f_c is 0.16 in T ∝ (f - f_c)^-k, mod 97", AUTHOR,
        "critical_fraction", (0.14, 0.18), ("fractions_shared_mlp",), critical_fraction),
    Law("critical fraction of a quadratic network", "it generalizes from 2.75 ln p / p on, 0.24 mod 43", COGO,
        "critical_fraction", (0.22, 0.26), ("fractions_quadratic",), critical_fraction),
    Law("smallest train fraction", "a quadratic network generalizes from 2.75 ln p / p on",
        COGO, "critical_fraction_times_p_over_ln_p", (2.5, 3.0), ("critical_fractions_quadratic",),
        smallest_fraction, "falls"),
)  # fmt: skip
