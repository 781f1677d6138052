"""Item nearest neighbours: a movie is close to those that the same users liked.

    w_ui  = 1                                          weighting "cosine"
    w_ui  = ln n_movies - ln(1 + n_u)                  weighting "tfidf": who likes everything says little
    S_ij  = sum_u w_ui w_uj / (|w_i| |w_j| + shrinkage),  the `neighbours` largest of each row i, i itself excepted
    score = sum of S_i over the movies i that the user liked

n_u: how many movies u liked (4 stars or more). Sources: Sarwar et al. (WWW 2001), section 3.1 for the cosine;
Bell and Koren (ICDM 2007), section 3.1 for shrinkage, there of correlations; the user weights are inverse document
frequency with users as words and movies as documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from .base import Ranker
from .ease import gram


class ItemKnn(Ranker):
    """`neighbours_` (n_movies, k) int32, the most similar first, and their `similarities_` (n_movies, k) float32."""

    name = "item_knn"
    by_blocks = True
    neighbours_: np.ndarray
    similarities_: np.ndarray

    @dataclass(frozen=True)
    class Settings:
        weighting: str = setting("tfidf", "what a like counts in the similarity", choices=("cosine", "tfidf"))
        shrinkage: float = setting(0.0, "added to the denominator: pulls down similarities that rest on few users", 0)
        neighbours: int = setting(100, "similar movies kept for each movie", 1)

    def _fit(self, train: Interactions) -> None:
        """Compare all pairs of movies; O(sum of squared row lengths + n_movies^2)."""
        S = gram(train, self._weights(train), self.engine)
        norms = np.sqrt(S.diagonal())
        scale = np.outer(norms, norms) + np.float32(self.settings.shrinkage)
        S /= np.where(scale > 0, scale, 1)
        np.fill_diagonal(S, 0)
        k = min(self.settings.neighbours, max(train.n_movies - 1, 0))
        self.neighbours_ = np.argsort(-S, axis=1, kind="stable")[:, :k].astype(np.int32)
        self.similarities_ = np.take_along_axis(S, self.neighbours_, axis=1)

    def _weights(self, train: Interactions) -> np.ndarray:
        liked = train.ratings >= LIKED
        if self.settings.weighting == "cosine":
            return liked.astype(np.float32)
        users = train.user_rows()
        n_liked = np.bincount(users[liked], minlength=train.n_users)
        idf = np.log(max(train.n_movies, 1)) - np.log1p(n_liked)
        return np.where(liked, np.maximum(idf, 0)[users], 0).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        liked = movies[ratings >= LIKED]
        near, similarity = self.neighbours_[liked].ravel(), self.similarities_[liked].ravel()
        return np.bincount(near, similarity, minlength=len(self.movie_ids))
