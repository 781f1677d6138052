"""The layers of a small network, forward and backward as plain functions: what backpropagation is made of.

    y      = layer(x, w)
    dx, dw = layer_backward(dy, ... what the rule needs of x, w, y)         dy = dL/dy for a loss L, in the shape of y

A network is its layers forward in order and backward in reverse (the chain rule). Each rule is found by one device:
write the change of L for a small change of the input, dL = sum(dy * change of y), and read off what multiplies it.
B rows a batch, k columns; the dtype is kept, float64 for `gradient_check`, and inputs are not changed.
Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors (Nature 1986).
"""

from __future__ import annotations

import numpy as np

from .adam import group_rows


def linear(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return y = x W + b: (B, k_out) from x (B, k_in), W (k_in, k_out), b (k_out,). Cost O(B k_in k_out).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    return x @ W + b


def linear_backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx (B, k_in), dW (k_in, k_out), db (k_out,).

    y_bj = sum_i x_bi W_ij + b_j, so x_bi reaches L through every y_bj with weight W_ij, W_ij through every row b with
    weight x_bi, and b_j through every row with weight 1.
    """
    ones = np.ones(len(dy), dtype=dy.dtype)
    dx = dy @ W.T  # dx_bi = sum_j dy_bj W_ij
    dW = x.T @ dy  # dW_ij = sum_b x_bi dy_bj
    db = ones @ dy  # db_j = sum_b dy_bj; as a product it is faster than dy.sum(axis=0)
    return dx, dW, db


def relu(z: np.ndarray) -> np.ndarray:
    """Return max(0, z)."""
    return np.maximum(z, 0)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dz from dy and the output y = relu(z).

    A small change of z reaches y unchanged where z > 0, that is where y > 0, and else not at all.
    """
    return dy * (y > 0)


def rowwise_dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return p_b = a_b . b_b, (B,), of two arrays (B, k)."""
    return np.einsum("bk,bk->b", a, b)


def rowwise_dot_backward(dp: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return da, db (B, k): p_b = sum_k a_bk b_bk, so da_bk = dp_b b_bk and db_bk = dp_b a_bk."""
    dp = dp[:, None]  # (B, 1): (B,) would be spread over the wrong axis
    return dp * b, dp * a


def lookup(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return y_b = table[rows_b], (B, k), from an embedding table (n, k).

    Backward, row r of the gradient is the sum of dy_b over all b with rows_b = r, and 0 for a row that is not in the
    batch: `adam.sum_groups`. `gradient[rows] += dy` is not that sum: of equal rows numpy keeps one.
    """
    return table.take(rows, axis=0)  # twice as fast as table[rows]


def bag(table: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted sums of table rows, y_b = sum_o weights_o table[rows_o], (B, k).

    indptr: (B + 1,); the occurrences o of y_b are indptr[b] to indptr[b + 1], none gives 0.  rows, weights:
    (n_occurrences,), weights in the table's dtype.  Cost O(n_occurrences k).

    >>> bag(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 2, 2]), np.array([0, 1]), np.array([0.5, 0.5]))
    array([[0.5, 1. ],
           [0. , 0. ]])
    """
    gathered = lookup(table, rows)  # (n_occurrences, k)
    y = np.zeros((len(indptr) - 1, table.shape[1]), dtype=table.dtype)
    bounds = indptr.tolist()
    for b, (low, high) in enumerate(zip(bounds, bounds[1:])):
        if high > low:  # one product for each b: np.add.reduceat takes ten times as long
            np.dot(weights[low:high], gathered[low:high], out=y[b])
    return y


def bag_backward(
    dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the table rows that occur, ascending (n,), and the gradient of each, (n, k).

    Row r reaches L through each of its occurrences o, in the sum y_b, with weight w_o: its gradient is the sum of
    w_o dy_b. That is a bag again, of rows of dy, with the occurrences sorted by table row instead of by b.
    """
    b_of = np.repeat(np.arange(len(dy)), np.diff(indptr))  # (n_occurrences,)
    groups = group_rows(rows)
    bounds = np.append(groups.starts, len(rows))
    return groups.distinct, bag(dy, bounds, b_of[groups.order], weights[groups.order])
