"""The layers of a small network, forward and backward as plain functions: what backpropagation is made of.

A layer computes y = f(x, w). Training needs, for a loss L that depends on y, how L changes with x and with w. The
chain rule gives both from dL/dy alone, so each layer is two functions:

    y      = layer(x, w)
    dx, dw = layer_backward(dy, ...what the rule needs of x, w, y)

`dy` stands for dL/dy and has the shape of y; a whole network is then its layers forward in order and backward in
reverse. The docstring of each backward function derives it. Every rule can be found with one device: write the
change of L for a small change of the input, dL = sum(dy * change of y), and read off what multiplies the change.

Shapes: a batch of B rows, k columns. All functions keep the dtype (float32 for speed, float64 for checking) and
leave their inputs alone. `gradient_check` compares them with finite differences. Source of the method: Rumelhart,
Hinton and Williams, Learning representations by back-propagating errors (Nature 1986).
"""

from __future__ import annotations

import numpy as np

from .adam import group_rows

TINY = 1e-12  # below this length a row has no direction


def linear(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return y = x W + b: (B, k_out) from x (B, k_in), W (k_in, k_out), b (k_out,). Cost O(B k_in k_out).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    y = x @ W
    y += b
    return y


def linear_backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx (B, k_in), dW (k_in, k_out), db (k_out,).

    y_bj = sum_i x_bi W_ij + b_j. So x_bi reaches L through every y_bj with weight W_ij, W_ij through every row b
    with weight x_bi, and b_j through every row with weight 1:

        dx_bi = sum_j dy_bj W_ij      dx = dy W'
        dW_ij = sum_b x_bi dy_bj      dW = x' dy
        db_j  = sum_b dy_bj

    A shape that fits in only one way settles which factor is transposed, unless W is square: then only a check does.
    """
    ones = np.ones(len(dy), dtype=dy.dtype)  # a sum over rows is a product too, which is faster than `sum`
    return dy @ W.T, x.T @ dy, ones @ dy


def relu(z: np.ndarray) -> np.ndarray:
    """Return max(0, z)."""
    y = np.maximum(z, 0)
    return y


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return dz from dy and the output y = relu(z).

    A small change of z reaches y unchanged where z > 0, and not at all where z < 0. The output tells which: y > 0
    exactly where z > 0, so z itself need not be kept. At z = 0 the slope jumps; 0 is taken.
    """
    dz = dy * (y > 0)
    return dz


def normalise(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y = x / |x|, each row of length 1, and the lengths (B, 1). A row without length stays 0.

    >>> normalise(np.array([[3.0, 4.0], [0.0, 0.0]]))[0]
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    lengths = np.sqrt(np.einsum("bk,bk->b", x, x))[:, None]  # (B, 1)
    return x / np.maximum(lengths, TINY), lengths


def normalise_backward(dy: np.ndarray, y: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return dx from dy, the output y and the lengths.

    A change e of x changes y = x / |x| by e / |x| through the numerator, and by -x (y . e) / |x|^2 through the
    length, since |x| itself changes by y . e. Together (e - y (y . e)) / |x|: only what is at right angles to y moves
    it. The matrix (I - y y') / |x| is symmetric, so the way back is the same:

        dx = (dy - y (y . dy)) / |x|

    The second term is easily forgotten; without it a step also goes along y, which changes the length and not L. A
    row without length gets 0.
    """
    along = np.einsum("bk,bk->b", y, dy)[:, None]  # (B, 1)
    dx = (dy - y * along) / np.maximum(lengths, TINY)
    dx *= lengths > TINY
    return dx


def rowwise_dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return p_b = a_b . b_b, (B,), of two arrays (B, k)."""
    p = np.einsum("bk,bk->b", a, b)
    return p


def rowwise_dot_backward(dp: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return da, db (B, k): p_b = sum_k a_bk b_bk, so da_bk = dp_b b_bk and db_bk = dp_b a_bk."""
    column = dp[:, None]  # (B, 1), or (B,) would be spread over the wrong axis
    return column * b, column * a


def lookup(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return y_b = table[rows_b], (B, k), from a table (n, k).

    It is a product with a matrix that holds a single 1 in each row, y = E table, so its way back is E' dy: row r of
    the gradient is the sum of dy_b over all b with rows_b = r, and 0 for every row that is not in the batch. The
    sum is `lazy_adam.sum_groups`. `gradient[rows] += dy` is not it: numpy then keeps one of the equal rows only.
    """
    # `take` is twice as fast as indexing, but would first copy the whole of a table that is a view
    y = table.take(rows, axis=0) if table.flags.c_contiguous else table[rows]
    return y


def bag(table: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum of several table rows for each person: y_b = sum_o weights_o table[rows_o], (B, k).

    The occurrences o of person b are `indptr[b]:indptr[b + 1]`; a person without any gets 0. With weights that sum
    to 1 in each person y is a weighted mean: a taste read from a history, which serves somebody new too.

    indptr: (B + 1,).  rows: (n_occurrences,).  weights: (n_occurrences,), the table's dtype.
    Cost O(n_occurrences k).

    >>> bag(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 2, 2]), np.array([0, 1]), np.array([0.5, 0.5]))
    array([[0.5, 1. ],
           [0. , 0. ]])
    """
    gathered = lookup(table, rows)
    y = np.zeros((len(indptr) - 1, table.shape[1]), dtype=table.dtype)
    bounds = indptr.tolist()
    for person, (low, high) in enumerate(
        zip(bounds, bounds[1:])
    ):  # one product each; `reduceat` takes ten times as long
        if high > low:
            np.dot(weights[low:high], gathered[low:high], out=y[person])
    return y


def bag_backward(
    dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the table rows that occur in the bags, ascending (n,), and the gradient of each, (n, k).

    Row r reaches L through every occurrence o of it, in the bag of person b, with weight w_o: the sum of w_o dy_b.
    The bags are a sparse matrix A, y = A table with an entry for every occurrence, and the way back is A' dy: the
    same kind of product, with the occurrences sorted by row instead of by person. A movie is in many histories of a
    batch, so this needs far less memory than one gradient for each occurrence.
    """
    person = np.repeat(np.arange(len(dy)), np.diff(indptr))
    groups = group_rows(rows)
    bounds = np.append(groups.starts, len(rows))
    return groups.distinct, bag(dy, bounds, person[groups.order], weights[groups.order])
