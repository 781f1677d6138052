"""The covariance of tastes: which movies go together, from ratings, genres and years.

Of n people, person u has weight w_u ~ n_ratings_u ^ -activity_exponent, so that those who rated thousands do not
speak for all. A rating of at least 4 counts 1, of 3 or 3.5 `middling_value`, a lower one `low_value`, a movie that
was not rated 0: the rows x_u. mu is their weighted mean, and

    C = sum over u of w_u (x_u - mu) (x_u - mu)' + genre_weight * sd F F' sd        sd: deviations of the columns

adds to the weighted covariance what genres and years let expect before any rating (F: genre_features.py). V V' is
the best rank-k part of C, from a truncated SVD of the matrix whose rows are the people's, centred, and one made-up
person for each column of sd F; psi is what the diagonal of C has beyond |v|^2 (probabilistic PCA with a variance for
each movie: Tipping and Bishop 1999, "Probabilistic principal component analysis", fitted in one step, not by EM). And

    noise_i = psi_i + noise_share * sd_i^2 + noise / sqrt(n)          an answer is trusted less the fewer people
                                                                      stand behind the covariance
    base_i  = sum over u of w_u [u likes i] - popularity_discount * ln(1 + 100 raters_i / n)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data import artifacts
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, DataError, SettingsError
from ..data.interactions import LIKED, Interactions, grades
from ..data.settings import check_value, setting
from ..learn.genre_features import made_up_people
from ..linalg.randomized_svd import randomized_svd
from ..linalg.sparse import SparseMatrix

KIND, STEP, FILE = "session", "train", "gaussian.npz"
REMEDY = "python -m model.train_session_model"
_PARTS = {"vectors": np.float32, "means": np.float32, "noise": np.float32, "base": np.float32}


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
    """Fit to the ratings of `train`, whose movie rows are those of `catalog`; people without a rating do not count.

    Cost: that of a truncated SVD of rank k. Deterministic for one seed.
    """
    if train.n_ratings == 0:
        raise DataError("no ratings to learn from: run python -m preprocess.setup on a set that has some")
    counts = np.diff(train.indptr)
    indptr = train.indptr[np.concatenate(([True], counts > 0))]
    counts = counts[counts > 0]
    n = len(counts)
    weights = counts.astype(np.float64) ** -settings.activity_exponent
    roots = np.sqrt(weights / weights.sum())  # of w_u
    values = grades(train.ratings, settings.middling_value, settings.low_value)
    scaled = (values * np.repeat(roots, counts)).astype(np.float32)
    columns, n_movies = train.movie_rows, train.n_movies
    shares = np.repeat(roots, counts) * scaled  # w_u x_ui
    means = np.bincount(columns, weights=shares, minlength=n_movies).astype(np.float64)
    variances = np.maximum(np.bincount(columns, weights=shares * values, minlength=n_movies) - means**2, 0.0)

    deviations = np.sqrt(settings.genre_weight * variances)
    made_up = made_up_people(catalog, deviations)
    matrix = PeopleMatrix(
        np.concatenate((indptr, indptr[-1] + made_up.indptr[1:])),
        np.concatenate((columns, made_up.columns)),
        np.concatenate((scaled, made_up.values)),
        means,
        np.concatenate((roots, np.zeros(len(made_up.indptr) - 1))),
    )
    rank = min(settings.rank, *matrix.shape)
    _, s, Vt = randomized_svd(matrix, rank, np.random.default_rng(settings.seed))
    vectors = Vt.T * s
    expected = np.bincount(made_up.columns, weights=made_up.values.astype(np.float64) ** 2, minlength=n_movies)
    diagonal = variances + expected
    residuals = np.maximum(diagonal - (vectors.astype(np.float64) ** 2).sum(axis=1), 0.0)
    noise = residuals + settings.noise_share * variances + settings.noise / np.sqrt(n)
    likes = np.bincount(columns, weights=np.repeat(roots**2, counts) * (train.ratings >= LIKED), minlength=n_movies)
    base = likes - settings.popularity_discount * np.log1p(100.0 * train.movie_counts() / n)
    return Gaussian(vectors, means.astype(np.float32), noise.astype(np.float32), base.astype(np.float32), n)


class PeopleMatrix(SparseMatrix):
    """A - r mu': rows scaled by r less the scaled mean, without ever filling the zeros in; r is 0 for made-up people.

    With r'A = mu' and r'r = 1, which hold where r_u^2 are the weights that made mu:
    (A - r mu')' (A - r mu') = A'A - mu mu'.
    """

    def __init__(
        self,
        indptr: np.ndarray,
        columns: np.ndarray,
        values: np.ndarray,
        means: np.ndarray,
        roots: np.ndarray,
    ) -> None:
        super().__init__(indptr, columns, values, len(means))
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
    stored = {
        **asdict(settings),
        "n_users": fitted.n_users,
        "fitted_on": fitted_on,
        "movies_sha256": artifacts.ids_sha256(movie_ids),
    }
    with artifacts.replace_set(folder, KIND, STEP, stored) as stage:
        np.savez(stage / FILE, **{name: getattr(fitted, name) for name in _PARTS})


def load_gaussian(folder: Path, catalog_ids: np.ndarray) -> tuple[Gaussian, GaussianSettings]:
    """Read what `save_gaussian` wrote; `catalog_ids`: the movie ids that the caller works with, ascending.

    Raises `ArtifactError` for files that are missing, damaged, of another run, or fitted on other movies.
    """
    manifest = artifacts.read_manifest(folder, KIND, REMEDY)
    stored = manifest["settings"].get(STEP, {})
    if stored.get("movies_sha256") != artifacts.ids_sha256(catalog_ids):
        raise ArtifactError(f"{folder} was trained on another movie list: run {REMEDY}")
    artifacts.check_files(folder, manifest, [FILE], REMEDY)
    parts = artifacts.load_npz(folder / FILE, _PARTS)
    try:
        settings = GaussianSettings(
            **{name: check_value(GaussianSettings, name, stored[name]) for name in asdict(GaussianSettings())}
        )
        fitted = Gaussian(**parts, n_users=stored["n_users"])
    except KeyError as error:
        raise ArtifactError(f"{folder} lacks the setting {error}: run {REMEDY}") from None
    except SettingsError as error:
        raise ArtifactError(f"{folder / artifacts.MANIFEST} is damaged (its settings: {error}): run {REMEDY}") from None
    n_movies = len(catalog_ids)
    if fitted.vectors.ndim != 2 or any(len(array) != n_movies for array in parts.values()):
        raise ArtifactError(f"{folder / FILE} does not fit {n_movies:,} movies: run {REMEDY}")
    if not all(np.isfinite(array).all() for array in parts.values()):
        raise ArtifactError(f"{folder / FILE} holds values that are not numbers: run {REMEDY}")
    return fitted, settings
