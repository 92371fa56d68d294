"""Fourier analysis on Z_n: of tables along their tokens, of logits along both operands.

Tokens must be in the order in which the operation is addition, see `cyclic`.
"""

# T tokens (n of them), K frequencies 1..n/2, N neurons or embedding dimensions, V classes

import numpy as np


def real_basis(n: int) -> np.ndarray:
    """Orthonormal real basis of functions on Z_n, one per row (n, n).

    The constant 1/√n, then √(2/n) cos and √(2/n) sin of 2πkt/n for k = 1, 2, ...; for even n the last row
    is (-1)^t/√n, which has no sine.
    """
    t = np.arange(n)
    rows = [np.full(n, n**-0.5)]
    for k in range(1, (n - 1) // 2 + 1):
        angle = 2 * np.pi * k * t / n
        rows += [(2 / n) ** 0.5 * np.cos(angle), (2 / n) ** 0.5 * np.sin(angle)]
    if n % 2 == 0:
        rows.append((-1.0) ** t * n**-0.5)
    return np.stack(rows)


def row_frequencies(n: int) -> np.ndarray:
    """The frequency of each row of `real_basis`: 0, 1, 1, 2, 2, ..."""
    return (np.arange(n) + 1) // 2


def power(table_TN: np.ndarray) -> np.ndarray:
    """Energy of each column at the frequencies 1..n/2, cosine and sine together: (T, N) -> (K, N).

    P_k = Σ <column, row>² over the rows of frequency k of `real_basis`. The constant is left out, so the sum
    over k is the energy of the column less its mean (Parseval). Cost O(T N log T). Sees which frequencies
    a column uses; says nothing of phases.
    """
    n = len(table_TN)
    power_KN = np.abs(np.fft.rfft(table_TN, axis=0, norm="ortho")[1:]) ** 2
    power_KN[: (n - 1) // 2] *= 2  # k and -k; the last frequency of an even n is its own negative
    return power_KN


def pair_power(table_TTN: np.ndarray) -> np.ndarray:
    """`power` along either operand of functions of both: (T, T, N) -> (K, 2N), operand a beside b.

    Along a it is that of each b's column by itself, summed over b, so a wave in a + b, in a - b or in a alone
    is at its frequency; what depends on b alone is left out. Cost 2 T³ N multiply-adds.
    """
    n, basis = len(table_TTN), real_basis(len(table_TTN)).astype(table_TTN.dtype)
    along_a_TTN = (basis @ table_TTN.reshape(n, -1)).reshape(table_TTN.shape)
    energy_TN = np.hstack([np.square(along_a_TTN).sum(1), np.square(basis @ table_TTN).sum(0)])
    row_frequency = row_frequencies(n)
    return np.stack([energy_TN[row_frequency == k].sum(0) for k in range(1, n // 2 + 1)])


def inverse_participation_ratio(power_KN: np.ndarray) -> np.ndarray:
    """Σ_k (P_k / Σ P)² of each column, (K, N) -> (N,): 1 for one frequency, 1/K for all alike.

    Columns of white noise have 2/(K+1) on average. From Doshi et al. 2023, arXiv 2310.13061, whose
    spectrum keeps the constant. Average it over neurons: an MLP uses every frequency, each neuron one, so the
    spectrum of the whole layer shows nothing. Depends on the basis: useless for embeddings, which
    may be rotated. A column without power counts as spread evenly.
    """
    return (_shares(power_KN) ** 2).sum(0)


def gini(power_KN: np.ndarray) -> np.ndarray:
    """Gini coefficient of each column, mean |P_i - P_j| / (2 mean P), (K, N) -> (N,).

    0 for all frequencies alike, 1 - 1/K for one; 1/2 on average for white noise. Sees what the inverse
    participation ratio sees. Used beside it by Doshi et al. 2023.
    """
    ascending_KN = np.sort(_shares(power_KN), axis=0)
    k = len(power_KN)
    return ((2 * np.arange(1, k + 1) - k - 1) @ ascending_KN) / k


def signal_to_noise(power_KN: np.ndarray, m: int) -> np.ndarray:
    """Power of the m strongest frequencies over that of the rest, (K, N) -> (N,); infinite without rest.

    m = 1 for a neuron; about 5 for the summed spectrum of a transformer's embedding, which uses that many
    frequencies. The strongest of K random ones stand out too: white noise has about (ln K + 0.6)/K for m = 1.
    """
    descending_KN = -np.sort(-_shares(power_KN), axis=0)
    signal_N, noise_N = descending_KN[:m].sum(0), descending_KN[m:].sum(0)
    return np.divide(signal_N, noise_N, out=np.full_like(signal_N, np.inf), where=noise_N > 0)


def mean_free_ratio(table_TN: np.ndarray) -> float:
    """Energy of all frequencies over that of the constant: what system 2 published as its SNR.

    About n - 1 for any random table; falls only if columns have a mean. Blind to concentration.
    """
    constant = np.square(table_TN.mean(0)).sum() * len(table_TN)
    return float(power(table_TN).sum() / constant) if constant > 0 else np.inf


def key_frequencies(power_K: np.ndarray, m: int) -> np.ndarray:
    """The m strongest frequencies, strongest first."""
    return 1 + np.argsort(-power_K, kind="stable")[:m]


def double_centred(logits_TTV: np.ndarray) -> np.ndarray:
    """Logits less each class's mean over pairs and each pair's mean over classes, which no answer needs."""
    centred_TTV = logits_TTV - logits_TTV.mean((0, 1))
    return centred_TTV - centred_TTV.mean(-1, keepdims=True)


def spectrum_2d(logits_TTV: np.ndarray) -> np.ndarray:
    """Energy of the double-centred logits at each pair of frequencies of a and b, over all classes: (T, T).

    Entry (k, l) belongs to e^{2πi(ka + lb)/n}. Functions of a + b lie on the diagonal l = k, of a - b on
    l = -k, of one operand on the axes. Sums to the logits' energy (Parseval). Cost O(T² V log T).
    """
    return np.square(np.abs(np.fft.fft2(double_centred(logits_TTV), axes=(0, 1), norm="ortho"))).sum(-1)


def dependence_energy(logits_TTV: np.ndarray) -> dict[str, float]:
    """Shares of the double-centred logits' energy by what they depend on; they sum to 1.

    Undefined, nan, where the logits of all pairs are alike.

    `a`, `b`: one operand; `a+b`, `a-b`; `other`: both, in any other way. For even n the function
    (-1)^(a+b) = (-1)^(a-b) counts as a+b. The share of a+b, R_sum, is that of the logits' average over pairs
    of equal sum. It needs no choice of frequencies, unlike restricted loss; it does not say
    whether the function of a + b is the right one. Noise of a table without structure has 1/(n+1) there.
    """
    centred_TTV = double_centred(logits_TTV)
    n, a = len(centred_TTV), np.arange(len(centred_TTV))
    means = {
        "a": centred_TTV.mean(1),
        "b": centred_TTV.mean(0),
        "a+b": _mean_over_sums(centred_TTV),
        "a-b": centred_TTV[np.add.outer(a, a) % n, a].mean(1),  # [d + b, b] averaged over b
    }
    if n % 2 == 0:
        means["a-b"] -= np.outer((-1.0) ** a, (-1.0) ** a @ means["a-b"] / n)
    shares = {name: _share(mean_TV, centred_TTV) for name, mean_TV in means.items()}
    return shares | {"other": 1 - sum(shares.values())}


def sum_energy(logits_TTV: np.ndarray) -> float:
    """R_sum: the share of a + b in `dependence_energy`, without the others."""
    centred_TTV = double_centred(logits_TTV)
    return _share(_mean_over_sums(centred_TTV), centred_TTV)


def _mean_over_sums(table_TTV: np.ndarray) -> np.ndarray:
    """The average over the pairs of each sum: [a, s - a] averaged over a."""
    a = np.arange(len(table_TTV))
    return table_TTV[a, np.subtract.outer(a, a) % len(a)].mean(1)


def _share(mean_TV: np.ndarray, table_TTV: np.ndarray) -> float:
    """Share of a table's energy in averages over n entries each; nan of a table of zeros."""
    total = np.square(table_TTV).sum()
    return float(len(mean_TV) * np.square(mean_TV).sum() / total) if total > 0 else np.nan


def _shares(power_KN: np.ndarray) -> np.ndarray:
    """Columns divided by their sums; a column of zeros becomes even."""
    total_N = power_KN.sum(0)
    even_KN = np.full_like(power_KN, 1 / len(power_KN))
    return np.divide(power_KN, total_N, out=even_KN, where=total_N > 0)
