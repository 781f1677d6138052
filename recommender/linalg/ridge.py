"""Weighted ridge regression; the penalty is chosen by leave-one-out cross-validation.

    minimise over B and c     sum_i w_i |x_i B + c - y_i|^2 + alpha |B|^2          (Hoerl and Kennard 1970)

X and Y are centered on their weighted means, so the intercept c is not penalized. With sqrt(w) X = U diag(s) V', one
decomposition, of the smaller of X'X and XX', serves all alphas. The leave-one-out residual of row i needs no second fit
(PRESS: Allen 1974, "The relationship between variable selection and data augmentation and a method for prediction"):
(y_i - f_i) / (1 - h_i), with fitted values f and leverages h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.errors import DataError

ALPHAS = tuple(10.0**power for power in range(-2, 4))


class Ridge(NamedTuple):
    """A fitted ridge regression."""

    coef: np.ndarray  # (d, k) float32
    intercept: np.ndarray  # (k,) float32
    target_mean: np.ndarray  # (k,) float32, weighted
    alpha: float  # the chosen penalty
    residual_variance: np.ndarray  # (k,) float64, weighted mean squared leave-one-out residual of each target

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return predictions (m, k) float32 for X (m, d)."""
        return np.asarray(X, dtype=np.float32) @ self.coef + self.intercept


def fit_ridge(X: np.ndarray, Y: np.ndarray, weights: np.ndarray, alphas: Sequence[float] = ALPHAS) -> Ridge:
    """Fit a linear map from `X` (n, d) to `Y` (n, k) with sample weights >= 0.

    Rows with weight 0 are ignored; at least two rows need a positive weight. Positive weights are scaled to mean 1.
    alphas: penalties > 0 to choose from. Raises `DataError` if every error is NaN.
    Cost O(n d min(n, d) + len(alphas) n k min(n, d)).

    >>> ridge = fit_ridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), np.ones(3), [1e-9])
    >>> ridge(np.array([[10.0]])).round(3).tolist()
    [[21.0]]
    """
    used = weights > 0
    w = weights[used]
    w = w / w.mean()
    weight_share = w / w.sum()
    X, x_mean = _centered(X[used], w)
    U, squares = left_singular(X)
    to_features = X.T @ U  # (d, r)
    del X  # which may be large, as Y may
    Y, y_mean = _centered(Y[used], w)
    projected = U.T @ Y  # (r, k)
    best, alpha = np.inf, None
    for candidate in alphas:
        shrink = squares / (squares + candidate)
        # h_i = sum_j u_ij^2 s_j^2 / (s_j^2 + alpha) + w_i / sum w
        leverage = np.einsum("ij,ij,j->i", U, U, shrink) + weight_share
        residuals = U @ (shrink[:, None] * projected)  # f_i; then, in place, (f_i - y_i) / (1 - h_i)
        residuals -= Y
        residuals /= np.maximum(1 - leverage, 1e-9)[:, None]
        squared = np.einsum("ij,ij->j", residuals, residuals)
        error = float(squared.sum())
        if error < best:
            best, alpha, variance = error, candidate, squared / len(residuals)
    if alpha is None:
        raise DataError("ridge regression: the features or targets are not finite, so no penalty has a finite error")
    coef = to_features @ (projected / (squares + alpha)[:, None])  # X'sqrt(w) U diag(1 / (s^2 + alpha)) U' sqrt(w) Y
    intercept = (y_mean - x_mean @ coef).astype(np.float32)
    return Ridge(coef.astype(np.float32), intercept, y_mean.astype(np.float32), float(alpha), variance)


def _centered(A: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sqrt(w) (A - mean) and the weighted mean, float64."""
    A = A.astype(np.float64)
    mean = w @ A / w.sum()
    A -= mean
    A *= np.sqrt(w)[:, None]
    return A, mean


def left_singular(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return U (n, r) and s^2 (r,) of X = U diag(s) V'; components with a negligible singular value are dropped."""
    wide = X.shape[1] > X.shape[0]
    squares, vectors = np.linalg.eigh(X @ X.T if wide else X.T @ X)
    kept = squares > 1e-10 * max(squares.max(initial=0), 1e-300)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if wide else X @ (vectors / np.sqrt(squares))), squares
