"""Attention of rows to a few rows each, forward and backward, compiled as in `numba_kernels`.

Entries are named by all of their indices: a view of a head, taken some thousand times, costs as much as what
is done with it.
"""

# Of one replica: N rows that attend, L rows of queries, M rows of keys and values, at most K for each
# H heads of width d; of keys and values together twice as many, the keys' first

import numpy as np

from grokking.ops.numba_kernels import compiled

F4 = "f4[:,:,::1]"  # Numba's type of three dimensions of float32 without gaps


@compiled(f"void(i8[::1], i8[:,::1], i8[::1], {F4}, {F4}, {F4}, {F4})")
def attend(query_row_N, key_rows_NK, key_count_N, weight_NHK, query_LHd, key_value_MHd, out_NHd):
    """Softmax attention as `ops.attention.row_attention` has it, added to `out_NHd`; keeps the weights."""
    rows, heads, width = out_NHd.shape
    kind = query_LHd.dtype.type
    scale = kind(width**-0.5)
    for n in range(rows):
        query_row, count = query_row_N[n], key_count_N[n]
        for h in range(heads):
            peak, total = kind(-np.inf), kind(0)
            for k in range(count):
                score, row = kind(0), key_rows_NK[n, k]
                for i in range(width):
                    score += query_LHd[query_row, h, i] * key_value_MHd[row, h, i]
                weight_NHK[n, h, k] = scale * score
                peak = scale * score if peak < scale * score else peak
            for k in range(count):
                weight_NHK[n, h, k] = np.exp(weight_NHK[n, h, k] - peak)
                total += weight_NHK[n, h, k]
            for k in range(count):
                weight, row = weight_NHK[n, h, k] / total, key_rows_NK[n, k]
                weight_NHK[n, h, k] = weight
                for i in range(width):
                    out_NHd[n, h, i] += weight * key_value_MHd[row, heads + h, i]


@compiled(f"void(i8[::1], i8[:,::1], i8[::1], {F4}, {F4}, {F4}, {F4}, {F4}, {F4})")
def attend_backward(
    query_row_N, key_rows_NK, key_count_N, weight_NHK, query_LHd, key_value_MHd, out_grad_NHd,
    query_grad_LHd, key_value_grad_MHd,
):  # fmt: skip
    """Add the gradients of `attend`; that of softmax is weight * (slope - mean slope)."""
    rows, heads, width = out_grad_NHd.shape
    kind = query_LHd.dtype.type
    scale, slope_K = kind(width**-0.5), np.empty(key_rows_NK.shape[1], query_LHd.dtype)
    for n in range(rows):
        query_row, count = query_row_N[n], key_count_N[n]
        for h in range(heads):
            mean = kind(0)
            for k in range(count):
                slope, row = kind(0), key_rows_NK[n, k]
                for i in range(width):
                    slope += out_grad_NHd[n, h, i] * key_value_MHd[row, heads + h, i]
                slope_K[k] = slope
                mean += weight_NHK[n, h, k] * slope
            for k in range(count):
                weight, row = weight_NHK[n, h, k], key_rows_NK[n, k]
                score_grad = scale * weight * (slope_K[k] - mean)
                for i in range(width):
                    query_grad_LHd[query_row, h, i] += score_grad * key_value_MHd[row, h, i]
                for i in range(width):
                    key_value_grad_MHd[row, h, i] += score_grad * query_LHd[query_row, h, i]
                for i in range(width):
                    key_value_grad_MHd[row, heads + h, i] += weight * out_grad_NHd[n, h, i]
