"""PureSVD: rank movies by a truncated SVD of the user x movie matrix.

    A ~ U diag(s) V'                 A holds one of the signals of recommender/learn/signals.py
    user_embeddings = U diag(s)      movie_embeddings = V
    score = a V V'                   a: the person's row of signal values

For a person of the training data a V = U diag(s), so `score` is then the product of the two stored embeddings; for
somebody new it is the same projection (fold-in). Source: Cremonesi, Koren and Turrin, "Performance of recommender
algorithms on top-N recommendation tasks" (2010), section 3.3; they fill the ratings in, we let a signal choose.

The folder has fixed names that other programs read: see `save`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional

import numpy as np

from ..data import artifacts, weighting
from ..data.errors import ArtifactError, DataError, SettingsError
from ..data.interactions import Interactions
from ..data.settings import setting
from ..linalg.randomized_svd import BLOCK, PASSES, SVD, randomized_svd
from ..linalg.sparse import SparseMatrix
from .base import Fitted, Ranker
from .signals import SIGNALS, signal_values

KIND = "svd"
STEP = "train"
REMEDY = "python -m model.train_svd_model"
USERS_FILE, MOVIES_FILE, MODEL_FILE = "user_embeddings.npy", "movie_embeddings.npy", "svd_model.npz"
USER_MAP, MOVIE_MAP = "user_map.json", "movie_map.json"


@dataclass(frozen=True)
class SvdSettings:
    rank: int = setting(50, "number of dimensions", 1)
    signal: str = setting("binary", "which value a rating gives its cell", choices=SIGNALS)
    passes: int = setting(PASSES, "passes over a large matrix; more is more exact", 1, 1000)
    block: int = setting(BLOCK, "columns in a pass", 1, 1000)
    seed: int = setting(0, "seed of the random start", 0)
    half_life_days: float = setting(
        weighting.HALF_LIFE_DAYS, "signal weighted: days in which a rating loses half", 0.001
    )
    popularity_power: float = setting(weighting.POPULARITY_POWER, "signal weighted: divide by count ** this", 0, 10)


class SvdModel(Ranker):
    """PureSVD.

    movie_embeddings: V, (n_movies, rank) float32, orthonormal columns; a movie without a rating has zeros.
    user_embeddings: U diag(s), (n_users, rank) float32.  singular_values: s, (rank,) float32, descending.
    user_ids: (n_users,) int64.  movie_counts: (n_movies,) int64 ratings in train.  newest: (1,) int64 seconds.
    """

    name = KIND
    Settings = SvdSettings
    fitted: ClassVar[Fitted] = {
        "movie_embeddings": np.float32,
        "user_embeddings": np.float32,
        "singular_values": np.float32,
        "user_ids": np.int64,
        "movie_counts": np.int64,
        "newest": np.int64,
    }

    movie_embeddings: np.ndarray
    user_embeddings: np.ndarray
    singular_values: np.ndarray
    user_ids: np.ndarray
    movie_counts: np.ndarray
    newest: np.ndarray

    def fit(self, train: Interactions) -> SvdModel:
        """Factor the signal of `train`; cost as `randomized_svd`, memory 16 bytes a rating while it runs."""
        self.fit_matrix(train)
        return self

    def fit_matrix(self, train: Interactions) -> tuple[SparseMatrix, SVD]:
        """Do what `fit` does and return the matrix and its factors, for those who want to measure the error."""
        if train.n_ratings == 0:
            raise DataError("no ratings to learn from: run python -m preprocess.setup on a set that has some")
        if not np.isfinite(train.ratings).all():
            raise DataError("the ratings hold values that are not numbers: run python -m preprocess.setup again")
        self.movie_ids, self.user_ids = train.movie_ids, train.user_ids
        self.movie_counts = train.movie_counts()
        self.newest = np.array([train.times.max()])
        indptr, columns, values = train.indptr, train.movie_rows, self.values(train)
        if not values.all():  # a rating whose signal is 0 needs no cell
            kept = values != 0
            indptr = np.concatenate(([0], np.cumsum(kept)))[indptr]
            columns, values = columns[kept], values[kept]
        matrix = SparseMatrix(indptr, columns, values, train.n_movies)
        rng = np.random.default_rng(self.settings.seed)
        factors = randomized_svd(matrix, self.settings.rank, rng, self.settings.passes, self.settings.block)
        self.singular_values = factors.s
        self.movie_embeddings = np.ascontiguousarray(factors.Vt.T)
        self.movie_embeddings[self.movie_counts == 0] = 0  # exactly, not up to rounding
        self.user_embeddings = factors.U * factors.s
        return matrix, factors

    def movie_vectors(self, power: float = 0.5) -> np.ndarray:
        """Return V diag(s / s[0])^power, (n_movies, rank) float32: the vectors for a session and for similarity.

        power 0 weighs all dimensions alike, power 1 as the data does; 0.5 did best in sessions of four favorites.
        """
        scale = (self.singular_values / self.singular_values[0]) ** np.float32(power)
        vectors = self.movie_embeddings * scale
        return vectors

    def values(self, data: Interactions, means: Optional[np.ndarray] = None) -> np.ndarray:
        """Return the model's signal of every rating in `data`, (n_ratings,) float32; means: as in `signal_values`."""
        chosen, newest = self.settings, int(self.newest[0])
        weights = chosen.half_life_days, chosen.popularity_power
        return signal_values(chosen.signal, data, self.movie_counts, newest, means, *weights)

    def fold_in(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return user vectors a V, (B, rank) float32, for rows of `history`; zeros where nothing is known."""
        part = history.select(user_rows)
        values = self.values(part)
        vectors = np.zeros((len(user_rows), self.movie_embeddings.shape[1]), dtype=np.float32)
        for line, (start, end) in enumerate(zip(part.indptr[:-1], part.indptr[1:])):
            vectors[line] = values[start:end] @ self.movie_embeddings[part.movie_rows[start:end]]
        return vectors

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        scores = self.fold_in(history, user_rows) @ self.movie_embeddings.T
        return scores

    def save(self, folder: Path, fitted_on: str = "train") -> None:
        """Write the artifact, all files or none; `fitted_on` says which splits it has seen.

        user_embeddings.npy, movie_embeddings.npy (float32); user_map.json, movie_map.json: {external id: row};
        svd_model.npz: singular values, movie counts, newest time; manifest.json: settings, shapes, checksums.
        """
        settings = {
            **asdict(self.settings),
            "fitted_on": fitted_on,
            "movies_sha256": artifacts.ids_sha256(self.movie_ids),
            "users_sha256": artifacts.ids_sha256(self.user_ids),
        }
        with artifacts.replace_set(folder, KIND, STEP, settings) as stage:
            np.save(stage / USERS_FILE, self.user_embeddings)
            np.save(stage / MOVIES_FILE, self.movie_embeddings)
            artifacts.dump_json(_row_map(self.user_ids), stage / USER_MAP)
            artifacts.dump_json(_row_map(self.movie_ids), stage / MOVIE_MAP)
            np.savez(
                stage / MODEL_FILE,
                singular_values=self.singular_values,
                movie_counts=self.movie_counts,
                newest=self.newest,
            )

    @classmethod
    def load(cls, folder: Path, catalog_ids: Optional[np.ndarray] = None, users: bool = True, **parts: Any) -> SvdModel:
        """Read what `save` wrote; checks every file that it reads against the manifest.

        catalog_ids: the movie ids that the caller works with, ascending; other ids than the model's are refused.
        users=False leaves the users' files unread: a session needs none, and `user_embeddings` is then empty.
        Raises `ArtifactError` for files that are missing, damaged, of another run, or do not fit together.
        """
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        try:
            stored = manifest["settings"][STEP]
            model = cls(**{name: stored[name] for name in asdict(SvdSettings())})
        except (KeyError, TypeError, SettingsError) as error:
            what = f"{folder / artifacts.MANIFEST} is damaged (its settings: {error})"
            raise ArtifactError(f"{what}: run {REMEDY}") from None
        if catalog_ids is not None and stored.get("movies_sha256") != artifacts.ids_sha256(catalog_ids):
            raise ArtifactError(f"{folder} was trained on another movie list: run {REMEDY}")
        names = [MOVIES_FILE, MOVIE_MAP, MODEL_FILE] + ([USERS_FILE, USER_MAP] if users else [])
        artifacts.check_files(folder, manifest, names, REMEDY)
        rank = model.settings.rank
        small = artifacts.load_npz(
            folder / MODEL_FILE, {name: cls.fitted[name] for name in ("singular_values", "movie_counts", "newest")}
        )
        model.singular_values, model.movie_counts = small["singular_values"], small["movie_counts"]
        model.newest = small["newest"]
        model.movie_ids = catalog_ids if catalog_ids is not None else _read_map(folder / MOVIE_MAP)
        n_movies = len(model.movie_ids)
        model.movie_embeddings = artifacts.load_npy(folder / MOVIES_FILE, np.float32, (n_movies, rank))
        model.user_ids, model.user_embeddings = np.empty(0, np.int64), np.empty((0, rank), np.float32)
        if users:
            model.user_ids = _read_map(folder / USER_MAP)
            model.user_embeddings = artifacts.load_npy(folder / USERS_FILE, np.float32, (len(model.user_ids), rank))
        shapes = (model.singular_values.shape, model.movie_counts.shape, model.newest.shape)
        if shapes != ((rank,), (n_movies,), (1,)):
            raise ArtifactError(f"{folder / MODEL_FILE} does not fit the movies of {MOVIE_MAP}: run {REMEDY}")
        for name in (MOVIES_FILE, USERS_FILE):
            array = model.movie_embeddings if name == MOVIES_FILE else model.user_embeddings
            if not np.isfinite(array).all():
                raise ArtifactError(f"{folder / name} holds values that are not numbers: run {REMEDY}")
        return model


def _row_map(ids: np.ndarray) -> dict[str, int]:
    return {str(ident): row for row, ident in enumerate(ids.tolist())}


def _read_map(path: Path) -> np.ndarray:
    """Return the external ids in row order; raises `ArtifactError` where the rows are not 0 .. n-1, ascending."""
    rows = artifacts.load_json(path)
    try:
        ids = np.array([int(ident) for ident in rows], dtype=np.int64)
        in_order = list(rows.values()) == list(range(len(ids))) and bool((np.diff(ids) > 0).all())
    except (AttributeError, TypeError, ValueError, OverflowError):
        in_order = False
    if not in_order:
        raise ArtifactError(f"{path} is not a map from ids to rows in order: run {REMEDY}")
    return ids
