"""Directed proximity EASE: EASE in which a pair of ratings counts by how near and in what order they were given.

    D       distance of two ratings of one user, in positions of their history; d = 0 for the latest rating
    x       1 / x_middle / x_low for a rating of at least 4 / from 3 to 3.5 / below 3
    y       1 for a rating of at least 4, y_other otherwise
    G_ij  = sum over users   x_i x_j (gram_base + exp(-D / gram_reach))  + regularisation [i = j]
    T_ij  = sum over users   x_i y_j (target_base + exp(-D / target_reach)) (1 if j came later, `earlier` if before)
    B     = P T - P diag(diag(P T) / diag(P)),  P = inv(G)
    score = sum over the history of  x_i (recency_base + exp(-d / recency_reach)) B_i

With G = T, D weightless and d ignored this is `ease.py`. Here the regression predicts what comes next (T is not
symmetric), from what was near. The zero diagonal is Steck's (WWW 2019, section 3.1), whose multipliers are
diag(P T) / diag(P) for any target T; kernel, order and grades are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.interactions import LIKED, Interactions, grades
from ..data.settings import setting
from ..linalg.cholesky import inverse
from .ease import ItemWeights, pair_sums

_BLOCK = 512  # columns of a product at once


class DirectedEase(ItemWeights):
    """EASE with distance, order and grades."""

    name = "directed_ease"
    by_blocks = True

    @dataclass(frozen=True)
    class Settings:
        x_middle: float = setting(0.3, "weight of a known rating from 3 to 3.5; one of 4 or more weighs 1", 0, 1)
        x_low: float = setting(0.1, "weight of a known rating below 3", 0, 1)
        y_other: float = setting(0.5, "weight of a rating below 4 as what is predicted", 0, 1)
        gram_base: float = setting(0.03, "weight of a pair at any distance, in the regression's inputs", 0)
        gram_reach: float = setting(10.0, "positions over which near pairs fade, in the regression's inputs", 1e-3)
        target_base: float = setting(0.05, "weight of a pair at any distance, in what is predicted", 0)
        target_reach: float = setting(30.0, "positions over which near pairs fade, in what is predicted", 1e-3)
        earlier: float = setting(0.5, "weight of predicting what came before, where what came after weighs 1", 0)
        recency_base: float = setting(0.07, "weight of any old rating in a user's profile", 0)
        recency_reach: float = setting(5.0, "ratings over which the extra weight of the latest fades", 1e-3)
        regularisation: float = setting(50.0, "ridge penalty", 1e-6)

    def _weights(self, train: Interactions) -> np.ndarray:
        """Solve in closed form: O(sum of squared row lengths) pairs, then two products of n_movies^3, float32.

        Memory: two matrices (n_movies, n_movies).
        """
        settings = self.settings
        longest = int(np.diff(train.indptr).max(initial=0))
        x = self._known(train.ratings)
        y = np.where(train.ratings >= LIKED, 1.0, settings.y_other).astype(np.float32)
        near = kernel(longest, settings.gram_base, settings.gram_reach)
        later = kernel(longest, settings.target_base, settings.target_reach, settings.earlier)
        G = pair_sums(train, x, x, near, self.engine, lower=True)
        G[np.diag_indices_from(G)] += settings.regularisation
        P, B = inverse(G), pair_sums(train, x, y, later, self.engine)  # T, then P T in its place
        blocks = [slice(low, low + _BLOCK) for low in range(0, len(B), _BLOCK)]
        for some in blocks:
            B[:, some] = P @ B[:, some]
        scale = B.diagonal() / P.diagonal()
        for some in blocks:
            B[some] -= P[some] * scale
        np.fill_diagonal(B, 0)
        return B

    def _known(self, ratings: np.ndarray) -> np.ndarray:
        return grades(ratings, self.settings.x_middle, self.settings.x_low)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        d = np.arange(len(movies))[::-1]  # 0 = the latest
        recency = self.settings.recency_base + np.exp(-d / self.settings.recency_reach)
        x = (self._known(ratings) * recency).astype(np.float32)
        if not self.item_columns_.size:  # one product: the stacker's published figures hold for its rounding
            return x @ self.item_weights_.take(movies, axis=0)
        return self._weighted(x, movies)


def kernel(longest: int, base: float, reach: float, earlier: float = 1.0) -> np.ndarray:
    """Return the weight of a pair by how many positions the second lies after the first.

    (2 longest - 1,) float32: entry longest - 1 is the pair of a rating with itself, which counts as later.
    """
    steps = np.arange(1 - longest, longest)
    weights = base + np.exp(-np.abs(steps) / reach)
    return np.where(steps < 0, earlier * weights, weights).astype(np.float32)
