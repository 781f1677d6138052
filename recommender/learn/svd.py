"""PureSVD: rank movies by a truncated SVD of the user x movie matrix.

    A ~ U diag(s) V'                 A holds a signal, 0 where there is no rating
    user_embeddings = U diag(s)      movie_embeddings = V
    score = a V V'                   a: the user's row of A, so a V = U diag(s) for a user of the training data

    binary     1 for a rating of at least 4: what users liked       centered   rating - the user's mean
    ones       1 for every rating: what they chose to watch         weighted   final_rating of data/weighting.py

Source: Cremonesi, Koren and Turrin, "Performance of recommender algorithms on top-N recommendation tasks" (2010),
section 3.3; they fill the ratings in, we let a signal choose. A user whose row is 0 is scored like an unknown one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..data import weighting
from ..data.errors import DataError
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.block_matrix import BlockMatrix
from ..linalg.randomized_svd import BLOCK, PASSES, SVD, randomized_svd
from ..linalg.sparse import SparseMatrix
from .base import Ranker

SIGNALS = ("binary", "ones", "centered", "weighted")
USERS = ("user_embeddings.npy", "user_map.json")  # files that a session need not read


class SvdModel(Ranker):
    """PureSVD."""

    name = "svd"
    by_blocks = True
    program = "train_svd_model"
    movie_embeddings_: np.ndarray  # V, (n_movies, rank) float32, orthonormal columns; zeros for an unrated movie
    user_embeddings_: np.ndarray  # U diag(s), (n_users, rank) float32
    singular_values_: np.ndarray  # s, (rank,) float32, descending
    user_ids_: np.ndarray  # (n_users,) int64
    optional = frozenset({"movie_means.npy"})
    movie_counts_: np.ndarray  # (n_movies,) int64, ratings in train
    movie_means_: np.ndarray = np.zeros(0, dtype=np.float32)  # (n_movies,) of the ratings in train; (0,) if not stored
    newest_: np.ndarray  # (1,) int64, seconds since 1970 of the newest rating in train

    @dataclass(frozen=True)
    class Settings:
        rank: int = setting(50, "number of dimensions", 1)
        signal: str = setting("binary", "which value a rating gives its cell", choices=SIGNALS)
        passes: int = setting(PASSES, "passes over a large matrix; more is more exact", 1, 100)
        block: int = setting(BLOCK, "columns in a pass", 1, 256)
        seed: int = setting(0, "seed of the random start", 0)
        half_life_days: float = setting(weighting.HALF_LIFE_DAYS, "signal weighted: days that halve a rating", 0.001)
        popularity_power: float = setting(weighting.POPULARITY_POWER, "signal weighted: divide by count ** this", 0, 10)

    def _fit(self, train: Interactions) -> None:
        self.fit_matrix(train)

    def fit_matrix(self, train: Interactions) -> tuple[BlockMatrix, SVD]:
        """Do what `fit` does; return A and its factors, so that their error can be measured.

        Cost as `randomized_svd`; memory 16 bytes a rating while it runs.
        """
        if train.n_ratings == 0:
            raise DataError("no ratings to learn from: run python -m preprocess.setup on a set that has some")
        if not np.isfinite(train.ratings).all():
            raise DataError("the ratings hold values that are not numbers: run python -m preprocess.setup again")
        settings = self.settings
        self.movie_ids, self.user_ids_, engine = train.movie_ids, train.user_ids, self.engine
        self.newest_ = np.array([train.times.max()])
        bounds = engine.bounds(train.indptr)
        people = engine.place(unchanged, [train.block(*users) for users in bounds])
        counts, sums = engine.sum(totals, people)
        self.movie_counts_, self.movie_means_ = counts.astype(np.int64), (sums / np.maximum(counts, 1)).astype("f4")
        weights = SvdModel(**vars(settings))
        weights.restore({"movie_counts": self.movie_counts_, "newest": self.newest_})
        blocks = engine.place(signal_matrix, people, shared=(weights,))
        A = BlockMatrix(blocks, bounds, train.n_movies, engine)
        rng = np.random.default_rng(settings.seed)
        factors = randomized_svd(A, settings.rank, rng, settings.passes, settings.block)
        self.singular_values_ = factors.s
        self.movie_embeddings_ = np.ascontiguousarray(factors.Vt.T)  # V
        self.movie_embeddings_[self.movie_counts_ == 0] = 0  # exactly, not up to rounding
        self.user_embeddings_ = factors.U * factors.s  # U diag(s)
        return A, factors

    def movie_vectors(self, power: float = 0.5) -> np.ndarray:
        """Return V diag(s / s[0])^power, (n_movies, rank) float32: the vectors for a session and for similarity.

        power 0 weighs all dimensions alike, power 1 as the data does; 0.5 did best in sessions of four favorites.
        """
        return self.movie_embeddings_ * (self.singular_values_ / self.singular_values_[0]) ** np.float32(power)

    def values(self, data: Interactions, means: Optional[np.ndarray] = None) -> np.ndarray:
        """Return the signal of every rating in `data`, (n_ratings,) float32, as the training data weigh it.

        means: (n_users,) each user's mean rating; None takes it from `data` itself.
        """
        settings = self.settings
        if settings.signal == "ones":
            return np.ones(data.n_ratings, dtype=np.float32)
        if settings.signal == "binary":
            return (data.ratings >= LIKED).astype(np.float32)
        if means is None:
            means, _ = weighting.user_means(data)
        if settings.signal == "centered":
            return (data.ratings - np.repeat(means, np.diff(data.indptr))).astype(np.float32)
        movie_weights = weighting.pop_weight(self.movie_counts_, settings.popularity_power)
        return weighting.final_rating(data, means, movie_weights, int(self.newest_[0]), settings.half_life_days)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        part, V = history.select(user_rows), self.movie_embeddings_
        a = self.values(part)
        users = [a[known] @ V[part.movie_rows[known]] for known in map(part.row, range(part.n_users))]  # a V
        return np.array(users, dtype=np.float32).reshape(-1, V.shape[1]) @ V.T

    def slots(self, prefix: str = "") -> dict[str, tuple[Ranker, str]]:
        maps = {"user_ids": "user_map", "movie_ids": "movie_map"}  # ids are stored as {external id: row}
        return {maps.get(name, name): slot for name, slot in super().slots(prefix).items()}

    def layout(self) -> dict[str, Sequence[str]]:
        whole = (*USERS, "movie_embeddings.npy", "movie_map.json", *self.optional)
        return {**dict.fromkeys(whole, ()), "svd_model.npz": ("singular_values", "movie_counts", "newest")}


def unchanged(people: Interactions) -> Interactions:
    return people


def totals(people: Interactions) -> np.ndarray:
    """Return how many ratings each movie has, and their sum, (2, n_movies) float64."""
    rows, n = people.movie_rows, people.n_movies
    return np.stack([np.bincount(rows, minlength=n), np.bincount(rows, people.ratings, n)])


def signal_matrix(people: Interactions, model: SvdModel) -> SparseMatrix:
    """Return A for some people; `model` has the settings, the counts and the newest time of all."""
    indptr, movie_rows, values = people.indptr, people.movie_rows, model.values(people)
    if not (keep := values != 0).all():  # a rating whose signal is 0 needs no cell
        indptr, movie_rows, values = np.append(0, np.cumsum(keep))[indptr], movie_rows[keep], values[keep]
    return SparseMatrix(indptr, movie_rows, values, people.n_movies)
