"""Where tokens and pairs lie: parallelograms, circles, and which algorithm adds them (clock or pizza).

Tokens in the order of `cyclic`.
"""

# T tokens (n of them), D embedding dimensions, N hidden width, B pairs, V classes, M triples (a, b, c)

from collections.abc import Sequence

import numpy as np

PARALLELOGRAM = 0.01  # mean squared gap, in units of each dimension's variance, below which one is closed
PHASE_GAP = 0.1  # distance on the unit circle below which two phases agree
HIDDEN_GAP = 0.1  # squared distance, in units of the mean over all pairs, below which activations agree


def parallelogram_quality(embedding_TD: np.ndarray) -> float:
    """Representation quality index (Liu et al. 2022, arXiv 2205.10343), as their code computes it.

    Dimensions scaled to zero mean and unit deviation; the share of quadruples i < j <= m < n with
    i + n = j + m (whole numbers, no modulus) for which the mean over dimensions of (E_i + E_n - E_j - E_m)²
    is below 0.01. Cost T³D/12. Sees tokens on a line, the solution of addition without a modulus. Blind to
    circles, the solution with one: there E_a + E_b = 2 cos(w(a - b)/2) e^{iw(a + b)/2} depends on a - b.
    Changes with the basis, not with the scale of a dimension.
    """
    spread_D = embedding_TD.std(0, ddof=1)
    scaled_TD = (embedding_TD - embedding_TD.mean(0))[:, spread_D > 0] / spread_D[spread_D > 0]
    closed, possible = 0, 0
    for total in range(2 * len(scaled_TD) - 1):
        i = np.arange(max(0, total - len(scaled_TD) + 1), total // 2 + 1)
        gaps = _squared_gaps(scaled_TD[i] + scaled_TD[total - i]) / scaled_TD.shape[1]
        closed, possible = closed + int((gaps < PARALLELOGRAM).sum()), possible + len(gaps)
    return closed / possible


def plane(embedding_TD: np.ndarray, frequency: int) -> np.ndarray:
    """Coordinates of the tokens in the plane of one frequency, as complex numbers (T,).

    The plane is spanned by the least-squares coefficients of cos and sin; coordinates are those that put
    a token of a perfect circle, or ellipse, at e^{2πika/n}.
    """
    n = len(embedding_TD)
    wave_T = np.exp(2j * np.pi * frequency * np.arange(n) / n)
    coefficients_2D = 2 / n * np.stack([wave_T.real, wave_T.imag]) @ embedding_TD
    x_T2 = embedding_TD @ np.linalg.pinv(coefficients_2D)
    return x_T2[:, 0] + 1j * x_T2[:, 1]


def phase_quality(embedding_TD: np.ndarray, frequencies: Sequence[int], power_K: np.ndarray) -> float:
    """Share of quadruples a + b ≡ c + d whose phases agree, averaged over frequencies by power; 1 on circles.

    z is `plane` on the unit circle, and agreement |z_a z_b - z_c z_d| < 0.1; by chance about 0.03.
    Cost K T³/8. What parallelograms are for a line, this is for a circle; invariant to rotations. With more
    dimensions than tokens the plane fits noise in part: see random init in the calibration.
    """
    quality = [_phase_agreement(plane(embedding_TD, k)) for k in frequencies]
    return float(np.average(quality, weights=power_K[np.asarray(frequencies) - 1]))


def _phase_agreement(z_T: np.ndarray) -> float:
    n, token = len(z_T), np.arange(len(z_T))
    other_ST = np.subtract.outer(token, token) % n  # of each sum, what each token must be added to
    angle_T = np.angle(z_T)
    once_ST = np.where(token <= other_ST, angle_T + angle_T[other_ST], np.nan)  # each pair once
    once_SA = np.sort(once_ST, axis=1)[:, : n // 2 + 1]  # the rest is empty
    one, two = np.triu_indices(once_SA.shape[1], 1)
    cosine_SQ = np.cos(once_SA[:, one] - once_SA[:, two])
    return float((2 - 2 * cosine_SQ < PHASE_GAP**2).sum() / np.isfinite(cosine_SQ).sum())


def hidden_quality(hidden_BN: np.ndarray, answer_B: np.ndarray) -> float:
    """Share of pairs of equal answer whose activations are nearer than a tenth of the mean squared distance.

    The mean is over all two pairs, equal answer or not. Cost B² N / (2 V). Any architecture; 1 if the layer
    keeps nothing but the answer. Strict: a layer that also keeps the difference a - b, as exact
    solutions do before the readout, may score 0.
    """
    centred_BN = hidden_BN - hidden_BN.mean(0)
    pairs = len(hidden_BN)
    mean_gap = 2 * np.square(centred_BN).sum() / (pairs - 1)
    gaps = np.concatenate([_squared_gaps(centred_BN[answer_B == c]) for c in np.unique(answer_B)])
    return float((gaps < HIDDEN_GAP * mean_gap).mean())


def _squared_gaps(rows_BN: np.ndarray) -> np.ndarray:
    """Squared distances of every two rows, from their products."""
    product_BB = rows_BN @ rows_BN.T
    square_B = product_BB.diagonal()
    one, two = np.triu_indices(len(rows_BN), 1)
    return square_B[one] + square_B[two] - 2 * product_BB[one, two]


def circularity(embedding_TD: np.ndarray, components: int) -> float:
    """Mean over the first principal components of the share of energy at their best frequency.

    Zhong et al. 2023 (arXiv 2306.17844), who take 4 components. 1 if each is a cosine; cost: one SVD. Made
    for transformers with a few strong frequencies; where many are alike, components mix them.
    """
    left_TD, _, _ = np.linalg.svd(embedding_TD - embedding_TD.mean(0), full_matrices=False)
    amplitude_TD = np.abs(np.fft.fft(left_TD[:, :components], axis=0, norm="ortho"))
    share_D = np.minimum(2 * np.square(amplitude_TD).max(0), 1)  # k and -k, as in their code
    return float(share_D.mean())


def gradient_symmetricity(grad_a_MD: np.ndarray, grad_b_MD: np.ndarray) -> float:
    """Mean cosine of a logit's grads with respect to both operands' embeddings, over triples (a, b, c).

    Zhong et al. 2023: 0.99 in their pizza, 0.33 in their clock. c is any class, not just the answer. Triples
    with a vanishing grad are left out. Exactly 1 where embeddings are added before anything
    else, as in an MLP on one-hot inputs: nothing to see there.
    """
    product_M = (grad_a_MD * grad_b_MD).sum(1)
    norm_M = np.linalg.norm(grad_a_MD, axis=1) * np.linalg.norm(grad_b_MD, axis=1)
    return float((product_M[norm_M > 0] / norm_M[norm_M > 0]).mean())


def distance_irrelevance(logits_TTV: np.ndarray) -> float:
    """Mean over d of the deviation of the right logit over pairs (a, a + d), over its deviation over all.

    Zhong et al. 2023: 0.17 in their pizza, whose logits depend on a - b, 0.85 in their clock. Noisy
    between seeds. O(T²).
    """
    n, a = len(logits_TTV), np.arange(len(logits_TTV))
    right_DT = np.stack([logits_TTV[a, (a + d) % n, (2 * a + d) % n] for d in range(n)])
    return float(right_DT.std(1).mean() / right_DT.std())
