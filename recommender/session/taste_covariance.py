"""The covariance of tastes: which movies go together, from ratings, genres and years.

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

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..data import artifacts
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, DataError
from ..data.interactions import LIKED, Interactions, grades
from ..data.settings import setting
from ..linalg.randomized_svd import randomized_svd
from ..linalg.sparse import SparseMatrix

if TYPE_CHECKING:
    from ..learn.features import SparseRows

KIND, FILE = "session", "gaussian.npz"
REMEDY = "python -m model.train_session_model"
_ARRAYS = ("vectors", "means", "noise", "base")  # (n_movies, k) and (n_movies,), float32


@dataclass(frozen=True)
class GaussianSettings:
    """How the Gaussian is fitted, and what does not change from one person to the next."""

    rank: int = setting(32, "k: how many shared tastes", 1)
    middling_value: float = setting(0.5, "what a rating of 3 or 3.5 counts where 4 and more count 1", 0, 1)
    low_value: float = setting(0.2, "what a rating below 3 counts; also the value of a dislike", 0, 1)
    noise: float = setting(1.0, "noise of an answer: this / sqrt(n_users)", 0)
    noise_share: float = setting(0.3, "noise of an answer, beside that: this share of the movie's variance", 0)
    popularity_discount: float = setting(0.04, "taken from the base of a movie that many rated", 0)
    activity_exponent: float = setting(0.25, "how much less a person with many ratings counts", 0, 1)
    genre_weight: float = setting(0.1, "variance that genres and years share, of a movie's own", 0)
    seed: int = setting(0, "seed of the SVD's start", 0)


class Gaussian(NamedTuple):
    """What is fitted. vectors: (n_movies, k) float32, V.  means: (n_movies,) float32, mu.  noise: (n_movies,) float32,
    variance of an answer about each movie that tells nothing of other movies, psi included.  base: (n_movies,) float32,
    what each movie scores with somebody unknown.  n_users: how many people it was fitted on."""

    vectors: np.ndarray
    means: np.ndarray
    noise: np.ndarray
    base: np.ndarray
    n_users: int


def fit_gaussian(train: Interactions, catalog: Catalog, settings: GaussianSettings) -> Gaussian:
    """Fit to the ratings of `train`, whose movie rows are those of `catalog`; users without a rating do not count.

    Cost: that of a truncated SVD of rank k. Deterministic for one seed.
    """
    from ..learn.features import SparseRows, pseudo_users  # not before somebody fits: it reads texts too

    if train.n_ratings == 0:
        raise DataError("no ratings to learn from: run python -m preprocess.setup on a set that has some")
    counts = np.diff(train.indptr)
    indptr = train.indptr[np.concatenate(([True], counts > 0))]
    counts = counts[counts > 0]
    n = len(counts)
    weights = counts.astype(np.float64) ** -settings.activity_exponent
    roots = np.sqrt(weights / weights.sum())  # r_u = sqrt(w_u), (n,)
    values = grades(train.ratings, settings.middling_value, settings.low_value)  # x_ui, one for each rating
    scaled = (values * np.repeat(roots, counts)).astype(np.float32)  # r_u x_ui

    def over_users(per_rating: np.ndarray) -> np.ndarray:
        return np.bincount(train.movie_rows, weights=per_rating, minlength=train.n_movies).astype(np.float64)

    shares = np.repeat(roots, counts) * scaled  # w_u x_ui
    means = over_users(shares)  # mu
    variances = np.maximum(over_users(shares * values) - means**2, 0.0)  # sd^2

    pseudo = pseudo_users(catalog, np.sqrt(settings.genre_weight * variances))
    rows = SparseRows(
        np.concatenate((indptr, indptr[-1] + pseudo.indptr[1:])),
        np.concatenate((train.movie_rows, pseudo.columns)),
        np.concatenate((scaled, pseudo.values)),
    )
    matrix = CenteredMatrix(rows, means, np.concatenate((roots, np.zeros(len(pseudo.indptr) - 1))))
    _, s, Vt = randomized_svd(matrix, min(settings.rank, *matrix.shape), np.random.default_rng(settings.seed))
    vectors = Vt.T * s  # V, (n_movies, k)

    prior = np.bincount(pseudo.columns, weights=pseudo.values.astype(np.float64) ** 2, minlength=train.n_movies)
    psi = np.maximum(variances + prior - (vectors.astype(np.float64) ** 2).sum(axis=1), 0.0)
    noise = psi + settings.noise_share * variances + settings.noise / np.sqrt(n)
    likes = over_users(np.repeat(roots**2, counts) * (train.ratings >= LIKED))
    base = likes - settings.popularity_discount * np.log1p(100.0 * train.movie_counts() / n)
    return Gaussian(vectors, means.astype(np.float32), noise.astype(np.float32), base.astype(np.float32), n)


class CenteredMatrix(SparseMatrix):
    """A - r mu': rows scaled by r less the scaled mean, without ever filling the zeros in; r is 0 for pseudo-users.

    With r'A = mu' and r'r = 1, which hold where r_u^2 are the weights that made mu:
    (A - r mu')' (A - r mu') = A'A - mu mu'.
    """

    def __init__(self, rows: SparseRows, means: np.ndarray, roots: np.ndarray) -> None:
        """rows: of A.  means: mu, (n_movies,).  roots: r, (n_rows,)."""
        super().__init__(*rows, len(means))
        self.means = means.astype(np.float32)
        self.roots = roots.astype(np.float32)

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
    arrays = {name: getattr(fitted, name) for name in _ARRAYS}
    artifacts.store(
        folder, KIND, settings, {FILE: arrays}, movie_ids=movie_ids, n_users=fitted.n_users, fitted_on=fitted_on
    )


def load_gaussian(folder: Path, catalog_ids: np.ndarray) -> tuple[Gaussian, GaussianSettings]:
    """Read what `save_gaussian` wrote; `catalog_ids`: the movie ids that the caller works with, ascending.

    Raises `ArtifactError` for files that are missing, damaged, of another run, or fitted on other movies.
    """
    stored = artifacts.restore(folder, KIND, REMEDY, GaussianSettings, movie_ids=catalog_ids)
    arrays = stored.read({FILE: dict.fromkeys(_ARRAYS, np.float32)})
    if arrays["vectors"].ndim != 2 or any(len(array) != len(catalog_ids) for array in arrays.values()):
        remedy = artifacts.command(REMEDY, folder)
        raise ArtifactError(f"{folder / FILE} does not fit {len(catalog_ids):,} movies: run {remedy}")
    return Gaussian(**arrays, n_users=int(stored.about.get("n_users", 0))), stored.settings
