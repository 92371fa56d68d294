"""Laws of the weight norm: where it is when a network generalizes, and what holding it does."""

import numpy as np
import pandas as pd

from grokking.analysis.accelerated import accelerated
from grokking.analysis.laws.delays import DECAY, FRACTION, RATE
from grokking.analysis.laws.law import Found, Law
from grokking.analysis.survival import median

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
    """α in T ∝ exp(α ρ), with logits as they are; ρ is the held norm in units of the critical one.

    The critical norm is the held one whose networks generalize soonest. With a smaller one networks can
    hardly memorize; they are left out.
    """
    own = table[table["model.output_scale"] == 1.0]
    if not own["observed"].any():
        return Found(np.nan, np.nan, np.nan, 0, len(own), len(own), "no network generalized")
    cells = {scale: _median_step(part) for scale, part in own.groupby("model.init_scale")}
    soonest = min(cells, key=cells.__getitem__)
    own = own[own["model.init_scale"] >= soonest]
    norms = own.groupby("model.init_scale")["initial_weight_norm"].transform("mean")
    rho = norms / norms[own["model.init_scale"] == soonest].iloc[0]
    observed = own["observed"].to_numpy(bool)
    times = own["generalization_step"].where(own["observed"].astype(bool), own["budget"]).to_numpy(float)
    fit = accelerated(pd.DataFrame({"rho": rho}), times, observed)
    note = f"ρ from 1 to {rho.max():.2f}"
    return Found(*fit.interval("rho"), rho.round(6).nunique(), len(own), int((~observed).sum()), note)


def share_of_logit_scale(table: pd.DataFrame) -> Found:
    """R² of log time-to-grok on the logarithm of the scale of the initial logits.

    That scale is the held norm to the power of the number of layers, times the factor of the output: the same
    throughout training where the norm is held. Cells with smaller logits than those that generalize soonest
    are left out, as with the norm. The interval is over networks drawn with replacement.
    """
    cells = [
        (own["initial_logit_rms"].mean(), _median_step(own), own)
        for _, own in table.groupby(["model.init_scale", "model.output_scale"])
    ]
    soonest, _, _ = min(cells, key=lambda cell: cell[1])
    beyond = pd.concat([own.assign(scale=scale) for scale, _, own in cells if scale >= soonest])
    own = beyond[beyond["observed"].astype(bool)]
    if len(own) < 10:
        return Found(np.nan, np.nan, np.nan, 0, len(own), 0, "too few networks generalized")
    names = ("generalization_step", "scale", "initial_weight_norm")
    times, logits, norms = (np.log(own[name].to_numpy(float)) for name in names)
    random = np.random.default_rng(0)
    picks = [random.integers(0, len(own), len(own)) for _ in range(1000)]
    low, high = np.quantile([_r_squared(times[pick], logits[pick]) for pick in picks], [0.025, 0.975])
    note = (
        f"{_r_squared(times, logits, norms):.2f} with the norm beside it, {_r_squared(times, norms):.2f} of "
        f"the norm alone; {len(beyond) - len(own)} networks that did not generalize are left out"
    )
    count = own.groupby(["model.init_scale", "model.output_scale"]).ngroups
    return Found(_r_squared(times, logits), float(low), float(high), count, len(own), 0, note)


def _median_step(networks: pd.DataFrame) -> float:
    """Infinite where fewer than half of the networks generalized."""
    observed = networks["observed"].to_numpy(bool)
    times = networks["generalization_step"].fillna(networks["budget"]).to_numpy(float)
    found = median(times, observed)
    return np.inf if found is None else found


def _r_squared(times: np.ndarray, *logs: np.ndarray) -> float:
    design = np.column_stack([np.ones_like(times), *logs])
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
