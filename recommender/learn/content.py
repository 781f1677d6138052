"""Content: movies of the genres, and with the keywords, that a user rates above their own average.

    F_i     = the genres and keywords of i, each weighted by ln(n_movies / how many movies have it), scaled to length 1
    profile = sum over the history (r_i - the user's mean + liking) F_i
    score   = F profile / |profile| + popularity * ln(1 + likes_i) / ln(1 + most likes)

It can rank a movie that nobody has rated. `liking` lets a movie speak for its genres even if its rating was only
average, since users choose what they watch; `popularity` puts the better known of two equally fitting movies first.
Source: Pazzani and Billsus (2007), Content-Based Recommendation Systems, section 10.3 (Rocchio); the centering and
both constants are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.rows import unit_rows
from .base import Ranker
from .features import genre_matrix, rarity_weighted, tag_matrix


class Content(Ranker):
    """A profile of genres and keywords for each user."""

    name = "content"
    features_: np.ndarray  # F, (n_movies, n_features) float32
    known_: np.ndarray  # (n_movies,) float32, the popularity term

    @dataclass(frozen=True)
    class Settings:
        liking: float = setting(0.5, "what a rating counts beyond its distance from the user's mean, in stars", 0)
        popularity: float = setting(2.0, "weight of being well known", 0)
        fewest_movies: int = setting(5, "minimum number of movies with a keyword", 1)

    def __init__(self, catalog: Optional[Catalog] = None, keywords: bool = True, **settings: Any) -> None:
        """keywords: whether to read those of `catalog` beside its genres; preprocessing fills them from users' tags."""
        super().__init__(catalog, **settings)
        self.keywords = self.catalog.keywords() if keywords else []

    def _fit(self, train: Interactions) -> None:
        """Read the features of the training data's movies; one that the catalogue does not know has none."""
        genres = genre_matrix(self.catalog, train.movie_ids)
        words = tag_matrix(self.keywords, train.movie_ids, self.settings.fewest_movies)
        self.features_ = unit_rows(rarity_weighted(np.concatenate([genres, words], axis=1)))
        likes = np.bincount(train.movie_rows[train.ratings >= LIKED], minlength=train.n_movies)
        self.known_ = (np.log1p(likes) / np.log1p(max(likes.max(initial=0), 1))).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        mean = ratings.mean() if len(ratings) else 0
        profile = (ratings - mean + np.float32(self.settings.liking)) @ self.features_[movies]  # (n_features,)
        cosines = self.features_ @ profile / max(float(np.linalg.norm(profile)), 1e-9)  # (n_movies,)
        return cosines + np.float32(self.settings.popularity) * self.known_
