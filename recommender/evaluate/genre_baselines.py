"""What a movie that nobody has rated is measured against: its genres alone, and chance.

    popularity-by-genre   score_i = mean over the genres g of i of L_g
                          L_g     = mean number of likes of the movies that have genre g and at least one rating
    genre-profile         score_i = cosine of the genres of i and of what the person rates above their own mean
    random                score_i = a number drawn for each person and movie

A movie without a genre has the mean over all rated movies as its L. The genre profile is the model `content` without
keywords and without popularity. All follow the contract of `recommender.learn.base`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..learn.base import Ranker
from ..learn.content import Content
from ..learn.features import genre_matrix


class PopularityByGenre(Ranker):
    """`expected_` is score_i, (n_movies,) float32: the same for everybody."""

    name = "popularity-by-genre"

    expected_: np.ndarray

    def fit(self, train: Interactions) -> PopularityByGenre:
        """Count the likes of rated movies by genre."""
        self.movie_ids = train.movie_ids
        likes = np.bincount(train.movie_rows[train.ratings >= LIKED], minlength=train.n_movies)
        self.expected_ = likes_by_genre(genre_matrix(self.catalog, train.movie_ids), likes, train.movie_counts() > 0)
        return self

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return np.tile(self.expected_, (len(user_rows), 1))


def likes_by_genre(genres: np.ndarray, likes: np.ndarray, is_rated: np.ndarray) -> np.ndarray:
    """Return score_i of popularity-by-genre, (n_movies,) float32.

    genres: (n_movies, n_genres) of 0 and 1.  likes, is_rated: (n_movies,); likes of unrated movies are not looked at.

    >>> genres = np.array([[1, 0], [1, 1], [0, 1], [1, 1], [0, 0]])
    >>> likes_by_genre(genres, np.array([4, 2, 6, 0, 0]), np.array([True, True, True, False, False])).tolist()
    [3.0, 3.5, 4.0, 3.5, 4.0]
    """
    rated = genres[is_rated]
    overall = float(likes[is_rated].mean()) if is_rated.any() else 0.0
    movies = rated.sum(axis=0)
    of_genre = np.where(movies > 0, likes[is_rated] @ rated / np.maximum(movies, 1), overall)
    n_genres = genres.sum(axis=1)
    expected = np.where(n_genres > 0, genres @ of_genre / np.maximum(n_genres, 1), overall)
    return expected.astype(np.float32)


@dataclass(frozen=True)
class RandomSettings:
    seed: int = setting(0, "another number gives other random lists", 0)


class Random(Ranker):
    """Draws every score anew for each row of the history; the same row always has the same scores."""

    name = "random"
    Settings = RandomSettings

    def fit(self, train: Interactions) -> Random:
        """Note the movies; there is nothing to learn."""
        self.movie_ids = train.movie_ids
        return self

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        draws = [np.random.default_rng([self.settings.seed, row]).random(len(self.movie_ids)) for row in user_rows]
        return np.array(draws, dtype=np.float32).reshape(len(user_rows), len(self.movie_ids))


BASELINES: Mapping[str, Callable[[Optional[Catalog]], Ranker]] = {
    "popularity-by-genre": PopularityByGenre,
    "genre-profile": lambda catalog: Content(catalog, tags=(), popularity=0.0),
    "random": lambda catalog: Random(),
}
REFERENCE = "popularity-by-genre"
