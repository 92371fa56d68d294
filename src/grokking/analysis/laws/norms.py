"""Laws of the weight norm: where it is when a network generalizes, and what holding it does."""

import numpy as np
import pandas as pd

from grokking.analysis.accelerated import accelerated
from grokking.analysis.laws.delays import DECAY, FRACTION, RATE
from grokking.analysis.laws.law import Found, Law

CRITICAL_NORM = "https://arxiv.org/abs/2606.13753"
LOGIT_SCALE = "https://arxiv.org/abs/2606.18465"


def norm_variation(table: pd.DataFrame) -> Found:
    """Coefficient of variation of the norm at generalization, over seeds and learning rates.

    Of each train fraction and weight decay with at least five networks that generalized with a learning rate
    of two or more; the median of these, with the range of their middle half.
    """
    own = table[table["observed"].astype(bool) & (table[DECAY] > 0)]
    spread = [
        float(group["generalization_weight_norm"].std(ddof=1) / group["generalization_weight_norm"].mean())
        for _, group in own.groupby([FRACTION, DECAY])
        if len(group) >= 5 and group[RATE].nunique() > 1
    ]
    if not spread:
        return Found(np.nan, np.nan, np.nan, 0, len(own), 0, "no cell with five networks")
    low, high = np.quantile(spread, [0.25, 0.75])
    return Found(
        float(np.median(spread)), float(low), float(high), len(spread), len(own), 0,
        "the interval is the middle half of the groups",
    )  # fmt: skip


def held_norm_rate(table: pd.DataFrame) -> Found:
    """α in T ∝ exp(α ρ), ρ the held norm in units of the smallest one that is held; logits as they are."""
    own = table[table["model.output_scale"] == 1.0]
    rho = own["initial_weight_norm"] / own["initial_weight_norm"].min()
    observed = own["observed"].to_numpy(bool)
    times = own["generalization_step"].where(own["observed"].astype(bool), own["budget"]).to_numpy(float)
    fit = accelerated(pd.DataFrame({"rho": rho}), times, observed)
    norms, note = own["model.init_scale"].nunique(), "ρ in units of the smallest norm that is held"
    return Found(*fit.interval("rho"), norms, len(own), int((~observed).sum()), note)


def share_of_logit_scale(table: pd.DataFrame) -> Found:
    """R² of log time-to-grok on a quadratic in the logarithm of the logits' scale at memorization.

    The interval is over networks drawn anew; the note has R² with the held norm beside it.
    """
    own = table[table["observed"].astype(bool) & table["memorization_logit_rms"].notna()]
    scale = np.log(own["memorization_logit_rms"].to_numpy(float))
    norm = np.log(own["initial_weight_norm"].to_numpy(float))
    times = np.log(own["generalization_step"].to_numpy(float))
    if len(own) < 10:
        return Found(np.nan, np.nan, np.nan, 0, len(own), 0, "too few networks generalized")
    value, both = _r_squared(times, scale), _r_squared(times, scale, norm)
    random = np.random.default_rng(0)
    picks = [random.integers(0, len(own), len(own)) for _ in range(1000)]
    low, high = np.quantile([_r_squared(times[pick], scale[pick]) for pick in picks], [0.025, 0.975])
    missing = len(table) - len(own)
    note = f"{both:.2f} with the norm beside it; {missing} networks that did not generalize are left out"
    cells = own.groupby(["model.init_scale", "model.output_scale"]).ngroups
    return Found(value, float(low), float(high), cells, len(own), 0, note)


def _r_squared(times: np.ndarray, *logs: np.ndarray) -> float:
    design = np.column_stack([np.ones_like(times), *(x**power for x in logs for power in (1, 2))])
    rest = times - design @ np.linalg.lstsq(design, times, rcond=None)[0]
    return float(1 - rest @ rest / np.sum((times - times.mean()) ** 2))


LAWS = (
    Law("critical norm", "the norm at generalization varies by 1 to 2 % over seeds and learning rates",
        CRITICAL_NORM, "norm_variation", (0.0, 0.02), ("phases_mlp", "phases_transformer"), norm_variation),
    Law("held norm", "with the norm held at ρ times the critical one, T ∝ exp(7.5 ρ)", CRITICAL_NORM,
        "held_norm_rate", (7.0, 8.0), ("held_norm",), held_norm_rate),
    Law("logit scale", "under cross-entropy the logit scale explains 97 % of the variance of the delay",
        LOGIT_SCALE, "share_of_logit_scale", (0.95, 1.0), ("held_norm",), share_of_logit_scale),
)  # fmt: skip
