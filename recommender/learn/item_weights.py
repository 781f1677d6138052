"""What the linear models share: weights of movies on movies, all of them or the largest of each row.

    score = sum over the history of  x_i B_i.        B_i.: row i of B, all of it, or its `kept` largest by size

A row of 13,000 weights has a few hundred that matter; kept alone they take a hundredth of the memory, and a request
reads as much less. A dense inverse has n_movies^2 numbers, so of more than `most` movies only the `most` rated ones
get weights, and the others score 0.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..data.interactions import Interactions
from ..linalg.rows import weighted_rows
from .base import Ranker

_ROWS = 512  # of B that are searched at once


class ItemWeights(Ranker):
    """A subclass gives B of a data set in `_weights`, and x of a history in `_score_user`.

    kept: weights of a row; None = all.  most: movies that get any; None = all, and needed where `kept` is None.
    """

    item_weights_: np.ndarray  # B, (n_movies, n_movies) float32, row = known movie; or (n_movies, kept)
    item_columns_: np.ndarray = np.zeros((0, 0), dtype=np.int32)  # (n_movies, kept), the predicted movies; or empty
    optional = frozenset({"item_columns.npy"})
    kept: int | None = None
    most: int | None = None
    share_kept: float = 1.0  # of the sum of squared weights, in the last fit

    @abstractmethod
    def _weights(self, train: Interactions) -> np.ndarray:
        """Return B (n_movies, n_movies) float32."""

    def _fit(self, train: Interactions) -> None:
        if self.kept is None:
            self.item_weights_, self.item_columns_ = self._weights(train), np.zeros((0, 0), dtype=np.int32)
            return
        rows = most_rated(train, self.most)
        B = self._weights(train if len(rows) == train.n_movies else of_movies(train, rows))
        k = min(self.kept, len(rows))
        self.item_weights_ = np.zeros((train.n_movies, k), dtype=np.float32)
        self.item_columns_ = np.zeros((train.n_movies, k), dtype=np.int32)
        for begin in range(0, len(rows), _ROWS):
            part = B[begin : begin + _ROWS]
            largest = np.sort(np.argpartition(-np.abs(part), k - 1, axis=1)[:, :k], axis=1)
            self.item_weights_[rows[begin : begin + _ROWS]] = np.take_along_axis(part, largest, axis=1)
            self.item_columns_[rows[begin : begin + _ROWS]] = rows[largest]
        squares = [float(np.vdot(weights, weights)) for weights in (self.item_weights_, B)]
        self.share_kept = squares[0] / squares[1] if squares[1] else 1.0

    def _weighted(self, x: np.ndarray, movies: np.ndarray) -> np.ndarray:
        """Return x B, (n_movies,), of a history `movies` (n,) that weighs `x` (n,)."""
        if not self.item_columns_.size:
            return weighted_rows(x, self.item_weights_, movies)
        columns, values = self.item_columns_.take(movies, axis=0), self.item_weights_.take(movies, axis=0)
        values *= x[:, None]
        return np.bincount(columns.ravel(), values.ravel(), minlength=len(self.movie_ids))


def most_rated(train: Interactions, n: int | None) -> np.ndarray:
    """Return the rows of the `n` movies with most ratings, ascending; equal ones by row; None: of all."""
    if n is None or n >= train.n_movies:
        return np.arange(train.n_movies)
    return np.sort(np.argsort(-train.movie_counts(), kind="stable")[:n])


def of_movies(train: Interactions, rows: np.ndarray) -> Interactions:
    """Return the ratings of the movies `rows`, ascending, which become rows 0, 1, ..."""
    place = np.full(train.n_movies, -1, dtype=np.int32)
    place[rows] = np.arange(len(rows))
    part = train.take(place[train.movie_rows] >= 0)
    return Interactions(
        part.user_ids, part.movie_ids[rows], part.indptr, place[part.movie_rows], part.ratings, part.times
    )
