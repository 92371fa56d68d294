"""Empirical neural tangent kernel of two-layer MLPs, exact on any set of pairs, and its alignment.

The trace kernel K(x, x') = Σ_c <∂f_c(x)/∂θ, ∂f_c(x')/∂θ> of a network with one-hot inputs is a sum of parts
of one form, rows rowsᵀ kept only between pairs that share a token:

    K = V (H Hᵀ + 11ᵀ) + s² (X Xᵀ + 11ᵀ) ∘ (D diag(q) Dᵀ),    X Xᵀ = [a = a'] + [b = b']

with H the hidden activations, D the activation's derivative, s the scale, q_j = Σ_c readout[c, j]², V the
classes; 11ᵀ where the layer has a bias. So no B × B matrix and no pass per sample is needed: an ungrouped
part costs B N², one grouped by tokens B²N/T. On all pairs of 97 with width 512 that is below 20 GFLOP.

Class alignment compares K with K* = [same answer]. Pairs of equal sum share no token unless they are one
pair, so on addition the first layer's weights add to it on the diagonal only. What aligns is H Hᵀ, and the
first layer's bias.
"""

# B pairs, N hidden width, V classes, G groups of S pairs each

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from grokking.diagnostics import spectrum
from grokking.diagnostics.two_layer_mlp import TwoLayerMLP, activation_and_slope

NOISE = 1e-12  # a centred norm² below this share of the uncentred one is rounding: the kernel is constant


@dataclass(frozen=True)
class Part:
    """The kernel rows rowsᵀ, zero between pairs of different group; without groups it is all kept."""

    rows_BN: np.ndarray
    group_B: np.ndarray | None = None

    def row_sums(self) -> np.ndarray:
        """The kernel times the vector of ones, (B,)."""
        sums_B = np.empty(len(self.rows_BN))
        for index_GS in _groups(self.group_B, len(sums_B)):
            rows_GSN = self.rows_BN[index_GS]
            sums_B[index_GS] = (rows_GSN @ rows_GSN.sum(1)[:, :, None])[:, :, 0]
        return sums_B


Kernel = Mapping[str, Part]  # the sum of its parts


def mlp_kernel(network: TwoLayerMLP, a_B: np.ndarray, b_B: np.ndarray) -> dict[str, Part]:
    """The trace kernel on distinct pairs, by parameter; `readout` over V is the hidden-feature kernel."""
    z_BN = network.pre_activations(a_B, b_B).astype(np.float64, copy=False)  # centring cancels digits
    hidden_BN, slope_BN = activation_and_slope(network.activation, z_BN)
    readout_norm_N = np.sqrt(np.square(network.readout_VN).sum(0))
    grad_BN = network.output_scale * network.scale * slope_BN * readout_norm_N
    root_V = network.output_scale * len(network.readout_VN) ** 0.5
    parts = {
        "first_a": Part(grad_BN, a_B),
        "first_b": Part(grad_BN, b_B),
        "readout": Part(root_V * hidden_BN),
    }
    if network.first_bias_N is not None:
        parts["first_bias"] = Part(grad_BN)
    if network.readout_bias_V is not None:
        parts["readout_bias"] = Part(np.full((len(z_BN), 1), root_V))
    return parts


def class_kernel(answer_B: np.ndarray) -> dict[str, Part]:
    """K*: 1 between pairs of equal answer, else 0."""
    return {"class": Part(np.ones((len(answer_B), 1)), answer_B)}


def class_alignments(kernel: Kernel, answer_B: np.ndarray) -> dict[str, float]:
    """Class alignment of the `whole` kernel, of it `uncentred`, and of each part alone, centred.

    The alignment of K and K* is <CKC, K*>_F / (‖CKC‖ ‖CK*C‖) with C = I - 11ᵀ/B: 1 for equal directions, 0
    for a constant kernel (Cortes, Mohri & Rostamizadeh 2012). Uncentred (C = I, Cristianini et al. 2001) a
    constant kernel has √Σ(B_c/B)², which is p^-1/2 on a full table of addition. The kernel's scale does not
    matter, but parts weigh by theirs: read the whole kernel's beside the parts'. It shows that pairs of equal
    answer are treated alike, not that their answers are right. Take it over all pairs.
    """
    target = class_kernel(answer_B)
    on_target, among, itself = _products(kernel, target), _products(kernel, kernel), _products(target, target)
    found = {
        "whole": _cosine(on_target.centred.sum(), among.norm(), itself.norm()),
        "uncentred": _cosine(on_target.raw.sum(), among.raw.sum() ** 0.5, itself.raw.sum() ** 0.5),
    }
    parts = zip(kernel, on_target.centred[:, 0], among.part_norms(), strict=True)
    return found | {name: _cosine(product, norm, itself.norm()) for name, product, norm in parts}


def feature_alignments(
    hidden_BN: np.ndarray, scatter_NN: np.ndarray, answer_B: np.ndarray
) -> dict[str, float]:
    """`whole` and `uncentred` of `class_alignments` for the kernel H Hᵀ, from `spectrum.scatter`.

    Exact in the activations' own type: what is multiplied was centred before, so no digits are lost.
    """
    mean_N, size_C = hidden_BN.mean(0, dtype=np.float64), np.bincount(answer_B)
    raw_CN = class_sums(hidden_BN, answer_B)
    centred_CN = raw_CN - np.outer(size_C, mean_N)
    raw_NN = scatter_NN + len(hidden_BN) * np.outer(mean_N, mean_N)
    squares, pairs = float(np.square(size_C).sum()), len(answer_B)
    target_norm = (squares - 2 * float((size_C**3).sum()) / pairs + squares**2 / pairs**2) ** 0.5
    return {
        "whole": _cosine(np.square(centred_CN).sum(), float(np.linalg.norm(scatter_NN)), target_norm),
        "uncentred": _cosine(np.square(raw_CN).sum(), float(np.linalg.norm(raw_NN)), squares**0.5),
    }


def class_sums(rows_BN: np.ndarray, answer_B: np.ndarray) -> np.ndarray:
    """Sum of the rows of each class, (C, N) in float64."""
    chosen = csr_array((np.ones(len(answer_B)), (answer_B, np.arange(len(answer_B)))))
    return chosen @ rows_BN


def feature_distance(hidden_BN: np.ndarray, other_BN: np.ndarray) -> float:
    """1 - centred alignment of the kernels H Hᵀ of two layers' activations on the same pairs.

    0 where only scale and rotation differ, as in lazy training, and at most 1. Kumar et al. 2024 (arXiv
    2310.06110): grokking as the transition from lazy to rich. Sees that features have moved, not where to: a
    memorizing network moves its features too. Cost three products of B N².
    """
    one_BN, two_BN = spectrum.centred(hidden_BN), spectrum.centred(other_BN)
    norm, other_norm = (float(np.linalg.norm(each_BN.T @ each_BN)) for each_BN in (one_BN, two_BN))
    return 1 - _cosine(float(np.square(one_BN.T @ two_BN).sum()), norm, other_norm)


def _cosine(product: float, norm: float, other_norm: float) -> float:
    """0 where one of the norms is."""
    return float(product / (norm * other_norm)) if norm * other_norm > 0 else 0.0


@dataclass(frozen=True)
class _Products:
    """<K_i, K'_j> for each part of one kernel and of the other, as they are and centred."""

    raw: np.ndarray
    centred: np.ndarray

    def norm(self) -> float:
        """Centred Frobenius norm, of a kernel's products with itself; exactly 0 for a constant kernel."""
        return float(np.sqrt(_above_rounding(self.centred.sum(), self.raw.sum())))

    def part_norms(self) -> np.ndarray:
        """The same of each part."""
        return np.sqrt(_above_rounding(self.centred.diagonal(), self.raw.diagonal()))


def _above_rounding(centred: np.ndarray, raw: np.ndarray) -> np.ndarray:
    return np.where(centred > NOISE * raw, centred, 0)


def _products(kernel: Kernel, other: Kernel) -> _Products:
    raw = np.zeros((len(kernel), len(other)))
    for i, one in enumerate(kernel.values()):
        for j, two in enumerate(other.values()):
            raw[i, j] = raw[j, i] if kernel is other and j < i else _product(one, two)
    sums, other_sums = (np.stack([part.row_sums() for part in each.values()]) for each in (kernel, other))
    pairs = sums.shape[1]
    totals = np.outer(sums.sum(1), other_sums.sum(1))
    return _Products(raw, raw - 2 / pairs * sums @ other_sums.T + totals / pairs**2)


def _product(one: Part, two: Part) -> float:
    """<K, K'>_F: between pairs of the same group in both."""
    group_B = _joint(one.group_B, two.group_B)
    if group_B is None:
        return float(np.square(one.rows_BN.T @ two.rows_BN).sum())
    total = 0.0
    for index_GS in _groups(group_B, len(group_B)):
        gram_GSS = _gram(one.rows_BN[index_GS])
        other_GSS = gram_GSS if two.rows_BN is one.rows_BN else _gram(two.rows_BN[index_GS])
        total += float(np.vdot(gram_GSS, other_GSS))
    return total


def _gram(rows_GSN: np.ndarray) -> np.ndarray:
    return rows_GSN @ rows_GSN.swapaxes(1, 2)


def _joint(one_B: np.ndarray | None, two_B: np.ndarray | None) -> np.ndarray | None:
    """Groups of pairs that agree in both groupings."""
    if one_B is None or two_B is None:
        return two_B if one_B is None else one_B
    return one_B * (two_B.max() + 1) + two_B


def _groups(group_B: np.ndarray | None, pairs: int) -> Iterator[np.ndarray]:
    """Indices (G, S) of the pairs in each group, groups of one size together."""
    if group_B is None:
        yield np.arange(pairs)[None]
        return
    order_B = np.argsort(group_B, kind="stable")
    _, start_G, size_G = np.unique(group_B[order_B], return_index=True, return_counts=True)
    for size in np.unique(size_G):
        yield order_B[start_G[size_G == size][:, None] + np.arange(size)]
