"""The ratings as compressed sparse rows (CSR).

    the ratings of user row u are at indptr[u] : indptr[u + 1] of movie_rows, ratings and times

in order of time, equal times by movie. `movie_rows` index `movie_ids`, which may contain movies without ratings: all
splits of a data set share both vocabularies, so a row means the same user or movie everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .files import load_arrays

_DTYPES: dict[str, type] = dict.fromkeys(("user_ids", "movie_ids", "indptr", "movie_rows"), np.int64)
_DTYPES.update(movie_rows=np.int32, ratings=np.float32, times=np.int64)  # in the order of the fields
FILES = tuple(f"history_{name}.npy" for name in _DTYPES)
LIKED, NEUTRAL = 4.0, 3.0  # a rating >= 4 is a like, 3 and 3.5 are neutral, a lower one is a dislike
_TABLE_SIZE = 1 << 22  # ids up to this are looked up in a table
_SORT_BLOCK = 1 << 19  # ratings


@dataclass(frozen=True)
class Interactions:
    """Ratings of `n_users` x `n_movies`, sorted by user, then time, then movie.

    user_ids: (n_users,) int64, external ids, ascending.  movie_ids: (n_movies,) int64, external ids, ascending.
    indptr: (n_users + 1,) int64.  movie_rows: (n_ratings,) int32.  ratings: (n_ratings,) float32, 0.5 to 5.
    times: (n_ratings,) int64, seconds since 1970 UTC.
    """

    user_ids: np.ndarray
    movie_ids: np.ndarray
    indptr: np.ndarray
    movie_rows: np.ndarray
    ratings: np.ndarray
    times: np.ndarray

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_movies(self) -> int:
        return len(self.movie_ids)

    @property
    def n_ratings(self) -> int:
        return len(self.movie_rows)

    @property
    def has_times(self) -> bool:
        """Whether `times` are dates; negative ones encode the order of a file without times."""
        return self.n_ratings == 0 or int(self.times.min()) >= 0

    @classmethod
    def from_columns(
        cls,
        user_ids: npt.ArrayLike,
        movie_ids: npt.ArrayLike,
        ratings: npt.ArrayLike,
        times: npt.ArrayLike,
        movie_vocabulary: Optional[np.ndarray] = None,
        user_vocabulary: Optional[np.ndarray] = None,
    ) -> Interactions:
        """Build from four columns in any order, external ids; cost O(n log n).

        A given vocabulary must be sorted and contain every id that occurs.

        >>> data = Interactions.from_columns([7, 7, 9], [20, 10, 10], [4, 3, 5], [50, 40, 60])
        >>> data.indptr.tolist(), data.movie_rows.tolist(), data.ratings.tolist()
        ([0, 2, 3], [0, 1, 0], [3.0, 4.0, 5.0])
        """
        given = zip((user_ids, movie_ids, ratings, times), (np.int64, np.int64, np.float32, np.int64))
        users, movies, values, seconds = (np.asarray(column, dtype) for column, dtype in given)
        if not users.shape == movies.shape == values.shape == seconds.shape == (users.size,):
            shapes = [column.shape for column in (users, movies, values, seconds)]
            raise DataError(f"columns of shapes {shapes}: give four columns of equal length")
        user_list, user_rows = encode(users, user_vocabulary, "user")
        movie_list, movie_rows = encode(movies, movie_vocabulary, "movie")
        return cls.from_rows(user_list, movie_list, user_rows, movie_rows, values, seconds)

    @classmethod
    def from_rows(
        cls,
        user_ids: np.ndarray,
        movie_ids: np.ndarray,
        user_rows: np.ndarray,
        movie_rows: np.ndarray,
        ratings: np.ndarray,
        times: np.ndarray,
    ) -> Interactions:
        """Build from columns (n_ratings,) with users and movies as rows of the vocabularies."""
        counts = np.bincount(user_rows, minlength=len(user_ids))
        indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)  # indptr[u + 1] = indptr[u] + counts[u]
        columns = [movie_rows, ratings, times]
        if (user_rows[1:] < user_rows[:-1]).any():
            by_user = np.argsort(user_rows, kind="stable")
            user_rows, *columns = (column[by_user] for column in (user_rows, *columns))
        data = cls(user_ids, movie_ids, indptr, *map(np.empty_like, columns))
        # The users are in order, so a block of them is sorted at a time, which fits in the cache.
        starts = np.searchsorted(indptr, np.arange(0, len(user_rows), _SORT_BLOCK))
        bounds = np.unique(np.append(indptr[starts], len(user_rows))).tolist()
        for low, high in zip(bounds, bounds[1:]):
            order = _time_order(user_rows[low:high], columns[2][low:high], columns[0][low:high], len(movie_ids))
            for to, column in zip((data.movie_rows, data.ratings, data.times), columns):
                to[low:high] = column[low:high][order]
        return data

    def user_rows(self) -> np.ndarray:
        """Return the user row of every rating, (n_ratings,) int32."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.indptr))

    def movie_counts(self) -> np.ndarray:
        """Return how many ratings each movie row has, (n_movies,) int64."""
        return np.bincount(self.movie_rows, minlength=self.n_movies).astype(np.int64)

    def movie_means(self) -> np.ndarray:
        """Return the mean rating of each movie row, (n_movies,) float32; 0 without ratings."""
        sums = np.bincount(self.movie_rows, self.ratings, self.n_movies)
        return (sums / np.maximum(self.movie_counts(), 1)).astype(np.float32)

    def take(self, keep: np.ndarray) -> Interactions:
        """Return the ratings where `keep` (n_ratings,) is True; the vocabularies are unchanged."""
        before = np.zeros(len(keep) + 1, dtype=np.int64)
        np.cumsum(keep, out=before[1:])
        indptr = before[self.indptr]
        columns = (self.movie_rows[keep], self.ratings[keep], self.times[keep])
        return Interactions(self.user_ids, self.movie_ids, indptr, *columns)

    def row(self, user_row: int) -> slice:
        """Return the slice of `user_row` in `movie_rows`, `ratings` and `times`, oldest first."""
        return slice(self.indptr[user_row], self.indptr[user_row + 1])

    def select(self, user_rows: np.ndarray) -> Interactions:
        """Return the ratings of `user_rows` (B,) as rows 0 .. B - 1; repeated rows are allowed.

        The movies keep their rows. Cost O(ratings selected).
        """
        starts = self.indptr[user_rows]
        counts = self.indptr[np.asarray(user_rows) + 1] - starts  # not of all users: it is called for every block
        indptr = np.concatenate(([0], np.cumsum(counts)))
        position = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], counts)  # (ratings selected,)
        columns = (self.movie_rows[position], self.ratings[position], self.times[position])
        return Interactions(self.user_ids[user_rows], self.movie_ids, indptr, *columns)

    def block(self, low: int, high: int) -> Interactions:
        """Return the users `low:high` as rows 0 .. high - low - 1, without a copy; the movies keep their rows."""
        cells = slice(self.indptr[low], self.indptr[high])
        columns = (self.movie_rows[cells], self.ratings[cells], self.times[cells])
        indptr = self.indptr[low : high + 1] - self.indptr[low]
        return Interactions(self.user_ids[low:high], self.movie_ids, indptr, *columns)

    def save(self, folder: Path) -> None:
        """Write `FILES`, one for each array; give the folder of `artifacts.replace_set`."""
        for name, array in zip(FILES, vars(self).values()):
            np.save(folder / name, array)

    @classmethod
    def load(cls, folder: Path) -> Interactions:
        """Map what `save` wrote (small arrays are read); raises `ArtifactError` for a missing or damaged file."""
        found = (load_arrays(folder / name, {name[:-4]: dtype}) for name, dtype in zip(FILES, _DTYPES.values()))
        return cls(*(array for arrays in found for array in arrays.values()))


def concat(*parts: Interactions) -> Interactions:
    """Return the ratings of all `parts`, which share both vocabularies; raises `DataError` if they do not."""
    first = parts[0]
    for other in parts[1:]:
        if not np.array_equal(first.user_ids, other.user_ids) or not np.array_equal(first.movie_ids, other.movie_ids):
            raise DataError("the parts have different users or movies: use parts of one data set")
    columns = ((part.user_rows(), part.movie_rows, part.ratings, part.times) for part in parts)
    return Interactions.from_rows(first.user_ids, first.movie_ids, *map(np.concatenate, zip(*columns)))


def grades(ratings: np.ndarray, neutral: float, disliked: float) -> np.ndarray:
    """Return 1 for a like, `neutral` for 3 to 3.5, `disliked` for less; dtype and shape of `ratings`.

    >>> grades(np.array([5, 4, 3.5, 2.5]), neutral=0.5, disliked=0.2).tolist()
    [1.0, 1.0, 0.5, 0.2]
    """
    return np.select([ratings >= LIKED, ratings >= NEUTRAL], [1.0, neutral], disliked).astype(ratings.dtype)


def _time_order(user_rows: np.ndarray, times: np.ndarray, movie_rows: np.ndarray, n_movies: int) -> np.ndarray:
    """Return the order by user, then time, then movie, then place, of at least one rating: (n,) positions."""
    first, start = int(user_rows.min()), int(times.min())
    n_users, n_times = int(user_rows.max()) - first + 1, int(times.max()) - start + 1
    if n_users * n_times * n_movies >= 2**63:
        return np.lexsort((movie_rows, times, user_rows))
    # Ten times faster: one sort by key = (user * n_times + time) * n_movies + movie.
    key = (user_rows - first).astype(np.int64) * n_times
    key += times - start
    key *= n_movies
    key += movie_rows
    return np.argsort(key, kind="stable")


def encode(ids: np.ndarray, vocabulary: Optional[np.ndarray] = None, what: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted vocabulary (int64) and the row of each of `ids` (n,) in it, int32.

    Raises `DataError` for an id that a given vocabulary lacks; `what` names the kind of id.
    """
    largest = int(ids.max(initial=0))
    by_table = len(ids) > 0 and int(ids.min()) >= 0 and largest <= max(_TABLE_SIZE, 4 * len(ids))
    if vocabulary is None:
        vocabulary = np.flatnonzero(np.bincount(ids)) if by_table else np.unique(ids).astype(np.int64)
    if not by_table:
        rows = np.searchsorted(vocabulary, ids).astype(np.int32)
        inside = rows < len(vocabulary)
        inside[inside] = vocabulary[rows[inside]] == ids[inside]
        rows[~inside] = -1
    else:  # ten times faster: table[id] = row, -1 if there is none
        table = np.full(largest + 1, -1, dtype=np.int32)
        inside = (vocabulary >= 0) & (vocabulary <= largest)
        table[vocabulary[inside]] = np.flatnonzero(inside)
        rows = table[ids]
    if int(rows.min(initial=0)) < 0:
        raise DataError(f"{what} id {ids[int(rows.argmin())]} is not in the vocabulary: use the ids of one data set")
    return vocabulary, rows
