"""EASE: a linear model in which every movie is predicted from all the others, in closed form.

    minimise |X - X B|^2 + regularisation |B|^2   with diag(B) = 0

Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data (WWW 2019), equations 8 and 11.
X holds, by `values`, 1 for each rating of at least 4 ("likes", as in the paper) or the rating itself ("ratings"),
which also uses what a user watched and did not like.

`ItemWeights` is what EASE and directed EASE share:

    score = sum over the history of  x_i B_i.        B_i.: row i of B, all of it, or its `kept` largest by size

A row of 13,000 weights has a few hundred that matter; kept alone they take a thirtieth of the memory or less, and a
request reads as much less. A dense inverse has n_movies^2 numbers, so of more than `most` movies only the `most` rated
ones get weights, and the others score 0.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.cholesky import inverse
from ..linalg.engine import Engine
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


class Ease(ItemWeights):
    """EASE."""

    name = "ease"
    by_blocks = True

    @dataclass(frozen=True)
    class Settings:
        values: str = setting("ratings", "what a rating counts as", choices=("likes", "ratings"))
        regularisation: float = setting(4000.0, "ridge penalty, in the units of X'X: about 150 for likes", 1e-6)

    def _weights(self, train: Interactions) -> np.ndarray:
        """Solve in closed form: O(sum of squared row lengths) for X'X, n_movies^3 for the inverse, float32."""
        return item_weights(gram(train, self._values(train.ratings), self.engine), self.settings.regularisation)

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return ratings if self.settings.values == "ratings" else (ratings >= LIKED).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        x = self._values(ratings)
        used = np.flatnonzero(x)
        return self._weighted(x[used], movies[used])


def gram(data: Interactions, values: np.ndarray, engine: Engine) -> np.ndarray:
    """Return X'X (n_movies, n_movies) float32, X holding `values` (n_ratings,) in place of the ratings.

    The sum over blocks of people; each worker of the engine holds a matrix of this size, up to three while it adds.
    """
    bounds = engine.bounds(data.indptr)
    parts = [data.block(*users) for users in bounds]
    return engine.sum(block_gram, parts, [values[data.indptr[low] : data.indptr[high]] for low, high in bounds])


def block_gram(data: Interactions, values: np.ndarray) -> np.ndarray:
    """Return `gram` of one block.

    One small outer product for each user, its rows in ascending order so that the sums run through memory forwards.
    """
    G = np.zeros((data.n_movies, data.n_movies), dtype=np.float32)
    for user in range(data.n_users):
        rows, x = data.movie_rows[data.row(user)], values[data.row(user)]
        used = np.flatnonzero(x)
        order = used[np.argsort(rows[used])]
        rows, x = rows[order], x[order]
        G[np.ix_(rows, rows)] += np.outer(x, x)
    return G


def item_weights(G: np.ndarray, regularisation: float) -> np.ndarray:
    """Return EASE's B (n, n) from the Gram matrix X'X, which it overwrites."""
    G[np.diag_indices_from(G)] += regularisation
    P = inverse(G)  # inv(X'X + regularisation I)
    P /= -P.diagonal().copy()  # B_ij = -P_ij / P_jj
    np.fill_diagonal(P, 0)  # B_jj = 0: no movie predicts itself
    return P


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
