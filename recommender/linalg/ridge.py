"""The bridge from text to ratings: where a movie, or a wish, would lie among the vectors that ratings gave the others.

Movies with both, a text vector x_i (d,) and a vector y_i (k,) learned from ratings, teach a linear map:

    minimise over B and c     sum_i w_i |x_i B + c - y_i|^2 + ridge |B|^2
    bridge(x) = x B + c

Ridge regression (Hoerl and Kennard 1970), centred on the weighted means so that c is free of the penalty. w_i says how
far y_i can be trusted: the vector of a movie that few people rated is mostly noise. With the singular value
decomposition sqrt(w) X = U diag(s) V', all ridges cost one decomposition, taken of whichever of X'X and XX' is smaller:

    B = X'sqrt(w) U diag(1 / (s^2 + ridge)) U' sqrt(w) Y

The ridge is chosen by leaving out every movie in turn, which needs no second fit (Allen 1974, "The relationship between
variable selection and data augmentation and a method for prediction", PRESS): with fitted values F and leverages h_i,
the error on movie i of the map fitted without it is

    (y_i - f_i) / (1 - h_i)        h_i = sum_j u_ij^2 s_j^2 / (s_j^2 + ridge) + w_i / sum w
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RIDGES = tuple(10.0 ** (power / 2) for power in range(-4, 8))


class Bridge(NamedTuple):
    """What `fit_bridge` learned. `r2`, `cosine` and `left_over` are of movies that the map was not fitted on.

    B: (d, k) float32.  c: (k,) float32.  mean: (k,) float32, the weighted mean of the targets.  ridge: the one chosen.
    r2: share of the weighted variance that is foretold; 0 is no better than the mean of all movies, below 0 is worse.
    cosine: weighted mean cosine of the foretold vector and the true one.
    left_over: (k,) float64, weighted mean squared error of each coordinate.
    """

    B: np.ndarray
    c: np.ndarray
    mean: np.ndarray
    ridge: float
    r2: float
    cosine: float
    left_over: np.ndarray

    def __call__(self, text_vectors: np.ndarray) -> np.ndarray:
        """Return (m, k) float32 for text vectors (m, d)."""
        result = np.asarray(text_vectors, dtype=np.float32) @ self.B + self.c
        return result


def fit_bridge(
    text_vectors: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    ridges: Sequence[float] = RIDGES,
) -> Bridge:
    """Fit the map from `text_vectors` (n, d) to `targets` (n, k), movie i weighing weights[i] >= 0.

    Weights are scaled to mean 1 over the movies that have one above 0; the others do not count at all. At least two
    movies must count. ridges: to choose from, each above 0. Cost O(n d min(n, d) + ridges n k min(n, d)).

    >>> bridge = fit_bridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), np.ones(3), [1e-9])
    >>> bridge(np.array([[10.0]])).round(3).tolist()
    [[21.0]]
    """
    counts = weights > 0
    X, Y, w = text_vectors[counts].astype(np.float64), targets[counts].astype(np.float64), weights[counts]
    w = w / w.mean()
    root = np.sqrt(w)[:, None]
    x_mean, y_mean = w @ X / w.sum(), w @ Y / w.sum()
    Xw, Yw = root * (X - x_mean), root * (Y - y_mean)
    U, squares = left_singular(Xw)
    along = U.T @ Yw
    own = w / w.sum()
    total = _error(Yw, own)
    best = np.inf
    for ridge in ridges:
        shrink = squares / (squares + ridge)
        left_out = _left_out(Yw - U @ (shrink[:, None] * along), (U**2) @ shrink + own)
        error = float((left_out**2).sum())
        if error < best:
            best, chosen, errors = error, ridge, left_out
    B = Xw.T @ (U @ (along / (squares + chosen)[:, None]))
    foretold = Y - errors / root
    lengths = np.linalg.norm(foretold, axis=1) * np.linalg.norm(Y, axis=1)
    cosines = (foretold * Y).sum(axis=1) / np.maximum(lengths, 1e-12)
    return Bridge(
        B.astype(np.float32),
        (y_mean - x_mean @ B).astype(np.float32),
        y_mean.astype(np.float32),
        float(chosen),
        1 - best / total if total > 0 else 0.0,
        float(w @ cosines / w.sum()),
        (errors**2).mean(axis=0),
    )


def left_singular(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left singular vectors (n, r) and squared singular values (r,) of X (n, d), tiny ones left out."""
    wide = X.shape[1] > X.shape[0]
    squares, vectors = np.linalg.eigh(X @ X.T if wide else X.T @ X)
    kept = squares > 1e-10 * max(squares.max(initial=0), 1e-300)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if wide else X @ (vectors / np.sqrt(squares))), squares


def _left_out(residuals: np.ndarray, leverages: np.ndarray) -> np.ndarray:
    result = residuals / np.maximum(1 - leverages, 1e-9)[:, None]
    return result


def _error(Yw: np.ndarray, own: np.ndarray) -> float:
    """Return the squared error of foretelling each movie by the mean of the others."""
    return float((_left_out(Yw, own) ** 2).sum())
