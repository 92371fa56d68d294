"""Progress measures of Nanda et al. 2023 (arXiv 2301.05217): losses with part of the logits kept or removed.

A network that has learned to add has logits that are functions of a + b at a few key frequencies. Restricted
loss keeps only these and falls while the full validation loss still shows memorization; excluded loss takes
them out and rises on the training pairs as the network comes to rely on them. Tokens in the order
of `cyclic`. Cost O(T² V) for each, of which restricted loss takes exponentials of T V numbers only.
"""

# T tokens (n of them), S sums, V classes

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from grokking.diagnostics import fourier

PARTS = ("train", "validation", "all")
Losses = dict[str, float]  # by part


def sum_component(logits_TTV: np.ndarray, frequencies: Sequence[int] | None) -> np.ndarray:
    """The logits' projection on cos and sin of 2πk(a + b)/n for these k, or all from 1 on; (T, T, V).

    In the paper's terms Σ_k (P_{c_k} + P_{s_k}) with c_k = (cos cos - sin sin)/√2 and s_k = (sin cos + cos
    sin)/√2. They are functions of the sum, so averages over pairs of equal sum hold all of it.
    """
    a = np.arange(len(logits_TTV))
    return _by_sum(logits_TTV, frequencies)[np.add.outer(a, a) % len(a)]


def _by_sum(logits_TTV: np.ndarray, frequencies: Sequence[int] | None) -> np.ndarray:
    """The sum component as a function of the sum, (S, V)."""
    coefficients_KV = np.fft.rfft(_sum_means(logits_TTV), axis=0)
    every = np.arange(len(coefficients_KV))
    kept = every[1:] if frequencies is None else np.asarray(frequencies)
    coefficients_KV[np.setdiff1d(every, kept)] = 0
    return np.fft.irfft(coefficients_KV, len(logits_TTV), axis=0)


def _sum_means(logits_TTV: np.ndarray) -> np.ndarray:
    """Averages over pairs of equal sum, (S, V)."""
    n, a = len(logits_TTV), np.arange(len(logits_TTV))
    return np.stack([logits_TTV[a, (s - a) % n].mean(0) for s in range(n)])


def sum_power(logits_TTV: np.ndarray) -> np.ndarray:
    """Energy of the sum component at the frequencies 1..n/2, (K,); R_sum is their share of all energy."""
    mean_SV = _sum_means(logits_TTV)
    return len(mean_SV) * fourier.power(mean_SV - mean_SV.mean(1, keepdims=True)).sum(1)


def key_frequencies(power_K: np.ndarray, share: float) -> np.ndarray:
    """The fewest frequencies that hold this share of the power, strongest first.

    Nanda et al. let the neurons of the final network vote; its logits' own spectrum needs no neurons, so it
    serves every family. There may be few or many: an MLP uses nearly all, a slowly trained transformer five.
    """
    strongest = fourier.key_frequencies(power_K, len(power_K))
    held_K = np.cumsum(power_K[strongest - 1]) / power_K.sum()
    return strongest[: 1 + int(np.searchsorted(held_K, share))]


def excluded_logits(logits_TTV: np.ndarray, frequencies: Sequence[int] | None) -> np.ndarray:
    """All but the sum component of these frequencies, (T, T, V)."""
    return logits_TTV - sum_component(logits_TTV, frequencies)


def restricted_loss(
    logits_TTV: np.ndarray, answer_TT: np.ndarray, train_TT: np.ndarray, frequencies: Sequence[int] | None
) -> Losses:
    """Cross-entropy of the restricted logits, by part.

    Kept are the sum component and each class's mean over all pairs: one row of logits per sum. The paper's
    key frequencies are the final network's, so it is known only in hindsight; with None it keeps every
    function of a + b and can be had while training. Blind to what is learned at other frequencies.
    """
    restricted_SV = _by_sum(logits_TTV, frequencies) + logits_TTV.mean((0, 1))
    log_probability_SV = log_softmax(restricted_SV.astype(np.float64), axis=-1)
    a = np.arange(len(logits_TTV))
    return _by_part(-log_probability_SV[np.add.outer(a, a) % len(a), answer_TT], train_TT)


def excluded_loss(
    logits_TTV: np.ndarray, answer_TT: np.ndarray, train_TT: np.ndarray, frequencies: Sequence[int] | None
) -> Losses:
    """Cross-entropy of the logits without all of these frequencies, by part; the paper's is that on train.

    A network that adds loses everything; one that only memorizes, next to nothing.
    """
    return part_losses(excluded_logits(logits_TTV, frequencies), answer_TT, train_TT)


def part_losses(logits_TTV: np.ndarray, answer_TT: np.ndarray, train_TT: np.ndarray) -> Losses:
    """Mean cross-entropy over the training pairs, the validation pairs, and all."""
    log_probability_TTV = log_softmax(logits_TTV.astype(np.float64), axis=-1)
    loss_TT = -np.take_along_axis(log_probability_TTV, answer_TT[..., None], axis=-1)[..., 0]
    return _by_part(loss_TT, train_TT)


def _by_part(loss_TT: np.ndarray, train_TT: np.ndarray) -> Losses:
    masks = (train_TT, ~train_TT, np.ones_like(train_TT))
    return {part: float(loss_TT[mask].mean()) for part, mask in zip(PARTS, masks, strict=True)}
