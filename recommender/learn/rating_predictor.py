"""The rating that a user will give a movie: what all think of it, what this user likes, what similar users found.

    r_ut = mu + b_t  +  phi_t . w_u + shift_u  +  psi_u . z_t

b_t      damped mean of the movie, users' generosity taken out
w_u      the taste of a user, from a Gaussian process over the user's history; phi_t: the movie's place in the SVD of
         the matrix that holds 1 + liking (r - mu - b_u - b_i) where somebody rated, its genres, its years (each at
         length 1), b_t, and the log of its number of ratings, each times the root of its variance
z_t      for each movie, a ridge regression of what the processes left unexplained, each rating predicted from the
         user's others, on psi_u = (the user's place in the same SVD at length 1, 1)

Rating n of a user, of movie i, less mu + b_i, is y_n = f(i, n) + noise, var(noise) = 1 + rare / (ratings of i + 1),

    cov(f(i, n), f(j, m)) = scale (phi_i . phi_j) ((1 - taste_drift) + taste_drift exp(-|n - m| / taste_drift_span))
                          + bias + bias_drift exp(-|n - m| / bias_drift_span)

in units of the noise's variance, whose prior for each user is an inverse gamma worth `PRIOR_RATINGS` ratings. `scale`
is 1 / taste_range, 1 and taste_range, weighed by how likely each makes the ratings. Rasmussen and Williams 2006,
"Gaussian processes for machine learning", equations 2.23 (the mean), 2.30 (how likely; the noise integrated out makes
it a Student's t) and 5.12 (leaving one out). Which movies a user rated says as much about taste as how, hence a small
`liking` (Koren 2008, "Factorization meets the neighborhood", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import setting
from ..linalg.randomized_svd import randomized_svd
from ..linalg.rows import unit_rows
from ..linalg.sparse import SparseMatrix
from .base import Ranker
from .features import genre_matrix, release_years, year_nearness

PRIOR_RATINGS = 4.0
PRIOR_NOISE = 0.55  # stars squared
_BIAS_ROUNDS = 10  # alternations between movies' and users' means; they settle in about five


class RatingPredictor(Ranker):
    """Predicts ratings, and ranks by them; without a catalog genres and years play no part. All arrays are float32."""

    name = "rating_predictor"
    scores_are_ratings = True
    mean_: np.ndarray  # (1,), mu
    movie_bias_: np.ndarray  # (M,), b
    movie_counts_: np.ndarray  # (M,)
    movie_features_: np.ndarray  # (M, d), phi
    cooccurrence_vectors_: np.ndarray  # (M, user_factors), V of the SVD
    residual_weights_: np.ndarray  # (M, user_factors + 1), z

    @dataclass(frozen=True)
    class Settings:
        # variances are in units of the noise of one rating; all tuned on the validation part of ml-latest-small
        movie_damping: float = setting(5.0, "average ratings added to each movie's", 1e-6)
        user_damping: float = setting(5.0, "average ratings added to each user's, while b_t is found", 1e-6)
        cooccurrence_factors: int = setting(16, "singular vectors that tell which movies are rated together", 1)
        liking: float = setting(0.08, "what a star above expectation adds to a rated cell's 1", 0)
        cooccurrence: float = setting(0.3, "variance of taste along these vectors", 0)
        genres: float = setting(0.15, "variance of taste along genres", 0)
        years: float = setting(0.12, "variance of taste along years", 0)
        quality: float = setting(0.03, "variance of the slope on b_t", 0)
        fame: float = setting(0.03, "variance of the slope on the log of the number of ratings", 0)
        bias: float = setting(0.11, "variance of generosity", 0)
        bias_drift: float = setting(0.046, "variance of the part of generosity that changes", 0)
        bias_drift_span: float = setting(87.0, "ratings after which that part is another", 1e-3)
        taste_drift: float = setting(0.17, "share of taste that changes", 0, 1)
        taste_drift_span: float = setting(100.0, "ratings after which that share is another", 1e-3)
        taste_range: float = setting(1.7, "how many times more or less a user may care than most; 1 = all alike", 1)
        rare: float = setting(5.8, "noise added to a movie's rating, divided by its ratings + 1", 0)
        longest_history: int = setting(400, "latest ratings of a user that are used", 1)
        user_factors: int = setting(32, "singular vectors that tell who rates alike", 1)
        residual: float = setting(0.08, "variance of a movie's z along them; 0 leaves the last term out", 0)
        residual_bias: float = setting(0.005, "variance of the correction of b_t", 0)
        seed: int = setting(0, "seed of the SVD", 0)

    def _fit(self, train: Interactions) -> None:
        """Learn from `train`; cost O(sum over users of n^2 min(n, longest_history)) beside the SVD."""
        if not train.n_ratings:
            raise DataError("no ratings to learn from: give at least one")
        c = self.settings
        self.movie_counts_ = train.movie_counts().astype(np.float32)
        self.mean_, self.movie_bias_, user_bias = damped_means(train, c.movie_damping, c.user_damping)
        surprise = train.ratings - self.mean_ - self.movie_bias_[train.movie_rows] - user_bias[train.user_rows()]
        cells = (1 + c.liking * surprise).astype(np.float32)
        A = SparseMatrix(train.indptr, train.movie_rows, cells, train.n_movies)
        rank = min(max(c.user_factors, c.cooccurrence_factors), *A.shape)
        _, s, Vt = randomized_svd(A, rank, np.random.default_rng(c.seed))
        self.cooccurrence_vectors_ = np.ascontiguousarray(Vt.T)
        self.movie_features_ = self._features(s)
        self.residual_weights_ = self._residual_weights(train)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        n = len(user_rows)
        w = np.zeros((n, self.movie_features_.shape[1]), dtype=np.float32)
        psi = np.zeros((n, self.residual_weights_.shape[1]), dtype=np.float32)
        shifts = np.zeros((n, 1), dtype=np.float32)
        for line, row in enumerate(user_rows):
            known = history.row(row)
            latest = slice(max(known.start, known.stop - self.settings.longest_history), known.stop)
            w[line], shifts[line] = expected_taste(*self._centered(history, latest), self.settings)
            psi[line] = self._place(history.movie_rows[known])
        scores = w @ self.movie_features_.T + psi @ self.residual_weights_.T  # phi_t . w_u + psi_u . z_t, (B, M)
        return scores + (self.mean_ + self.movie_bias_ + shifts)  # + mu + b_t + shift_u

    def _centered(self, data: Interactions, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return phi (N, d), y (N,) and the movies' numbers of ratings (N,), float64, of ratings `part`."""
        movies = data.movie_rows[part]
        y = data.ratings[part].astype(np.float64) - self.mean_ - self.movie_bias_[movies]
        return self.movie_features_[movies].astype(np.float64), y, self.movie_counts_[movies].astype(float)

    def _place(self, movies: np.ndarray) -> np.ndarray:
        """Return psi of who rated `movies`, its variances multiplied in."""
        place = self.cooccurrence_vectors_[movies].sum(axis=0)  # (user_factors,)
        place *= np.sqrt(self.settings.residual) / (np.linalg.norm(place) or 1)
        return np.append(place, np.float32(np.sqrt(self.settings.residual_bias)))

    def _features(self, singular: np.ndarray) -> np.ndarray:
        """Return phi (M, d), each part scaled to its variance."""
        c = self.settings
        counts = self.movie_counts_.astype(np.float64)
        fame = np.log1p(counts)
        fame -= np.average(fame, weights=counts)
        place = (self.cooccurrence_vectors_ * singular)[:, : c.cooccurrence_factors]  # (M, factors)
        parts = [
            np.sqrt(c.cooccurrence) * unit_rows(place, np.float64, negligible=1e-9),
            np.sqrt(c.genres) * unit_rows(genre_matrix(self.catalog, self.movie_ids), np.float64),
            np.sqrt(c.years) * year_nearness(release_years(self.catalog, self.movie_ids)),
            np.sqrt(c.quality) * _spread_one(self.movie_bias_, counts)[:, None],
            np.sqrt(c.fame) * _spread_one(fame, counts)[:, None],
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _residual_weights(self, train: Interactions) -> np.ndarray:
        """Return z (M, user_factors + 1), one ridge regression a movie."""
        errors, step = np.empty(train.n_ratings), self.settings.longest_history
        psi = np.empty((train.n_users, self.cooccurrence_vectors_.shape[1] + 1))
        for row in range(train.n_users):
            known = train.row(row)
            psi[row] = self._place(train.movie_rows[known])
            for last in range(known.stop, known.start, -step):  # a long history in parts: each rating has its error
                part = slice(max(known.start, last - step), last)
                errors[part] = left_out_errors(*self._centered(train, part), self.settings)
        users, z = train.user_rows(), np.zeros((train.n_movies, psi.shape[1]), dtype=np.float32)
        by_movie = np.split(np.argsort(train.movie_rows, kind="stable"), np.cumsum(train.movie_counts())[:-1])
        for movie, rated in enumerate(by_movie):
            P = psi[users[rated]]  # (ratings of the movie, user_factors + 1)
            z[movie] = np.linalg.solve(P.T @ P + np.eye(P.shape[1]), P.T @ errors[rated])
        return z


def expected_taste(
    phi: np.ndarray, y: np.ndarray, n_ratings: np.ndarray, c: RatingPredictor.Settings
) -> tuple[np.ndarray, float]:
    """Return w (d,) and shift: movie t, rated next, is expected at phi_t . w + shift; O(N^2 d + N^3).

    phi (N, d), y (N,), oldest first; n_ratings (N,): how often each movie was rated in all.
    """
    taste, bias = kept(len(y) - np.arange(len(y)), c)
    n, means, evidence = len(y), [], []
    F = np.column_stack((taste[:, None] * phi, bias, y))  # (N, d + 2)
    M = np.diag(np.full(n + F.shape[1], 1 + np.sum(F**2)))  # more than F' inv(K) F, so that its Cholesky factor exists
    M[n:, :n] = F.T
    shared, rest = covariance(phi, n_ratings, c)
    for scale in (1.0,) if c.taste_range == 1 else (1 / c.taste_range, 1.0, c.taste_range):
        np.add(scale * shared, rest, out=M[:n, :n])
        L = np.linalg.cholesky(M)  # its last rows are F' inv(L'), the factor of K above them
        found = L[n:, :n] @ L[-1, :n]  # F' inv(K + noise) y
        means.append(np.append(scale * found[:-2], found[-2]))
        spread = found[-1] + PRIOR_RATINGS * PRIOR_NOISE
        evidence.append(-0.5 * (n + PRIOR_RATINGS) * np.log(spread) - np.log(np.diag(L)[:n]).sum())
    weights = np.exp(np.array(evidence) - max(evidence))
    mean = weights @ np.array(means) / weights.sum()
    return mean[:-1], float(mean[-1])


def left_out_errors(phi: np.ndarray, y: np.ndarray, n_ratings: np.ndarray, c: RatingPredictor.Settings) -> np.ndarray:
    """Return (N,): each y less what the other N - 1 let expect of it: alpha_n / inv(K)_nn, not N solves."""
    inverse = np.linalg.inv(sum(covariance(phi, n_ratings, c)))
    return (inverse @ y) / np.diag(inverse)


def covariance(phi: np.ndarray, n_ratings: np.ndarray, c: RatingPredictor.Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of K + noise of a history, oldest first, that are of taste and of the rest, (N, N) each."""
    n = np.arange(len(phi))
    taste, bias = kept(n, c)  # by how far apart two ratings are
    apart = np.abs(n[:, None] - n)
    rest = bias[apart]
    rest[n, n] += 1 + c.rare / (n_ratings + 1)
    return (phi @ phi.T) * taste[apart], rest


def kept(apart: np.ndarray, c: RatingPredictor.Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return what two ratings `apart` from each other share of taste, 0 to 1, and the covariance of generosity."""
    taste = 1 - c.taste_drift + c.taste_drift * np.exp(-apart / c.taste_drift_span)
    return taste, c.bias + c.bias_drift * np.exp(-apart / c.bias_drift_span)


def damped_means(
    train: Interactions, movie_damping: float, user_damping: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mu (1,), b_i (n_movies,) and b_u (n_users,): the ridge solution of r = mu + b_u + b_i, mu the mean."""
    users, movies, mean = train.user_rows(), train.movie_rows, train.ratings.mean(dtype=np.float64)
    rest = train.ratings - mean
    b_u, b_i = np.zeros(train.n_users), np.zeros(train.n_movies)
    n_u, n_i = np.diff(train.indptr) + user_damping, train.movie_counts() + movie_damping
    for _ in range(_BIAS_ROUNDS):
        b_i = np.bincount(movies, rest - b_u[users], minlength=train.n_movies) / n_i
        b_u = np.bincount(users, rest - b_i[movies], minlength=train.n_users) / n_u
    return np.array([mean], dtype=np.float32), b_i.astype(np.float32), b_u.astype(np.float32)


def _spread_one(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the values scaled so that over all ratings their mean square is 1; unrated movies get 0."""
    spread = np.sqrt(np.average(np.square(values.astype(np.float64)), weights=counts))
    return np.where(counts > 0, values, 0.0) / (spread if spread > 0 else 1)
