"""People as vectors: a weighted mean of the vectors of the movies they rated.

    u = sum_i w_i v_i / |sum_i w_i v_i|          over the movies i that the person rated and that have a vector

    average    w = 1 for a rating >= rating_threshold, else 0
    temporal   w = 2 ** (-age / half_life) for a rating >= rating_threshold, else 0
    weighted   w = 2 ** (-age / half_life) * max(rating - the person's mean, 0) over the last n_last ratings
    random     a random direction, the same for the same seed: what anything sensible must beat

Age is counted from the last rating of the person that counts; another origin would multiply all of a person's weights
by one number, which the normalisation takes out, and could underflow. All methods give the same people, those with at
least `min_movies` movies that they like and that have a vector, so that methods can be compared. In `weighted`, a
person with no rating above their mean among the last (all equal, say) gets their average; it is counted.

The rules come from published recommender designs; nothing in them says that one is better than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import check_settings, setting
from ..data.weighting import HALF_LIFE_DAYS, user_means
from ..linalg.rows import unit_rows
from ..linalg.sparse import SparseMatrix

AVERAGE, TEMPORAL, WEIGHTED, RANDOM = "average", "temporal", "weighted", "random"
METHODS = (AVERAGE, TEMPORAL, WEIGHTED, RANDOM)

_DAY = 86_400.0
_CANCELLED = 1e-6  # a sum this short beside its weights is rounding, not a direction


@dataclass(frozen=True)
class UserVectorSettings:
    """How ratings become a person's vector."""

    method: str = setting(AVERAGE, "how a person's movies are weighted", choices=METHODS)
    rating_threshold: float = setting(4.0, "a rating from here on says that the movie is liked", 0.5, 5)
    min_movies: int = setting(3, "people who like fewer movies with a vector are left out", 1)
    n_last: int = setting(50, "weighted: how many of a person's latest ratings count", 1)
    half_life_days: float = setting(HALF_LIFE_DAYS, "weighted, temporal: after so long a rating counts half", 0.01)

    def __post_init__(self) -> None:
        check_settings(self)


class UserVectors(NamedTuple):
    """What became of a set of people.

    user_ids: (n,) int64, ascending.  vectors: (n, d) float32, rows of length 1.
    left_out: reason -> how many; n and they add up to all people of the data.
    fallbacks: how many of the n got their average because the `weighted` rule said nothing about them.
    """

    user_ids: np.ndarray
    vectors: np.ndarray
    left_out: dict[str, int]
    fallbacks: int


def align(movie_ids: np.ndarray, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return (len(movie_ids), d): for each of `movie_ids` its row of `vectors`, zeros where `ids` lacks it.

    ids: (n,) in any order, each once.  vectors: (n, d).  Cost O(n log n).

    >>> align(np.array([1, 2, 3]), np.array([3, 1]), np.array([[3.0], [1.0]], np.float32)).ravel().tolist()
    [1.0, 0.0, 3.0]
    """
    result = np.zeros((len(movie_ids), vectors.shape[1]), dtype=np.float32)
    if len(ids) == 0:
        return result
    order = np.argsort(ids, kind="stable")
    places = np.minimum(np.searchsorted(ids[order], movie_ids), len(ids) - 1)
    known = ids[order][places] == movie_ids
    result[known] = vectors[order[places[known]]]
    return result


def user_vectors(
    data: Interactions, movie_vectors: np.ndarray, settings: UserVectorSettings, rng: np.random.Generator
) -> UserVectors:
    """Return a vector for every person in `data` who likes enough movies.

    movie_vectors: (n_movies, d) float32, row i for `data.movie_ids[i]`; a row of zeros means that the movie has no
    vector (`align` brings vectors into this form).  rng: used by `random` alone.
    Raises `DataError` where the rows do not fit the data or are not finite.
    Cost: O(n_ratings d) for one sparse product, O(n_ratings) besides; memory 16 bytes a rating beyond the result.
    """
    if movie_vectors.ndim != 2 or len(movie_vectors) != data.n_movies:
        shape = movie_vectors.shape
        raise DataError(f"movie vectors of shape {shape} for {data.n_movies} movies: give one row for each (see align)")
    if not np.isfinite(movie_vectors).all():
        raise DataError("a movie vector is not finite: embed the movies again")
    has_vector = (movie_vectors != 0).any(axis=1)
    liked = data.ratings >= settings.rating_threshold
    usable = liked & has_vector[data.movie_rows]
    n_liked, n_usable = _per_user(data, liked), _per_user(data, usable)
    few_likes = n_liked < settings.min_movies
    few_vectors = ~few_likes & (n_usable < settings.min_movies)
    kept = ~few_likes & ~few_vectors
    left_out = {
        f"fewer than {settings.min_movies} movies rated {settings.rating_threshold:g} or more": int(few_likes.sum()),
        f"fewer than {settings.min_movies} of them have a vector": int(few_vectors.sum()),
        "their movies' vectors cancel out": 0,
    }
    if settings.method == RANDOM:
        directions = rng.standard_normal((data.n_users, movie_vectors.shape[1]))
        return UserVectors(data.user_ids[kept], unit_rows(directions[kept]), left_out, 0)
    weights, fallen_back = _weights(data, usable, has_vector, settings)
    weights *= kept[data.user_rows()]
    sums = _weighted_sums(data, weights, movie_vectors)
    total = _per_user(data, weights)
    cancelled = kept & (np.linalg.norm(sums, axis=1) <= _CANCELLED * total)
    left_out["their movies' vectors cancel out"] = int(cancelled.sum())
    kept &= ~cancelled
    return UserVectors(data.user_ids[kept], unit_rows(sums[kept]), left_out, int((fallen_back & kept).sum()))


def _weights(
    data: Interactions,
    usable: np.ndarray,
    has_vector: np.ndarray,
    settings: UserVectorSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return w (n_ratings,) float32 and, for each user, whether `weighted` fell back to the average."""
    average = usable.astype(np.float32)
    nobody = np.zeros(data.n_users, dtype=bool)
    if settings.method == AVERAGE:
        return average, nobody
    if settings.method == TEMPORAL:
        return average * _recency(data, usable, settings.half_life_days), nobody
    users = data.user_rows()
    from_last = data.indptr[1:][users] - np.arange(data.n_ratings)  # 1 = the last rating of its user
    above = np.maximum(data.ratings - user_means(data)[0][users], 0.0)
    above[(from_last > settings.n_last) | ~has_vector[data.movie_rows]] = 0.0
    weights = (_recency(data, above > 0, settings.half_life_days) * above).astype(np.float32)
    silent = _per_user(data, weights) == 0
    return np.where(silent[users], average, weights), silent


def _recency(data: Interactions, counted: np.ndarray, half_life_days: float) -> np.ndarray:
    """Return 2 ** (-age / half_life) of every rating; age 0 is its user's last `counted` one, and all after it."""
    users = data.user_rows()
    newest = np.zeros(data.n_users, dtype=np.int64)
    newest[users[counted]] = data.times[counted]  # in order of time: the last one stays
    days = np.maximum(newest[users] - data.times, 0) / _DAY
    recency = np.exp2(-days / half_life_days).astype(np.float32)
    return recency


def _per_user(data: Interactions, values: np.ndarray) -> np.ndarray:
    """Return the sum of `values` over each user's ratings, (n_users,) float64."""
    counts = np.bincount(data.user_rows(), weights=values.astype(np.float64), minlength=data.n_users)
    return counts.astype(np.float64)  # of integers where there is no rating at all


def _weighted_sums(data: Interactions, weights: np.ndarray, movie_vectors: np.ndarray) -> np.ndarray:
    """Return sum_i w_i v_i of every user, (n_users, d) float32."""
    part = data.take(weights > 0)
    matrix = SparseMatrix(part.indptr, part.movie_rows, weights[weights > 0], data.n_movies)
    return matrix.times(np.ascontiguousarray(movie_vectors, dtype=np.float32))
