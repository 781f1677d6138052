"""Linear maps fitted on rows of vectors: principal components, canonical correlation.

    X - mean    = U_x diag(s_x) V_x'                                       n rows
    pca         y = V_x' (x - mean)
    cca         max corr(A' x, B' y):   w_x = (s_x^2 / (n - 1) + ridge_x)^-1/2
                diag(w_x s_x) U_x' U_y diag(s_y w_y) / (n - 1) = P diag(r) Q'
                A = V_x diag(w_x) P,   B = V_y diag(w_y) Q

Pearson 1901; Hotelling 1936 in the form of Bach and Jordan, "Kernel Independent Component Analysis" (2002), appendix A.
Computed in float64; directions below 1e-5 of the largest singular value count as rounding.

The covariances that `cca` inverts get `regularisation` times their mean eigenvalue, ridge, on the diagonal: with as
many columns as rows every correlation would be 1, and would mean nothing.
"""

from __future__ import annotations

import numpy as np

from ..data.errors import DataError
from ..linalg.ridge import left_singular

# mean (d,), directions (d, k), strengths (k,) descending; all float64. A new row becomes (x - mean) @ directions.
Projection = tuple[np.ndarray, np.ndarray, np.ndarray]


def pca(X: np.ndarray, k: int) -> Projection:
    """Return the first min(k, rank) principal directions of X (n, d), orthonormal columns; strengths: s.

    The largest entry by size of every direction is positive.  Cost O(n d min(n, d)).
    Raises `DataError` for rows that are all the same.

    >>> mean, directions, s = pca(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 2)
    >>> mean.tolist(), directions.round(3).tolist(), s.round(3).tolist()
    ([3.0, 4.0], [[0.6], [0.8]], [7.071])
    """
    mean, _, s, V = _svd(X)
    directions = V[:, :k]
    return mean, directions * _signs(directions), s[:k]


def cca(X: np.ndarray, Y: np.ndarray, k: int, regularisation: float) -> tuple[Projection, Projection]:
    """Return min(k, rank X, rank Y) pairs of directions, of greatest correlation between X and Y; strengths: r.

    X: (n, dx), Y: (n, dy), row i of both is the same thing.  regularisation: 0 or more, in mean eigenvalues.
    Without it, projected training rows have variance 1, no correlation within a view, and r between the two.
    Cost that of `pca`, and O(n dx dy).  Raises `DataError` as `pca` does.
    """
    views = []
    for view in (X, Y):
        mean, U, s, V = _svd(view)
        variances = s**2 / (len(view) - 1)
        w = 1 / np.sqrt(variances + regularisation * variances.mean())
        views.append((mean, U * (s * w / np.sqrt(len(view) - 1)), V * w))
    (mean_x, white_x, V_x), (mean_y, white_y, V_y) = views
    P, r, Qt = np.linalg.svd(white_x.T @ white_y, full_matrices=False)
    A, B, r = V_x @ P[:, :k], V_y @ Qt[:k].T, np.minimum(r[:k], 1.0)
    signs = _signs(A)  # a pair turns together
    return (mean_x, A * signs, r), (mean_y, B * signs, r)


def _svd(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, U, s (descending) and V of X - mean = U diag(s) V'."""
    mean = X.mean(axis=0, dtype=np.float64)
    U, squares = left_singular(X - mean)
    if not len(squares):
        raise DataError("all rows are the same: fitting needs rows that differ")
    U, s = U[:, ::-1], np.sqrt(squares[::-1])
    return mean, U, s, (X - mean).T @ (U / s)


def _signs(directions: np.ndarray) -> np.ndarray:
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
