"""The covariance of tastes: which movies go together, from ratings, genres and years. It fits what gaussian.py uses.

Of n people, person u has weight w_u ~ n_ratings_u ^ -activity_exponent, so that those who rated thousands do not
speak for all. A rating of at least 4 counts 1, of 3 or 3.5 `middling_value`, a lower one `low_value`, a movie that
was not rated 0: the rows x_u. mu is their weighted mean, and

    C = sum over u of w_u (x_u - mu) (x_u - mu)' + genre_weight * sd F F' sd        sd: deviations of the columns

adds to the weighted covariance what genres and years let expect before any rating (F: features.pseudo_users). V V' is
the best rank-k part of C, from a truncated SVD of the matrix whose rows are the people's, centred, and one pseudo-user
for each column of sd F; psi is what the diagonal of C has beyond |v|^2 (probabilistic PCA with a variance for
each movie: Tipping and Bishop 1999, "Probabilistic principal component analysis", fitted in one step, not by EM). And

    noise_i = psi_i + noise_share * sd_i^2 + noise / sqrt(n)          an answer is trusted less the fewer people
                                                                      stand behind the covariance
    base_i  = sum over u of w_u [u likes i] - popularity_discount * ln(1 + 100 raters_i / n)
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from ..data import artifacts
from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.interactions import LIKED, Interactions, grades
from ..learn.features import pseudo_users
from ..linalg.block_matrix import BlockMatrix, place_rows
from ..linalg.engine import Engine
from ..linalg.randomized_svd import randomized_svd
from .gaussian import FILE, KIND, Gaussian, GaussianSettings


def fit_gaussian(
    train: Interactions, catalog: Catalog, settings: GaussianSettings, engine: Optional[Engine] = None
) -> Gaussian:
    """Fit to the ratings of `train`, whose movie rows are those of `catalog`; users without a rating do not count.

    engine: where the products of the SVD are computed, this process by default.
    Cost: that of a truncated SVD of rank k. Deterministic for one seed.
    """
    if train.n_ratings == 0:
        raise DataError("no ratings to learn from: run python -m preprocess.setup on a set that has some")
    if not np.diff(train.indptr).all():
        train = train.select(np.flatnonzero(np.diff(train.indptr)))
    counts, n = np.diff(train.indptr), train.n_users
    weights = counts.astype(np.float64) ** -settings.activity_exponent
    roots = np.sqrt(weights / weights.sum())  # r_u = sqrt(w_u), (n,)
    r = np.repeat(roots, counts)  # of the user of each rating
    x = grades(train.ratings, settings.middling_value, settings.low_value)  # x_ui of each rating
    rx = (x * r).astype(np.float32)

    def over_users(per_rating: np.ndarray) -> np.ndarray:
        return np.bincount(train.movie_rows, weights=per_rating, minlength=train.n_movies).astype(np.float64)

    means = over_users(r * rx)  # mu = sum of w_u x_u
    variances = np.maximum(over_users(r * rx * x) - means**2, 0.0)  # sd^2
    F = pseudo_users(catalog, np.sqrt(settings.genre_weight * variances)).T  # (n_pseudo_users, n_movies)
    movies, values = np.nonzero(F)[1].astype(np.int32), F[F != 0]
    rows = (
        np.concatenate((train.indptr, train.n_ratings + np.cumsum(np.count_nonzero(F, axis=1)))),
        np.concatenate((train.movie_rows, movies)),
        np.concatenate((rx, values)),
    )
    matrix = CenteredMatrix(rows, means, np.concatenate((roots, np.zeros(len(F)))), engine)
    _, s, Vt = randomized_svd(matrix, min(settings.rank, *matrix.shape), np.random.default_rng(settings.seed))
    V = Vt.T * s  # (n_movies, k)

    prior = np.bincount(movies, weights=values.astype(np.float64) ** 2, minlength=train.n_movies)
    psi = np.maximum(variances + prior - (V.astype(np.float64) ** 2).sum(axis=1), 0.0)  # diag(C) - |v|^2
    noise = psi + settings.noise_share * variances + settings.noise / np.sqrt(n)
    likes = over_users(r**2 * (train.ratings >= LIKED))  # share of people who like it
    base = likes - settings.popularity_discount * np.log1p(100.0 * train.movie_counts() / n)
    return Gaussian(V, means.astype(np.float32), noise.astype(np.float32), base.astype(np.float32), n)


class CenteredMatrix(BlockMatrix):
    """A - r mu': rows scaled by r less the scaled mean, without ever filling the zeros in; r is 0 for pseudo-users.

    rows: indptr, columns and values of A.  means: mu, (n_movies,).  roots: r, (n_rows,); where r_u^2 are the weights
    that made mu, r'A = mu' and r'r = 1, so that (A - r mu')' (A - r mu') = A'A - mu mu'.
    """

    def __init__(
        self,
        rows: tuple[np.ndarray, np.ndarray, np.ndarray],
        means: np.ndarray,
        roots: np.ndarray,
        engine: Optional[Engine] = None,
    ) -> None:
        engine = engine or Engine()
        super().__init__(*place_rows(*rows, len(means), engine), len(means), engine)
        self.means, self.roots = means.astype(np.float32), roots.astype(np.float32)

    def times(self, X: np.ndarray) -> np.ndarray:
        return super().times(X) - np.outer(self.roots, self.means @ X)

    def gram_times(self, X: np.ndarray) -> np.ndarray:
        return super().gram_times(X) - np.outer(self.means, self.means @ X)

    def transposed_times(self, Y: np.ndarray) -> np.ndarray:
        return super().transposed_times(Y) - np.outer(self.means, self.roots @ Y)

    def energy(self) -> float:
        return super().energy() - float(self.means.astype(np.float64) @ self.means)

    def dense(self) -> np.ndarray:
        return super().dense() - np.outer(self.roots, self.means)


def save_gaussian(
    folder: Path, fitted: Gaussian, settings: GaussianSettings, movie_ids: np.ndarray, fitted_on: str
) -> None:
    """Write the artifact, all files or none: `gaussian.npz` and a manifest; `fitted_on` says which ratings it saw."""
    arrays = fitted._asdict()
    about = {"n_users": arrays.pop("n_users"), "fitted_on": fitted_on}
    artifacts.store(folder, KIND, settings, {FILE: arrays}, movie_ids=movie_ids, **about)
