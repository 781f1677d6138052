"""The rating that somebody will give a movie: what all think of it, what this person likes, what people alike found.

    r_ut = mu + b_t  +  (phi_t . w_u + shift_u)  +  psi_u . z_t

b_t      damped mean of the movie, people's generosity taken out
w_u      a Gaussian process for each person (taste_process.py) over features phi of movies:
         company   where the movie lies in the SVD of the matrix that holds 1 + liking (r - mu - b_u - b_i) where
                   somebody rated and 0 elsewhere, scaled to length 1
         genres    scaled to length 1;  years: bumps twenty years wide;  both need a catalogue
         quality   b_t: who likes what everybody likes;  fame: log of the number of ratings
z_t      for each movie, a ridge regression of what the processes left unexplained, each rating expected from the
         person's others, on psi_u = (the person's place in the same SVD scaled to length 1, 1)

Which movies somebody rated says as much about taste as how (Koren 2008, "Factorization meets the neighborhood",
section 4, uses it as implicit feedback); here it enters as the company a movie keeps, hence a small `liking`.
Everything about a person is computed from the history that is given, so strangers need no training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import setting
from ..linalg.randomized_svd import randomized_svd
from ..linalg.sparse import SparseMatrix, stable_order
from .base import Fitted, Ranker
from .content import genre_matrix
from .genre_features import year_nearness
from .taste_process import Covariance, Taste, expect, left_out_errors

_BIAS_ROUNDS = 10  # alternations between movies' and people's means; they settle in about five
_PAIRS = 1 << 16  # predicted at a time


@dataclass(frozen=True)
class RatingPredictorSettings:
    """Variances are in units of the noise of one rating; all tuned on the validation part of ml-latest-small."""

    movie_damping: float = setting(5.0, "average ratings added to each movie's", 1e-6)
    user_damping: float = setting(5.0, "average ratings added to each person's, while b_t is found", 1e-6)
    company_factors: int = setting(16, "singular vectors that tell which movies are rated together", 1)
    liking: float = setting(0.08, "what a star above expectation adds to a rated cell's 1", 0)
    company: float = setting(0.3, "variance of taste along company", 0)
    genres: float = setting(0.15, "variance of taste along genres", 0)
    years: float = setting(0.12, "variance of taste along years", 0)
    quality: float = setting(0.03, "variance of the slope on b_t", 0)
    fame: float = setting(0.03, "variance of the slope on the log of the number of ratings", 0)
    level: float = setting(0.11, "variance of generosity", 0)
    mood: float = setting(0.046, "variance of the part of generosity that changes", 0)
    mood_span: float = setting(87.0, "ratings after which that part is another", 1e-3)
    drift: float = setting(0.17, "share of taste that changes", 0, 1)
    drift_span: float = setting(100.0, "ratings after which that share is another", 1e-3)
    keenness: float = setting(1.7, "how many times more or less a person may care than most; 1 = all alike", 1)
    rare: float = setting(5.8, "noise added to a movie's rating, divided by its ratings + 1", 0)
    longest_history: int = setting(400, "latest ratings of a person that are used", 1)
    alike_factors: int = setting(32, "singular vectors that tell who rates alike", 1)
    alike: float = setting(0.08, "variance of a movie's appeal along them; 0 leaves the last term out", 0)
    alike_level: float = setting(0.005, "variance of the correction of b_t", 0)
    seed: int = setting(0, "seed of the SVD", 0)


class RatingPredictor(Ranker):
    """Predicts ratings, and ranks by them.

    mean (1,), movie_bias (M,), movie_counts (M,), movie_features (M, d): phi, its variances multiplied in,
    company_vectors (M, alike_factors): V of the SVD, appeals (M, alike_factors + 1): z.
    """

    name = "rating_predictor"
    Settings = RatingPredictorSettings
    takes_catalog = True
    scores_are_ratings = True
    fitted: ClassVar[Fitted] = {
        "mean": np.float32,
        "movie_bias": np.float32,
        "movie_counts": np.float32,
        "movie_features": np.float32,
        "company_vectors": np.float32,
        "appeals": np.float32,
    }

    mean: np.ndarray
    movie_bias: np.ndarray
    movie_counts: np.ndarray
    movie_features: np.ndarray
    company_vectors: np.ndarray
    appeals: np.ndarray

    def __init__(self, catalog: Optional[Catalog] = None, **settings: float) -> None:
        """Take genres and years from `catalog`; without one they play no part, and a loaded model needs none."""
        super().__init__(**settings)
        self.catalog = catalog

    def fit(self, train: Interactions) -> RatingPredictor:
        """Learn from `train`; cost O(sum over people of n^2 min(n, longest_history)) beside the SVD."""
        if not train.n_ratings:
            raise DataError("no ratings to learn from: give at least one")
        self.movie_ids = train.movie_ids
        self.movie_counts = train.movie_counts().astype(np.float32)
        self.mean, self.movie_bias, user_bias = damped_means(
            train, self.settings.movie_damping, self.settings.user_damping
        )
        self.company_vectors, singular = self._company(train, user_bias)
        self.movie_features = self._features(singular)
        self.appeals = self._appeals(train)
        return self

    def predict(
        self,
        history: Interactions,
        user_rows: npt.ArrayLike,
        movie_rows: npt.ArrayLike,
        at: Optional[npt.ArrayLike] = None,
    ) -> np.ndarray:
        """Return the expected rating (n,) float32, 0.5 to 5, of each pair of a row of `history` and a movie row.

        `at` is accepted as everywhere and changes nothing: a person's last known rating counts as just given.
        """
        people = np.asarray(user_rows, dtype=np.int64)
        movies = np.asarray(movie_rows, dtype=np.int64)
        if people.shape != movies.shape or people.ndim != 1:
            raise DataError(f"{people.shape} people and {movies.shape} movies: give two lists of one length")
        self._check(history)
        rows, line = np.unique(people, return_inverse=True)
        weights, shifts, psi = self._people(history, rows)
        expected = (self.mean + self.movie_bias)[movies] + shifts[line]
        for start in range(0, len(movies), _PAIRS):
            part = slice(start, start + _PAIRS)
            expected[part] += np.einsum("nd,nd->n", weights[line[part]], self.movie_features[movies[part]])
            expected[part] += np.einsum("nd,nd->n", psi[line[part]], self.appeals[movies[part]])
        return np.clip(expected, 0.5, 5.0, out=expected)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        weights, shifts, psi = self._people(history, user_rows)
        scores = weights @ self.movie_features.T + psi @ self.appeals.T
        scores += self.mean + self.movie_bias + shifts[:, None]
        return scores

    def _check(self, history: Interactions) -> None:
        if not np.array_equal(history.movie_ids, self.movie_ids):
            raise DataError("the history lists other movies than the model was fitted on: use one data set for both")

    def _people(self, history: Interactions, user_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return w (B, d), shift (B,) and psi (B, alike_factors + 1) of rows of `history`."""
        weights = np.zeros((len(user_rows), self.movie_features.shape[1]), dtype=np.float32)
        shifts = np.zeros(len(user_rows), dtype=np.float32)
        psi = np.zeros((len(user_rows), self.appeals.shape[1]), dtype=np.float32)
        for line, row in enumerate(user_rows):
            start, end = int(history.indptr[row]), int(history.indptr[row + 1])
            taste = self._expect(history, max(start, end - self.settings.longest_history), end)
            weights[line], shifts[line] = taste.weights, taste.shift
            psi[line] = self._place(history.movie_rows[start:end])
        return weights, shifts, psi

    def _place(self, movies: np.ndarray) -> np.ndarray:
        """Return psi of who rated `movies`, its variances multiplied in."""
        place = self.company_vectors[movies].sum(axis=0)
        length = np.linalg.norm(place)
        place *= np.sqrt(self.settings.alike) / (length if length > 0 else 1)
        return np.append(place, np.float32(np.sqrt(self.settings.alike_level)))

    def _history(
        self, data: Interactions, start: int, end: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Covariance]:
        movies = data.movie_rows[start:end]
        y = data.ratings[start:end].astype(np.float64) - self.mean - self.movie_bias[movies]
        c = self.settings
        covariance = Covariance(c.level, c.mood, c.mood_span, c.drift, c.drift_span, c.rare, c.keenness)
        return self.movie_features[movies].astype(np.float64), y, self.movie_counts[movies].astype(float), covariance

    def _expect(self, data: Interactions, start: int, end: int) -> Taste:
        return expect(*self._history(data, start, end))

    def _company(self, train: Interactions, user_bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return V (M, n) of the matrix of who rated what, and its n singular values."""
        surprise = train.ratings - self.mean - self.movie_bias[train.movie_rows] - user_bias[train.user_rows()]
        cells = (1 + self.settings.liking * surprise).astype(np.float32)
        A = SparseMatrix(train.indptr, train.movie_rows, cells, train.n_movies)
        rank = min(max(self.settings.alike_factors, self.settings.company_factors), *A.shape)
        _, singular, Vt = randomized_svd(A, rank, np.random.default_rng(self.settings.seed))
        return np.ascontiguousarray(Vt.T[:, :rank], dtype=np.float32), np.asarray(singular, dtype=np.float32)

    def _features(self, singular: np.ndarray) -> np.ndarray:
        """Return phi (M, d), each part scaled to its variance."""
        c = self.settings
        company = (self.company_vectors * singular)[:, : c.company_factors]
        counts = self.movie_counts.astype(np.float64)
        fame = np.log1p(counts)
        fame -= np.average(fame, weights=counts)
        parts = [
            np.sqrt(c.company) * _unit(company),
            np.sqrt(c.genres) * _unit(genre_matrix(self.catalog, self.movie_ids)),
            np.sqrt(c.years) * self._years(),
            np.sqrt(c.quality) * _spread_one(self.movie_bias, counts)[:, None],
            np.sqrt(c.fame) * _spread_one(fame, counts)[:, None],
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _years(self) -> np.ndarray:
        if self.catalog is None:
            return np.zeros((len(self.movie_ids), 0))
        years = np.zeros(len(self.movie_ids), dtype=np.int64)
        listed = np.isin(self.movie_ids, self.catalog.movie_ids)
        years[listed] = self.catalog.years[np.searchsorted(self.catalog.movie_ids, self.movie_ids[listed])]
        return year_nearness(years)

    def _appeals(self, train: Interactions) -> np.ndarray:
        """Return z (M, alike_factors + 1), one ridge regression a movie."""
        errors = np.empty(train.n_ratings)
        psi = np.empty((train.n_users, self.company_vectors.shape[1] + 1))
        step = self.settings.longest_history
        for row in range(train.n_users):
            start, end = int(train.indptr[row]), int(train.indptr[row + 1])
            psi[row] = self._place(train.movie_rows[start:end])
            for last in range(end, start, -step):  # a long history is taken apart, so that every rating has its error
                part = slice(max(start, last - step), last)
                errors[part] = left_out_errors(*self._history(train, part.start, part.stop))
        order = stable_order(train.movie_rows)
        ends = np.cumsum(train.movie_counts())
        people = train.user_rows()[order]
        z = np.zeros((train.n_movies, psi.shape[1]), dtype=np.float32)
        for movie in np.flatnonzero(self.movie_counts):
            part = slice(ends[movie] - int(self.movie_counts[movie]), ends[movie])
            P = psi[people[part]]
            z[movie] = np.linalg.solve(P.T @ P + np.eye(P.shape[1]), P.T @ errors[order[part]])
        return z


def damped_means(
    train: Interactions, movie_damping: float, user_damping: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mu (1,), b_i (n_movies,) and b_u (n_users,): the ridge solution of r = mu + b_u + b_i, mu the mean."""
    people, movies = train.user_rows(), train.movie_rows
    rest = train.ratings - train.ratings.mean(dtype=np.float64)
    of_person, of_movie = np.zeros(train.n_users), np.zeros(train.n_movies)
    n_person, n_movie = np.diff(train.indptr) + user_damping, train.movie_counts() + movie_damping
    for _ in range(_BIAS_ROUNDS):
        of_movie = np.bincount(movies, rest - of_person[people], minlength=train.n_movies) / n_movie
        of_person = np.bincount(people, rest - of_movie[movies], minlength=train.n_users) / n_person
    mean = np.array([train.ratings.mean(dtype=np.float64)], dtype=np.float32)
    return mean, of_movie.astype(np.float32), of_person.astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; a row of noughts stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 1e-9, lengths, 1), dtype=np.float64)


def _spread_one(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the values scaled so that over all ratings their mean square is 1; unrated movies get 0."""
    spread = np.sqrt(np.average(np.square(values.astype(np.float64)), weights=counts))
    return np.where(counts > 0, values, 0.0) / (spread if spread > 0 else 1)
