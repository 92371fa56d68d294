"""Attention of rows to a few rows each, forward and backward, compiled as in `numba_kernels`."""

# R replicas, N rows that attend, L rows of queries, M rows that are seen, K of them by each
# H heads of width d

import numpy as np

from grokking.ops.numba_kernels import compiled


@compiled
def attend(own_RN, seen_RNK, query_RLHd, out_RNHd, weight_RNHK, key_value_RM2Hd):
    """Softmax attention as `ops.attention.row_attention` has it; keeps the weights for the way back."""
    replicas, rows, heads, _ = out_RNHd.shape
    for replica in range(replicas):
        key_value_M2Hd = key_value_RM2Hd[replica]
        for row in range(rows):
            query_Hd = query_RLHd[replica, own_RN[replica, row]]
            seen_K = _until_nothing(seen_RNK[replica, row])
            for head in range(heads):
                weight_K, out_d = weight_RNHK[replica, row, head], out_RNHd[replica, row, head]
                _attend_one(query_Hd[head], key_value_M2Hd, head, seen_K, weight_K, out_d)


@compiled
def _attend_one(query_d, key_value_M2Hd, head, seen_K, weight_K, out_d):
    """One row's head: the weights of the rows it sees, and what it takes from them."""
    kind = query_d.dtype.type
    scale, peak, total = kind(len(query_d) ** -0.5), kind(-np.inf), kind(0)
    for k in range(len(seen_K)):
        weight_K[k] = scale * _dot(query_d, key_value_M2Hd[seen_K[k], 0, head])
        peak = weight_K[k] if peak < weight_K[k] else peak
    for k in range(len(seen_K)):
        weight_K[k] = np.exp(weight_K[k] - peak)
        total += weight_K[k]
    out_d[:] = 0
    for k in range(len(seen_K)):
        weight_K[k] /= total
        _add_scaled(out_d, weight_K[k], key_value_M2Hd[seen_K[k], 1, head])


@compiled
def attend_backward(
    own_RN, seen_RNK, query_RLHd, out_grad_RNHd, weight_RNHK, query_grad_RLHd,
    key_value_RM2Hd, key_value_grad_RM2Hd,
):  # fmt: skip
    """Add the gradients of `attend` to those of queries, keys and values."""
    replicas, rows, heads, _ = out_grad_RNHd.shape
    slope_K = np.empty(seen_RNK.shape[2], query_RLHd.dtype)
    for replica in range(replicas):
        key_value_M2Hd, key_value_grad_M2Hd = key_value_RM2Hd[replica], key_value_grad_RM2Hd[replica]
        for row in range(rows):
            own, seen_K = own_RN[replica, row], _until_nothing(seen_RNK[replica, row])
            for head in range(heads):
                weight_K, out_grad_d = weight_RNHK[replica, row, head], out_grad_RNHd[replica, row, head]
                query_d, query_grad_d = query_RLHd[replica, own, head], query_grad_RLHd[replica, own, head]
                _attend_one_backward(
                    query_d, key_value_M2Hd, head, seen_K, weight_K, slope_K,
                    out_grad_d, query_grad_d, key_value_grad_M2Hd,
                )  # fmt: skip


@compiled
def _attend_one_backward(
    query_d, key_value_M2Hd, head, seen_K, weight_K, slope_K, out_grad_d, query_grad_d, key_value_grad_M2Hd
):
    """The gradient of `_attend_one`; of softmax it is weight * (slope - mean slope)."""
    kind = query_d.dtype.type
    scale, mean = kind(len(query_d) ** -0.5), kind(0)
    for k in range(len(seen_K)):
        slope_K[k] = _dot(out_grad_d, key_value_M2Hd[seen_K[k], 1, head])
        mean += weight_K[k] * slope_K[k]
    for k in range(len(seen_K)):
        product_grad = scale * weight_K[k] * (slope_K[k] - mean)
        _add_scaled(query_grad_d, product_grad, key_value_M2Hd[seen_K[k], 0, head])
        _add_scaled(key_value_grad_M2Hd[seen_K[k], 0, head], product_grad, query_d)
        _add_scaled(key_value_grad_M2Hd[seen_K[k], 1, head], weight_K[k], out_grad_d)


@compiled
def _until_nothing(seen_K):
    """The rows before the first that is negative."""
    count = 0
    while count < len(seen_K) and seen_K[count] >= 0:
        count += 1
    return seen_K[:count]


@compiled
def _dot(x_d, y_d):
    total = x_d.dtype.type(0)
    for column in range(len(x_d)):
        total += x_d[column] * y_d[column]
    return total


@compiled
def _add_scaled(total_d, scale, x_d):
    for column in range(len(total_d)):
        total_d[column] += scale * x_d[column]
