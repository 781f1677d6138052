"""Content: movies of the genres, and with the tags, that a person rates above their own average.

    F_i     = the genres and tags of i, each weighted by ln(n_movies / how many movies have it), scaled to length 1
    profile = sum over the history (r_i - the person's mean + liking) F_i
    score   = F profile / |profile| + popularity * ln(1 + likes_i) / ln(1 + most likes)

The only model here that can rank a movie that nobody has rated. `liking` lets a movie speak for its genres even if
its rating was only average, since people choose what they watch; `popularity` puts the better known of two equally
fitting movies first, and 0 leaves it out. Source: Pazzani and Billsus (2007), Content-Based Recommendation Systems,
section 10.3 (Rocchio); the centring and both constants are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from .base import Fitted, Ranker


@dataclass(frozen=True)
class ContentSettings:
    liking: float = setting(0.5, "what a rating counts beyond its distance from the person's mean, in stars", 0)
    popularity: float = setting(2.0, "weight of being well known", 0)
    fewest_movies: int = setting(5, "a tag counts if at least so many movies have it", 1)


class Content(Ranker):
    """`features` is F, (n_movies, n_features) float32; `known` (n_movies,) float32 is the popularity term."""

    name = "content"
    Settings = ContentSettings
    takes_catalog = True
    fitted: ClassVar[Fitted] = {"features": np.float32, "known": np.float32}

    features: np.ndarray
    known: np.ndarray

    def __init__(
        self, catalog: Optional[Catalog] = None, tags: Optional[Iterable[tuple[int, str]]] = None, **settings: Any
    ) -> None:
        """Take genres from `catalog` and tags as pairs (movie id, tag); a loaded model needs neither.

        tags: None takes the keywords of `catalog`, which preprocessing fills from tags where it has no others.
        """
        super().__init__(**settings)
        self.catalog = catalog
        if tags is None:
            tags = catalog.keywords() if catalog else ()
        self.tags = tuple(tags)

    def fit(self, train: Interactions) -> Content:
        """Read the features of the training data's movies; one that the catalogue does not know has none."""
        self.movie_ids = train.movie_ids
        parts = [genre_matrix(self.catalog, train.movie_ids)]
        parts.append(tag_matrix(self.tags, train.movie_ids, self.settings.fewest_movies))
        F = np.concatenate(parts, axis=1)
        F = F * np.log(len(F) / np.maximum(F.sum(axis=0), 1))
        lengths = np.linalg.norm(F, axis=1, keepdims=True)
        self.features = (F / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        likes = np.bincount(train.movie_rows[train.ratings >= LIKED], minlength=train.n_movies)
        self.known = (np.log1p(likes) / np.log1p(max(likes.max(initial=0), 1))).astype(np.float32)
        return self

    def affinity(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return the cosine of each movie and each person's profile, (B, n_movies) float32."""
        cosines = np.zeros((len(user_rows), len(self.features)), dtype=np.float32)
        for line, row in enumerate(user_rows):
            known = history.row(row)
            ratings = history.ratings[known]
            if len(ratings):
                weights = ratings - ratings.mean() + np.float32(self.settings.liking)
                profile = weights @ self.features[history.movie_rows[known]]
                cosines[line] = self.features @ profile / max(float(np.linalg.norm(profile)), 1e-9)
        return cosines

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        scores = self.affinity(history, user_rows) + np.float32(self.settings.popularity) * self.known
        return scores


def genre_matrix(catalog: Optional[Catalog], movie_ids: np.ndarray) -> np.ndarray:
    """Return (n_movies, n_genres): 1 where the movie has the genre; no columns without a catalogue."""
    if catalog is None:
        return np.zeros((len(movie_ids), 0))
    listed = np.isin(movie_ids, catalog.movie_ids)
    genres = np.zeros((len(movie_ids), catalog.genres.shape[1]))
    genres[listed] = catalog.genres[np.searchsorted(catalog.movie_ids, movie_ids[listed])]
    return genres


def tag_matrix(tags: Iterable[tuple[int, str]], movie_ids: np.ndarray, fewest_movies: int) -> np.ndarray:
    """Return (n_movies, n_tags): 1 where somebody gave the movie the tag, upper and lower case alike.

    >>> tag_matrix([(5, "Space"), (7, "space "), (5, "war")], np.array([5, 6, 7]), 2).tolist()
    [[1.0], [0.0], [1.0]]
    """
    row_of = {movie_id: row for row, movie_id in enumerate(movie_ids.tolist())}
    movies_with: dict[str, set[int]] = {}
    for movie_id, text in tags:
        if movie_id in row_of:
            movies_with.setdefault(text.strip().casefold(), set()).add(row_of[movie_id])
    kept = sorted(name for name, rows in movies_with.items() if len(rows) >= fewest_movies)
    matrix = np.zeros((len(movie_ids), len(kept)))
    for column, name in enumerate(kept):
        matrix[sorted(movies_with[name]), column] = 1
    return matrix
