"""Linear maps fitted on rows of vectors: principal components, canonical correlation, rotation.

    pca         X - mean = U diag(s) Vt;                 y = V' (x - mean)
    cca         max corr(A' x, B' y):   Wx = Cxx^-1/2, Wy = Cyy^-1/2;   Wx Cxy Wy = U diag(r) Vt;   A = Wx U, B = Wy V
    procrustes  min |X R - Y|_F over orthogonal R:       X'Y = U diag(s) Vt,   R = U Vt

Pearson 1901; Hotelling 1936 in the form of Bach and Jordan, "Kernel Independent Component Analysis" (2002), appendix A;
Schonemann 1966. Computed in float64 from second moments, O(n d^2 + d^3), which halves the digits of the smallest
singular values: directions below 1e-6 of the largest count as rounding.

The covariances that `cca` inverts get `regularisation` times their mean eigenvalue on the diagonal: with as many
columns as rows every correlation would be 1, and would mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data.errors import DataError

_NEGLIGIBLE = 1e-6  # of the largest singular value


class Projection(NamedTuple):
    """y = (x - mean) @ directions.

    mean: (d,) float64.  directions: (d, k) float64.  strengths: (k,) descending: singular values of the centred data
    (pca) or canonical correlations in the training rows, 0 to 1 (cca).
    """

    mean: np.ndarray
    directions: np.ndarray
    strengths: np.ndarray

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Return (n, k) for X (n, d)."""
        return np.asarray((X - self.mean) @ self.directions)


def pca(X: np.ndarray, k: int) -> Projection:
    """Return the first min(k, rank) principal directions of X (n, d), orthonormal columns.

    The largest entry by size of every direction is positive.  Cost O(n d^2 + d^3), or O(n^2 d + n^3) where n < d.
    Raises `DataError` for rows that are all the same.

    >>> fitted = pca(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 2)
    >>> fitted.directions.round(3).tolist(), fitted.strengths.round(3).tolist()
    ([[0.6], [0.8]], [7.071])
    """
    mean, X = _centred(X)
    wide = len(X) < X.shape[1]
    squares, vectors, rank = _eigen(X @ X.T if wide else X.T @ X)  # s^2 and U, or s^2 and V: the smaller matrix
    s, directions = np.sqrt(squares[: min(k, rank)]), vectors[:, : min(k, rank)]
    if wide:
        # V = X' U / s; the division enlarges rounding in the weakest ones, which QR takes out.
        directions = np.linalg.qr(X.T @ (directions / s))[0]
    return Projection(mean, directions * _signs(directions), s)


def cca(X: np.ndarray, Y: np.ndarray, k: int, regularisation: float) -> tuple[Projection, Projection]:
    """Return the first min(k, rank X, rank Y) pairs of directions, of greatest correlation between X and Y.

    X: (n, dx), Y: (n, dy), row i of both is the same thing.  regularisation: 0 or more, in mean eigenvalues.
    Without it, projected training rows have variance 1, no correlation within a view, and `strengths` between the two.
    Cost O(n (dx + dy)^2 + dx^3 + dy^3).  Raises `DataError` as `pca` does.
    """
    (mean_x, X), (mean_y, Y) = _centred(X), _centred(Y)
    Wx, Wy = _whitening(X, regularisation), _whitening(Y, regularisation)
    U, r, Vt = np.linalg.svd(Wx.T @ (X.T @ Y / (len(X) - 1)) @ Wy, full_matrices=False)
    A, B = Wx @ U[:, :k], Wy @ Vt[:k].T
    signs = _signs(A)  # a pair turns together
    r = np.minimum(r[:k], 1.0)
    return Projection(mean_x, A * signs, r), Projection(mean_y, B * signs, r)


def procrustes(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return the orthogonal R (k, k) that brings X (n, k) nearest to Y (n, k): min |X R - Y|_F.  Cost O(n k^2 + k^3).

    >>> procrustes(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [-2.0, 0.0]])).round(3).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    U, _, Vt = np.linalg.svd(X.astype(np.float64).T @ Y)
    return np.asarray(U @ Vt)


def _centred(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = X.mean(axis=0, dtype=np.float64)
    return mean, X - mean


def _eigen(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return eigenvalues, descending, eigenvectors, and how many of the values are more than rounding."""
    values, vectors = np.linalg.eigh(gram)
    squares = np.maximum(values[::-1], 0.0)
    rank = int(np.count_nonzero(squares > squares[0] * _NEGLIGIBLE**2))
    if rank == 0:
        raise DataError("all rows are the same: fitting needs rows that differ")
    return squares, vectors[:, ::-1], rank


def _whitening(centred: np.ndarray, regularisation: float) -> np.ndarray:
    """Return W (d, rank) with W' (C + ridge) W = I, over the directions in which the rows differ."""
    values, vectors, rank = _eigen(centred.T @ centred / (len(centred) - 1))
    rank = min(rank, len(centred) - 1)
    ridge = regularisation * values[:rank].mean()
    return np.asarray(vectors[:, :rank] / np.sqrt(values[:rank] + ridge))


def _signs(directions: np.ndarray) -> np.ndarray:
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
