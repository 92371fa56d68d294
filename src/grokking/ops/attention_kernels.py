"""Attention over a few positions, forward and backward, compiled as in `kernels`."""

# R replicas, B examples, T rows of a table, H heads of width d, E keys beside values of all heads
# Q last positions, K positions that they see: P rows of a table and S of the example's own

import numpy as np

from grokking.ops.numba_kernels import compiled


@compiled
def attend(query_RBQHd, table_RTE, own_RBSE, index_RBP, weight_RBQHK, out_RBQHd):
    """Softmax attention of the last Q of K positions over those up to each, as `models.attention` has it."""
    replicas, examples, queries, heads, positions = weight_RBQHK.shape
    rows_KE = np.empty((positions, table_RTE.shape[2]), table_RTE.dtype)
    rows_K2Hd = rows_KE.reshape((positions, 2, heads, query_RBQHd.shape[4]))
    for replica in range(replicas):
        for example in range(examples):
            at = replica, example
            _gather(table_RTE[replica], index_RBP[at], own_RBSE[at], rows_KE)
            for number in range(queries):
                seen = positions - queries + number + 1
                for head in range(heads):
                    here = replica, example, number, head
                    _attend_one(
                        query_RBQHd[here], rows_K2Hd, head, weight_RBQHK[here][:seen], out_RBQHd[here]
                    )


@compiled
def _attend_one(query_d, rows_K2Hd, head, weight_K, out_d):
    """One position's head: the weights of the positions it sees, and what it takes from them."""
    kind = query_d.dtype.type
    scale, peak, total = kind(len(query_d) ** -0.5), kind(-np.inf), kind(0)
    for position in range(len(weight_K)):
        weight_K[position] = scale * _dot(query_d, rows_K2Hd[position, 0, head])
        peak = weight_K[position] if peak < weight_K[position] else peak
    for position in range(len(weight_K)):
        weight_K[position] = np.exp(weight_K[position] - peak)
        total += weight_K[position]
    for column in range(len(out_d)):
        out_d[column] = 0
    for position in range(len(weight_K)):
        weight_K[position] /= total
        _add_scaled(out_d, weight_K[position], rows_K2Hd[position, 1, head])


@compiled
def attend_backward(
    query_RBQHd,
    table_RTE,
    own_RBSE,
    index_RBP,
    weight_RBQHK,
    of_out_RBQHd,
    of_query_RBQHd,
    of_table_RTE,
    of_own_RBSE,
):
    """Add the gradients of `attend` to those of queries, table and own keys and values."""
    replicas, examples, queries, heads, positions = weight_RBQHK.shape
    rows_KE = np.empty((positions, table_RTE.shape[2]), table_RTE.dtype)
    of_rows_KE = np.zeros(rows_KE.shape, rows_KE.dtype)
    split = positions, 2, heads, query_RBQHd.shape[4]
    rows_K2Hd, of_rows_K2Hd = rows_KE.reshape(split), of_rows_KE.reshape(split)
    slope_K = np.empty(positions, table_RTE.dtype)
    for replica in range(replicas):
        for example in range(examples):
            at = replica, example
            _gather(table_RTE[replica], index_RBP[at], own_RBSE[at], rows_KE)
            for number in range(queries):
                seen = positions - queries + number + 1
                for head in range(heads):
                    here = replica, example, number, head
                    of_query_d, weight_K = of_query_RBQHd[here], weight_RBQHK[here][:seen]
                    _attend_one_backward(
                        query_RBQHd[here],
                        rows_K2Hd,
                        head,
                        weight_K,
                        slope_K,
                        of_out_RBQHd[here],
                        of_query_d,
                        of_rows_K2Hd,
                    )
            _scatter(of_rows_KE, index_RBP[at], of_table_RTE[replica], of_own_RBSE[at])


@compiled
def _attend_one_backward(query_d, rows_K2Hd, head, weight_K, slope_K, of_out_d, of_query_d, of_rows_K2Hd):
    """The gradient of `_attend_one`; of softmax it is weight * (slope - mean slope)."""
    kind = query_d.dtype.type
    scale, mean = kind(len(query_d) ** -0.5), kind(0)
    for position in range(len(weight_K)):
        slope_K[position] = _dot(of_out_d, rows_K2Hd[position, 1, head])
        mean += weight_K[position] * slope_K[position]
    for position in range(len(weight_K)):
        of_product = scale * weight_K[position] * (slope_K[position] - mean)
        _add_scaled(of_query_d, of_product, rows_K2Hd[position, 0, head])
        _add_scaled(of_rows_K2Hd[position, 0, head], of_product, query_d)
        _add_scaled(of_rows_K2Hd[position, 1, head], weight_K[position], of_out_d)


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


@compiled
def _gather(table_TE, index_P, own_SE, rows_KE):
    """An example's positions: rows of the table, then its own."""
    shared = len(index_P)
    for position in range(len(rows_KE)):
        from_E = table_TE[index_P[position]] if position < shared else own_SE[position - shared]
        for column in range(len(from_E)):
            rows_KE[position, column] = from_E[column]


@compiled
def _scatter(of_rows_KE, index_P, of_table_TE, of_own_SE):
    """Add the gradient of `_gather` to those of the table and of the example's own, and make it 0 again."""
    shared, one = len(index_P), of_rows_KE.dtype.type(1)
    for position in range(len(of_rows_KE)):
        to_E = of_table_TE[index_P[position]] if position < shared else of_own_SE[position - shared]
        _add_scaled(to_E, one, of_rows_KE[position])
        for column in range(len(to_E)):
            of_rows_KE[position, column] = 0
