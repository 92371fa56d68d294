"""Attention of rows to a few rows each, forward and backward, compiled as in `numba_kernels`.

Entries are named by all of their indices: a view of a head, taken some thousand times, costs as much as what
is done with it.
"""

# R replicas, N rows that attend, L rows of queries, M rows that are seen, K of them by each
# H heads of width d

import numpy as np

from grokking.ops.numba_kernels import compiled


@compiled("void(i8[:,::1], i8[:,:,::1]" + 3 * ", f4[:,:,:,::1]" + ", f4[:,:,:,:,::1])")
def attend(own_RN, seen_RNK, query_RLHd, out_RNHd, weight_RNHK, key_value_RM2Hd):
    """Softmax attention as `ops.attention.row_attention` has it; keeps the weights for the way back."""
    replicas, rows, heads, width = out_RNHd.shape
    kind = query_RLHd.dtype.type
    scale = kind(width**-0.5)
    for r in range(replicas):
        for n in range(rows):
            own, count = own_RN[r, n], _before_nothing(seen_RNK, r, n)
            for h in range(heads):
                peak, total = kind(-np.inf), kind(0)
                for k in range(count):
                    score, seen = kind(0), seen_RNK[r, n, k]
                    for i in range(width):
                        score += query_RLHd[r, own, h, i] * key_value_RM2Hd[r, seen, 0, h, i]
                    weight_RNHK[r, n, h, k] = scale * score
                    peak = scale * score if peak < scale * score else peak
                for k in range(count):
                    weight_RNHK[r, n, h, k] = np.exp(weight_RNHK[r, n, h, k] - peak)
                    total += weight_RNHK[r, n, h, k]
                for i in range(width):
                    out_RNHd[r, n, h, i] = 0
                for k in range(count):
                    weight, seen = weight_RNHK[r, n, h, k] / total, seen_RNK[r, n, k]
                    weight_RNHK[r, n, h, k] = weight
                    for i in range(width):
                        out_RNHd[r, n, h, i] += weight * key_value_RM2Hd[r, seen, 1, h, i]


@compiled("void(i8[:,::1], i8[:,:,::1]" + 4 * ", f4[:,:,:,::1]" + 2 * ", f4[:,:,:,:,::1]" + ")")
def attend_backward(
    own_RN, seen_RNK, query_RLHd, out_grad_RNHd, weight_RNHK, query_grad_RLHd,
    key_value_RM2Hd, key_value_grad_RM2Hd,
):  # fmt: skip
    """Add the gradients of `attend`; that of softmax is weight * (slope - mean slope)."""
    replicas, rows, heads, width = out_grad_RNHd.shape
    kind = query_RLHd.dtype.type
    scale, slope_K = kind(width**-0.5), np.empty(seen_RNK.shape[2], query_RLHd.dtype)
    for r in range(replicas):
        for n in range(rows):
            own, count = own_RN[r, n], _before_nothing(seen_RNK, r, n)
            for h in range(heads):
                mean = kind(0)
                for k in range(count):
                    slope, seen = kind(0), seen_RNK[r, n, k]
                    for i in range(width):
                        slope += out_grad_RNHd[r, n, h, i] * key_value_RM2Hd[r, seen, 1, h, i]
                    slope_K[k] = slope
                    mean += weight_RNHK[r, n, h, k] * slope
                for k in range(count):
                    weight, seen = weight_RNHK[r, n, h, k], seen_RNK[r, n, k]
                    score_grad = scale * weight * (slope_K[k] - mean)
                    for i in range(width):
                        query_grad_RLHd[r, own, h, i] += score_grad * key_value_RM2Hd[r, seen, 0, h, i]
                    for i in range(width):
                        key_value_grad_RM2Hd[r, seen, 0, h, i] += score_grad * query_RLHd[r, own, h, i]
                    for i in range(width):
                        key_value_grad_RM2Hd[r, seen, 1, h, i] += weight * out_grad_RNHd[r, n, h, i]


@compiled
def _before_nothing(seen_RNK, r, n):
    """How many rows are named before the first negative number."""
    count = 0
    while count < seen_RNK.shape[2] and seen_RNK[r, n, count] >= 0:
        count += 1
    return count
