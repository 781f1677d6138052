"""Ridge regression with its penalty chosen by leaving one out: from what a movie is to what ratings taught of it.

    minimise over B and c     sum_i w_i |x_i B + c - y_i|^2 + ridge |B|^2          (Hoerl and Kennard 1970)

centered on the weighted means, so that c is free of the penalty. With sqrt(w) X = U diag(s) V', all ridges cost one
decomposition, of whichever of X'X and XX' is smaller. The error on row i of the map fitted without it needs no second
fit (Allen 1974, "The relationship between variable selection and data augmentation and a method for prediction",
PRESS): (y_i - f_i) / (1 - h_i), with fitted values f and leverages h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RIDGES = tuple(10.0 ** (power / 2) for power in range(-4, 8))


class Ridge(NamedTuple):
    """What `fit_ridge` learned."""

    B: np.ndarray  # (d, k) float32
    c: np.ndarray  # (k,) float32
    mean: np.ndarray  # (k,) float32, the weighted mean of the targets
    ridge: float  # the one chosen
    residual_variance: np.ndarray  # (k,) float64, weighted mean squared error of each coordinate on rows left out

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return predictions (m, k) float32 for X (m, d)."""
        return np.asarray(X, dtype=np.float32) @ self.B + self.c


def fit_ridge(X: np.ndarray, Y: np.ndarray, weights: np.ndarray, ridges: Sequence[float] = RIDGES) -> Ridge:
    """Fit the map from `X` (n, d) to `Y` (n, k), row i weighing weights[i] >= 0.

    Weights are scaled to mean 1 over the rows that have one above 0; the others do not count at all. At least two
    rows must count. ridges: to choose from, each above 0. Cost O(n d min(n, d) + ridges n k min(n, d)).

    >>> ridge = fit_ridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), np.ones(3), [1e-9])
    >>> ridge(np.array([[10.0]])).round(3).tolist()
    [[21.0]]
    """
    counts = weights > 0
    X, Y, w = X[counts].astype(np.float64), Y[counts].astype(np.float64), weights[counts]
    w = w / w.mean()
    share, root = w / w.sum(), np.sqrt(w)[:, None]
    x_mean, y_mean = w @ X / w.sum(), w @ Y / w.sum()
    Xw, Yw = root * (X - x_mean), root * (Y - y_mean)
    U, squares = left_singular(Xw)
    along = U.T @ Yw  # (r, k)
    best = np.inf
    for ridge in ridges:
        shrink = squares / (squares + ridge)
        fitted = U @ (shrink[:, None] * along)
        leverage = (U**2) @ shrink + share  # h_i = sum_j u_ij^2 s_j^2 / (s_j^2 + ridge) + w_i / sum w
        left_out = (Yw - fitted) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = float((left_out**2).sum())
        if error < best:
            best, chosen, errors = error, ridge, left_out
    B = Xw.T @ (U @ (along / (squares + chosen)[:, None]))  # X'sqrt(w) U diag(1 / (s^2 + ridge)) U' sqrt(w) Y
    c, mean = (y_mean - x_mean @ B).astype(np.float32), y_mean.astype(np.float32)
    return Ridge(B.astype(np.float32), c, mean, float(chosen), (errors**2).mean(axis=0))


def left_singular(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left singular vectors (n, r) and squared singular values (r,) of X (n, d), tiny ones left out."""
    wide = X.shape[1] > X.shape[0]
    squares, vectors = np.linalg.eigh(X @ X.T if wide else X.T @ X)
    kept = squares > 1e-10 * max(squares.max(initial=0), 1e-300)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if wide else X @ (vectors / np.sqrt(squares))), squares
