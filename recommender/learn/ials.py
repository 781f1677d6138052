"""Matrix factorization of what users chose, every unobserved cell included: iALS.

    minimise   sum_(u,i) c_ui (p_ui - x_u . y_i)^2 + lambda (sum_u |x_u|^2 + sum_i |y_i|^2)
    p_ui = 1 and c_ui = 1 + alpha where u likes i;  p_ui = 0 and c_ui = 1 everywhere else

Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets", equation 3. Each half sweep takes
a few conjugate-gradient steps.

What differs: a user is always folded in, x_u solved exactly from the history given to `score`, where the d-th latest
like weighs alpha (floor + exp(-d / span)), d counted over all ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.conjugate_gradient import blocks_of_rows, conjugate_gradient, solve_exactly
from .base import Ranker


class Ials(Ranker):
    """`movie_vectors_` is Y, (n_movies, factors) float32; `gram_` is Y'Y, float64, kept for the fold-in."""

    name = "ials"
    movie_vectors_: np.ndarray
    gram_: np.ndarray

    @dataclass(frozen=True)
    class Settings:  # defaults chosen on the validation part of ml-latest-small
        factors: int = setting(96, "length of the vectors", 1)
        regularisation: float = setting(20.0, "lambda", 1e-6)
        alpha: float = setting(5.0, "what an observed liked cell counts beyond an unobserved one", 1e-6)
        recency_floor: float = setting(0.07, "floor of a choice's weight in the fold-in", 0)
        recency_span: float = setting(5.0, "choices after which the rest has fallen to 1/e; 0 = all equal", 0)
        n_sweeps: int = setting(15, "sweeps over both sides", 1)
        cg_steps: int = setting(3, "conjugate-gradient steps a half sweep", 1)
        seed: int = setting(0, "seed of the first vectors", 0)

    def _fit(self, train: Interactions) -> None:
        """Learn from `train`; cost O(n_sweeps (cg_steps nnz k + (n_users + n_movies) k^2))."""
        settings = self.settings
        rng, k = np.random.default_rng(settings.seed), settings.factors
        likes = train.take(train.ratings >= LIKED)
        weights = np.full(likes.n_ratings, settings.alpha, dtype=np.float32)
        by_user = blocks_of_rows(likes.indptr, likes.movie_rows, weights, train.n_movies, k)
        by_movie = blocks_of_rows(*rows_by_movie(likes), weights, train.n_users, k)
        X = rng.normal(0, 0.1 / np.sqrt(k), (train.n_users, k)).astype(np.float32)
        Y = rng.normal(0, 0.1 / np.sqrt(k), (train.n_movies, k)).astype(np.float32)
        for _ in range(settings.n_sweeps):
            conjugate_gradient(X, Y, by_user, settings.regularisation, settings.cg_steps)
            conjugate_gradient(Y, X, by_movie, settings.regularisation, settings.cg_steps)
        exact = Y.astype(np.float64)
        self.movie_vectors_, self.gram_ = Y, exact.T @ exact

    def fold_in(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return (B, factors) float32, the exact minimiser of the loss for each user with the movies fixed."""
        settings = self.settings
        part = history.select(user_rows)
        weights = np.full(part.n_ratings, settings.alpha)
        if settings.recency_span > 0:
            d = np.repeat(part.indptr[1:], np.diff(part.indptr)) - 1 - np.arange(part.n_ratings)  # 0 = the latest
            weights *= settings.recency_floor + np.exp(-d / settings.recency_span)
        liked = (part.ratings >= LIKED) & (weights > 0)
        likes = part.take(liked)
        rows = likes.indptr, likes.movie_rows, weights[liked].astype(np.float32)
        return solve_exactly(self.movie_vectors_, *rows, settings.regularisation, self.gram_)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return self.fold_in(history, user_rows) @ self.movie_vectors_.T


def rows_by_movie(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds (n_movies + 1,) of each movie's ratings, and their users' rows, ascending (n_ratings,)."""
    bounds = np.concatenate(([0], np.cumsum(data.movie_counts())))
    return bounds, data.user_rows()[np.argsort(data.movie_rows, kind="stable")]
