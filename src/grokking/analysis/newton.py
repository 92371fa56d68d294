"""The maximum of a censored likelihood by Newton's method, for many fits at once."""

# B fits at once (leading axes, which may be absent), N replicas, C coefficients, P = C + 1 parameters

from dataclasses import dataclass

import numpy as np

from grokking.analysis.censored import Likelihood
from grokking.analysis.spans import Array

ITERATIONS = 100
NEAR = 1e-9  # the best, in log-likelihood; the step from there takes it to rounding
FLAT = 1e-13  # a direction, beside the steepest
SMALLEST = 1e-5  # scale: steps are whole numbers, so that only made-up times lie closer to a line


@dataclass(frozen=True)
class Maximum:
    """Coefficients and scale, their covariance, and the log-likelihood; nan where there is no maximum."""

    coefficients_BC: Array
    scale_B: Array
    covariance_BCC: Array  # of the coefficients, by the observed information
    log_likelihood_B: Array


def maximise(likelihood: Likelihood) -> Maximum:
    """The best line. There is none where the scale can shrink to 0, as with all times on a line."""
    theta_BP = _start(likelihood)
    value_B, slope_BP, curvature_BPP = likelihood.at(theta_BP)
    share_B = np.ones_like(value_B)  # of Newton's step that is tried
    for _ in range(ITERATIONS):
        step_BP = _step(slope_BP, curvature_BPP)
        near_B = np.sum(slope_BP * step_BP, -1) < NEAR
        if near_B.all():
            break
        trial_BP = theta_BP + share_B[..., None] * step_BP
        trial = trial_BP, *likelihood.at(trial_BP)
        better_B = trial[1] > value_B - NEAR
        theta_BP, value_B, slope_BP, curvature_BPP = _choose(
            better_B, trial, (theta_BP, value_B, slope_BP, curvature_BPP)
        )
        share_B = np.where(better_B, np.minimum(1, 2 * share_B), share_B / 4)
    return _maximum(theta_BP + near_B[..., None] * step_BP, value_B, curvature_BPP, near_B)


def _start(likelihood: Likelihood) -> Array:
    """Least squares with every censored time as if it were the event's."""
    weight_BN, design_BNC = likelihood.weights_BN[..., None], likelihood.design_BNC
    spans = likelihood.spans
    time_BN = np.where(np.isfinite(spans.upper_N), spans.upper_N, spans.lower_N) - likelihood.offset_BN
    turned_BCN = np.swapaxes(weight_BN * design_BNC, -1, -2)
    line_BC1 = np.linalg.pinv(turned_BCN @ design_BNC) @ (turned_BCN @ time_BN[..., None])
    rest_BN = time_BN - (design_BNC @ line_BC1)[..., 0]
    weights_BN = np.broadcast_to(likelihood.weights_BN, rest_BN.shape)
    rate_B1 = 1 / np.sqrt(np.average(rest_BN**2, -1, weights_BN, keepdims=True) + 1e-12)
    return np.concatenate([line_BC1[..., 0] * rate_B1, rate_B1], -1)


def _step(slope_BP: Array, curvature_BPP: Array) -> Array:
    """Newton's, with nothing in a direction in which the likelihood is flat."""
    return -(np.linalg.pinv(curvature_BPP, rcond=FLAT, hermitian=True) @ slope_BP[..., None])[..., 0]


def _choose(which_B: Array, new: tuple[Array, ...], old: tuple[Array, ...]) -> list[Array]:
    axes = (tuple(range(which_B.ndim, one.ndim)) for one in new)
    return [
        np.where(np.expand_dims(which_B, added), one, other)
        for added, one, other in zip(axes, new, old, strict=True)
    ]


def _maximum(theta_BP: Array, value_B: Array, curvature_BPP: Array, near_B: Array) -> Maximum:
    scale_B1 = 1 / theta_BP[..., -1:]
    coefficients_BC = theta_BP[..., :-1] * scale_B1
    covariance_BPP = np.linalg.pinv(-curvature_BPP, rcond=FLAT, hermitian=True)
    spread_B = covariance_BPP[..., -1, -1] * scale_B1[..., 0] ** 2  # variance of the scale's logarithm
    good_B = near_B & np.isfinite(value_B) & (spread_B < 1) & (scale_B1[..., 0] > SMALLEST)
    return Maximum(
        np.where(good_B[..., None], coefficients_BC, np.nan),
        np.where(good_B, scale_B1[..., 0], np.nan),
        _covariance(coefficients_BC, scale_B1, covariance_BPP),
        np.where(good_B, value_B, np.nan),
    )


def _covariance(coefficients_BC: Array, scale_B1: Array, covariance_BPP: Array) -> Array:
    """That of the coefficients, from that of the parameters, by the derivatives of one by the other."""
    straight_BCC = np.broadcast_to(np.eye(coefficients_BC.shape[-1]), covariance_BPP[..., :-1, :-1].shape)
    turn_BCP = scale_B1[..., None] * np.concatenate([straight_BCC, -coefficients_BC[..., None]], -1)
    return turn_BCP @ covariance_BPP @ np.swapaxes(turn_BCP, -1, -2)
