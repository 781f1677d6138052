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
_STRIP = 64  # ratings of a user whose pairs are added at once


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
        B = self._weights(of_movies(train, rows))
        k = min(self.kept, len(rows))
        self.item_weights_ = np.zeros((train.n_movies, k), dtype=np.float32)
        self.item_columns_ = np.zeros((train.n_movies, k), dtype=np.int32)
        for begin in range(0, len(rows), _ROWS):
            part = B[begin : begin + _ROWS]
            largest = np.argpartition(-np.abs(part), k - 1, axis=1)[:, :k]
            largest = np.take_along_axis(largest, np.argsort(rows[largest], axis=1), axis=1)
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
        G = gram(train, self._values(train.ratings), self.engine, lower=True)
        return item_weights(G, self.settings.regularisation)

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return ratings if self.settings.values == "ratings" else (ratings >= LIKED).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        x = self._values(ratings)
        used = np.flatnonzero(x)
        return self._weighted(x[used], movies[used])


def gram(data: Interactions, values: np.ndarray, engine: Engine, lower: bool = False) -> np.ndarray:
    """Return X'X (n_movies, n_movies) float32, X holding `values` (n_ratings,) in place of the ratings."""
    if not values.all():
        used = values != 0
        data, values = data.take(used), values[used]
    alike = np.ones(2 * int(np.diff(data.indptr).max(initial=1)) - 1, dtype=np.float32)
    return pair_sums(data, values, values, alike, engine, lower)


def pair_sums(
    data: Interactions, x: np.ndarray, y: np.ndarray, weights: np.ndarray, engine: Engine, lower: bool = False
) -> np.ndarray:
    """Return (n_movies, n_movies) float32: over users and pairs, x of i times y of j times the pair's weight.

    x, y: (n_ratings,), in place of the ratings.  weights: what `directed_ease.kernel` gives.  lower: whether entries
    above the diagonal, which `inverse` does not read, may be wrong: half of the work.
    The sum over blocks of people; each worker of the engine holds a matrix of this size, up to three while it adds.
    """
    bounds = engine.bounds(data.indptr)
    cells = [slice(data.indptr[low], data.indptr[high]) for low, high in bounds]
    columns = [data.block(*users) for users in bounds], [x[part] for part in cells], [y[part] for part in cells]
    return engine.sum(block_pair_sums, *columns, shared=(weights, lower))


def block_pair_sums(data: Interactions, x: np.ndarray, y: np.ndarray, weights: np.ndarray, lower: bool) -> np.ndarray:
    """Return `pair_sums` of one block; O(sum of squared row lengths), most of which is waiting for memory.

    A few dense rows of each user at a time, so that they stay in the cache, in ascending order of movies, so that the
    sums run through memory forwards. Where well known movies come first, most of what is read lies together.
    """
    sums = np.zeros((data.n_movies, data.n_movies), dtype=np.float32)
    flat, center = sums.reshape(-1), len(weights) // 2
    for user in range(data.n_users):
        known = data.row(user)
        position = np.argsort(data.movie_rows[known])  # (n,) in the history, by movie
        rows = data.movie_rows[known][position].astype(np.int64)
        x_i, y_j = x[known][position], y[known][position]
        for low in range(0, len(rows), _STRIP):
            high = low + _STRIP
            end = high if lower else len(rows)
            later = position[:end] - position[low:high, None]  # by how much j came later than i
            pairs = weights.take(center + later, mode="clip")
            pairs *= x_i[low:high, None]
            pairs *= y_j[:end]
            cells = rows[low:high, None] * data.n_movies + rows[:end]
            pairs += flat.take(cells, mode="clip")  # a movie is there once: plainly, sums[i, j] += pairs
            flat.put(cells, pairs, mode="clip")
    return sums


def item_weights(G: np.ndarray, regularisation: float) -> np.ndarray:
    """Return EASE's B (n, n) from the lower half of the Gram matrix X'X, which it overwrites."""
    G[np.diag_indices_from(G)] += regularisation
    P = inverse(G)  # inv(X'X + regularisation I)
    P /= -P.diagonal().copy()  # B_ij = -P_ij / P_jj
    np.fill_diagonal(P, 0)  # B_jj = 0: no movie predicts itself
    return P


def most_rated(train: Interactions, n: int | None) -> np.ndarray:
    """Return the rows of the `n` movies with most ratings, those with most first, equal ones by row; None: of all."""
    return np.argsort(-train.movie_counts(), kind="stable")[:n]


def of_movies(train: Interactions, rows: np.ndarray) -> Interactions:
    """Return the ratings of the movies `rows`, which become rows 0, 1, ..."""
    place = np.full(train.n_movies, -1, dtype=np.int32)
    place[rows] = np.arange(len(rows))
    part = train if len(rows) == train.n_movies else train.take(place[train.movie_rows] >= 0)
    return Interactions(
        part.user_ids, part.movie_ids[rows], part.indptr, place[part.movie_rows], part.ratings, part.times
    )
