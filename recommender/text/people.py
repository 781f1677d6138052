"""Users as vectors: from the movies they rated, from what they said, or from both.

    u = sum_i w_i v_i / |sum_i w_i v_i|          over the movies i that the user rated and that have a vector

    average    w = 1 for a rating >= rating_threshold, else 0
    temporal   w = 2 ** (-age / half_life) for a rating >= rating_threshold, else 0
    weighted   w = 2 ** (-age / half_life) * max(rating - the user's mean, 0) over the last n_last ratings
    random     a random direction, reproducible by seed: a baseline

    mix        u = a * rating_vec + (1 - a) * text_vec, at length 1;  a = 0.7; if one side is missing, the other alone

Age is measured from the user's last rating that counts; another origin could underflow. All methods return the same
users, those who like at least `min_movies` movies with a vector. In `weighted`, a user without a rating above their
mean among the last ones gets their average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.interactions import Interactions
from ..data.raw.ratings_table import RatingsTable, read_table
from ..data.settings import check_settings, setting
from ..data.splits import load_all
from ..data.weighting import HALF_LIFE_DAYS, user_means
from ..linalg.rows import align, unit_rows
from ..linalg.sparse import SparseMatrix

AVERAGE, TEMPORAL, WEIGHTED, RANDOM = "average", "temporal", "weighted", "random"
METHODS = (AVERAGE, TEMPORAL, WEIGHTED, RANDOM)
ALPHA = 0.7
_DAY = 86_400.0


def read_people(path: Path) -> RatingsTable:
    """Return all ratings of a processed folder (train, val and test), or of a table of ratings."""
    is_table = path.is_file() or path.suffix.lower() == ".csv"
    return read_table(path) if is_table else RatingsTable(load_all(path), 0, 0, [], {})


@dataclass(frozen=True)
class UserVectorSettings:
    """How ratings become a user's vector."""

    method: str = setting(AVERAGE, "how a user's movies are weighted", choices=METHODS)
    rating_threshold: float = setting(4.0, "minimum rating of a liked movie", 0.5, 5)
    min_movies: int = setting(3, "minimum number of liked movies with a vector", 1)
    n_last: int = setting(50, "weighted: number of latest ratings of a user that count", 1)
    half_life_days: float = setting(HALF_LIFE_DAYS, "weighted, temporal: days after which a weight halves", 0.01)
    alpha: float = setting(ALPHA, "weight of ratings when mixed with words", 0, 1)

    def __post_init__(self) -> None:
        check_settings(self)


def user_vectors(
    data: Interactions, movie_vectors: np.ndarray, settings: UserVectorSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids (n,) int64, ascending, of all users who like enough movies, and their vectors (n, d) float32.

    movie_vectors: (n_movies, d) float32, row i for `data.movie_ids[i]`; a row of zeros means that the movie has no
    vector (`align` brings vectors into this form).  rng: used by `random` alone.
    Cost: O(n_ratings d) for one sparse product, O(n_ratings) besides; memory 16 bytes a rating beyond the result.
    """
    known = (movie_vectors != 0).any(axis=1)[data.movie_rows]  # (n_ratings,)
    liked = known & (data.ratings >= settings.rating_threshold)
    kept = _per_user(data, liked) >= settings.min_movies
    weights = _weights(data, known, liked, settings)
    silent = _per_user(data, weights) == 0
    weights = np.where(silent[data.user_rows()], liked, weights)
    counted = (weights > 0) & kept[data.user_rows()]
    part = data.take(counted)
    W = SparseMatrix(part.indptr, part.movie_rows, weights[counted], data.n_movies)
    sums = W.times(movie_vectors)  # (n_users, d): sum_i w_i v_i
    if settings.method == RANDOM:
        sums = rng.standard_normal(sums.shape)
    return data.user_ids[kept], unit_rows(sums[kept])


def _weights(data: Interactions, known: np.ndarray, liked: np.ndarray, settings: UserVectorSettings) -> np.ndarray:
    """Return w (n_ratings,) float32; known, liked: whether a rating's movie has a vector, and is liked too."""
    users = data.user_rows()
    weights = liked.astype(np.float32)
    if settings.method == WEIGHTED:
        from_last = data.indptr[1:][users] - np.arange(data.n_ratings)  # 1 = the last rating of its user
        weights = np.maximum(data.ratings - user_means(data)[0][users], 0.0)
        weights[(from_last > settings.n_last) | ~known] = 0.0
    if settings.method in (TEMPORAL, WEIGHTED):
        counted, newest = weights > 0, np.zeros(data.n_users, dtype=np.int64)
        newest[users[counted]] = data.times[counted]  # in order of time, so the last one wins
        days = np.maximum(newest[users] - data.times, 0) / _DAY  # age; 0 after the last rating that counts
        weights = weights * np.exp2(-days / settings.half_life_days).astype(np.float32)
    return weights.astype(np.float32)


def _per_user(data: Interactions, values: np.ndarray) -> np.ndarray:
    """Return the sum of `values` over each user's ratings, (n_users,) float64."""
    sums = np.bincount(data.user_rows(), weights=values.astype(np.float64), minlength=data.n_users)
    return sums.astype(np.float64)  # integers if there are no ratings


def mix(rating_vectors: np.ndarray, text_vectors: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Return a * rating_vec + (1 - a) * text_vec row by row, (n, d) float32, all at length 1 before and after.

    A row of zeros means that this side is missing: the other is used alone.  alpha: weight of the ratings, 0 to 1.

    >>> ratings, texts = np.array([[2.0, 0.0], [0.0, 0.0]], np.float32), np.array([[0.0, 5.0], [0.0, 5.0]], np.float32)
    >>> mix(ratings, texts, 0.5).tolist()
    [[0.7071067690849304, 0.7071067690849304], [0.0, 1.0]]
    """
    of_ratings = np.where(text_vectors.any(axis=1), alpha, 1.0)[:, None]  # (n, 1)
    of_texts = np.where(rating_vectors.any(axis=1), 1.0 - alpha, 1.0)[:, None]
    return unit_rows(of_ratings * unit_rows(rating_vectors) + of_texts * unit_rows(text_vectors))


def mix_users(
    rating_ids: Sequence[object],
    rating_vectors: np.ndarray,
    text_ids: Sequence[object],
    text_vectors: np.ndarray,
    alpha: float = ALPHA,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, origins ("ratings", "text" or "both") and vectors (n, d) of all users on either side.

    Ids are compared as texts, so user 7 and speaker "7" are one; numbers come first, by value. An id may occur once on
    each side; both sides have d columns. Cost O(n log n + n d).
    """
    ids = [np.array([str(ident) for ident in side], dtype=np.str_) for side in (rating_ids, text_ids)]
    everybody = {str(name) for side in ids for name in side}
    order = sorted(everybody, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    names = np.array(order, dtype=np.str_)
    rated, said = align(names, ids[0], rating_vectors), align(names, ids[1], text_vectors)
    has_ratings, has_text = rated.any(axis=1), said.any(axis=1)
    origins = np.where(has_ratings & has_text, "both", np.where(has_ratings, "ratings", "text"))
    found = has_ratings | has_text
    return names[found], origins[found], mix(rated[found], said[found], alpha)
