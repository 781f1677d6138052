"""Popularity: every person gets the same ranking, the movies that most people liked.

    score_i = number of training ratings of i that are at least `threshold`
              (+ a share below 1 of all its ratings, so that movies with equal likes rank by how often they were seen)

The baseline that every other model has to beat. It knows nothing of a person, so it also serves somebody unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from ..data.interactions import Interactions
from ..data.settings import setting
from .base import Fitted, Ranker


@dataclass(frozen=True)
class MostPopularSettings:
    threshold: float = setting(4.0, "the lowest rating that counts; 0.5 counts every rating", 0.5, 5)


class MostPopular(Ranker):
    """Rank by the number of likes; `likes` is (n_movies,) float32."""

    name = "popularity"
    Settings = MostPopularSettings
    fitted: ClassVar[Fitted] = {"likes": np.float32}

    likes: np.ndarray

    def fit(self, train: Interactions) -> MostPopular:
        """Count; O(n_ratings)."""
        self.movie_ids = train.movie_ids
        liked = train.movie_rows[train.ratings >= self.settings.threshold]
        counts = np.bincount(liked, minlength=train.n_movies)
        rated = train.movie_counts()
        self.likes = (counts + 0.5 * rated / (1 + rated.max(initial=0))).astype(np.float32)
        return self

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return np.tile(self.likes, (len(user_rows), 1))
