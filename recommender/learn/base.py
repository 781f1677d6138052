"""The contract of every model that ranks movies.

    fit(train)                        learn from ratings, return self
    score(history, user_rows)         (B, n_movies): one ranking value for every movie, seen ones included
    recommend(history, user_rows, n)  the n best unseen movies: external ids and scores

`history` holds what is known of the users to rank for: the training data itself or the ratings of somebody new, in the
same movie vocabulary. So a model never needs to have met a user.

What `fit` learns is declared once, as an array in the class body (`item_weights_: np.ndarray`). All declared arrays
are saved and loaded, without the last underscore in the file's name. A model made of others lists them in `parts`.
Learning is `_fit`, a score `_score_user` or, for a batch at once, `_score`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import NoSettings, check_value
from ..linalg.engine import Engine
from ..linalg.rows import top_n

CANDIDATES = 200  # movies of a list that familiarity may put in another order
DEFAULT_METHOD = "stacker"  # what ranks for known users where nothing else is asked for (registry.py)
AnyRanker = TypeVar("AnyRanker", bound="Ranker")


class Ranker(ABC):
    """A model under the contract above; `movie_ids` (n_movies,) int64 is the vocabulary it was fitted on.

    A subclass sets `name` (of the registry and of the artifact), `Settings` (a frozen dataclass of `setting` fields),
    and declares its arrays.
    """

    name: ClassVar[str]
    folder: ClassVar[str] = ""  # below `artifacts`, if not the name
    program: ClassVar[str] = ""  # in model/, if it has one of its own
    Settings: ClassVar[type[Any]] = NoSettings
    optional: ClassVar[frozenset[str]] = frozenset()  # files that an artifact of an earlier version lacks
    by_blocks: ClassVar[bool] = False  # whether `fit` works on blocks of people by `engine`
    scores_are_ratings: ClassVar[bool] = False  # whether a score is the expected rating, in stars

    engine: Engine = Engine()  # a program sets another one
    progress: Callable[[int, int, str], object] = staticmethod(lambda done, total, what: None)  # of a long `fit`

    movie_ids: np.ndarray

    def __init__(self, catalog: Optional[Catalog] = None, **settings: Any) -> None:
        """Set the model; raises `SettingsError` for an unknown name or a value out of range.

        catalog: for models that read genres, years or texts while they are fitted; None lists no movie.
        """
        self.catalog = Catalog([]) if catalog is None else catalog
        self.parts: dict[str, Ranker] = {}
        self.settings = self.Settings(**{key: check_value(self.Settings, key, settings[key]) for key in settings})

    def fit(self: AnyRanker, train: Interactions) -> AnyRanker:
        """Learn from `train` and return self; a second call forgets the first."""
        self.movie_ids = train.movie_ids
        self._fit(train)
        return self

    @abstractmethod
    def _fit(self, train: Interactions) -> None:
        """Set the declared arrays."""

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        """Return (n_movies,) values for a user who gave `ratings` (n,) to the rows `movies` (n,), oldest first."""
        raise NotImplementedError

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        """Compute `score` for arguments already checked."""
        scores = np.empty((len(user_rows), history.n_movies), dtype=np.float32)
        for line, row in enumerate(user_rows):
            known = history.row(row)
            scores[line] = self._score_user(history.movie_rows[known], history.ratings[known])
        return scores

    def score(self, history: Interactions, user_rows: npt.ArrayLike, at: Optional[npt.ArrayLike] = None) -> np.ndarray:
        """Return (B, n_movies) float32 ranking values for rows of `history`; higher is better.

        `at`: (B,) seconds since 1970, the moment of the request; None takes each user's last known rating.
        Raises `DataError` if `history` has another movie vocabulary.
        """
        if not np.array_equal(history.movie_ids, self.movie_ids):
            raise DataError("the history lists other movies than the model was fitted on: use one data set for both")
        rows = np.atleast_1d(np.asarray(user_rows, dtype=np.int64))
        moments = None if at is None else np.atleast_1d(np.asarray(at, dtype=np.int64))
        return self._score(history, rows, moments)

    def score_list(
        self,
        history: Interactions,
        user_rows: npt.ArrayLike,
        at: Optional[npt.ArrayLike],
        n: int,
        allowed: Optional[np.ndarray] = None,
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Return `score` for lists of n movies, and the part that gave each movie, (B, n_movies), None without parts.

        allowed: (n_movies,) bool, the movies that may be shown, the others get -inf; None = all.
        """
        scores = self.score(history, user_rows, at)
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return scores, None

    def recommend(
        self, history: Interactions, user_rows: npt.ArrayLike, n: int = 10, at: Optional[npt.ArrayLike] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the n best movies that each user has not rated: ids (B, n) int64 and scores (B, n) float32.

        Best first, equal scores by ascending id. Where fewer than n are left, the others are id -1, score -inf.
        """
        rows = np.atleast_1d(np.asarray(user_rows, dtype=np.int64))
        scores, _ = self.score_list(history, rows, at, n)
        best = best_unseen(scores, history, rows, n)
        values = np.take_along_axis(scores, np.maximum(best, 0), axis=1)
        return np.where(best < 0, -1, self.movie_ids[best]), np.where(best < 0, np.float32(-np.inf), values)

    def notes(self) -> list[str]:
        """Return what `fit` had to leave out for the size of the data, in lines for a person."""
        return []

    def slots(self, prefix: str = "") -> dict[str, tuple[Ranker, str]]:
        """Return where each array that `fit` sets is: its name in the artifact -> the model and its attribute."""
        bodies = [vars(one).get("__annotations__", {}) for one in reversed(type(self).__mro__)]
        own = [name for body in bodies for name, kind in body.items() if kind == "np.ndarray"]
        found: dict[str, tuple[Ranker, str]] = {prefix + name.rstrip("_"): (self, name) for name in own}
        for part, model in self.parts.items():
            found.update(model.slots(f"{prefix}{part}."))
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `fit` learned, by name in the artifact; together with the settings it is the whole model."""
        return {stored: getattr(*slot) for stored, slot in self.slots().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `arrays` of a fitted model returned, or some of it."""
        for stored, slot in self.slots().items():
            if stored in arrays:
                setattr(*slot, arrays[stored])

    def layout(self) -> dict[str, Sequence[str]]:
        """Return the files of the artifact: the arrays in each `.npz`; () for a file that has the name of its array."""
        return {f"{name}.npy": () for name in self.slots()}

    def save(self, folder: Path, fitted_on: str = "", **about: Any) -> None:
        """Write the model to `folder`, all files and a manifest or none.

        fitted_on: the parts of the data that it has seen.  about: more entries of the manifest.
        """
        found, files = self.arrays(), dict[str, Any]()
        for file, names in self.layout().items():
            files[file] = {name: found[name] for name in names} if names else found[Path(file).stem]
        artifacts.store(folder, self.name, self.settings, files, movie_ids=self.movie_ids, fitted_on=fitted_on, **about)

    @classmethod
    def load(
        cls: type[AnyRanker], folder: Path, catalog: Optional[Catalog] = None, without: Sequence[str] = ()
    ) -> AnyRanker:
        """Read what `save` wrote.

        without: files that stay unread; their arrays are missing.  Raises `ArtifactError` for files that are missing,
        damaged, of another model or from another run, and for a model of other movies than `catalog` lists.
        """
        ids = None if catalog is None else catalog.movie_ids
        stored = artifacts.restore(folder, cls.name, cls.command(), cls.Settings, movie_ids=ids)
        model = cls(catalog, **dataclasses.asdict(stored.settings))
        absent = {*without, *(cls.optional - stored.manifest["files"].keys())}
        layout = {file: names for file, names in model.layout().items() if file not in absent}
        model.restore(stored.read({file: dict.fromkeys(names) or None for file, names in layout.items()}))
        return model

    @classmethod
    def command(cls) -> str:
        """Return the command that fits and stores the model."""
        return f"python -m model.{cls.program or f'train_ranking_model --method {cls.name}'}"


def best_unseen(
    scores: np.ndarray, history: Interactions, user_rows: np.ndarray, n: int, candidates: Optional[np.ndarray] = None
) -> np.ndarray:
    """Return the rows of the n best movies that each user has not rated, (B, n) int32, -1 where none is left.

    candidates: the only movie rows to choose from, equal scores in this order; None = all, equal scores by row.
    Changes `scores` (B, n_movies). A score that is not a number counts as worse than every other.
    """
    if np.isnan(scores.max(initial=-np.inf)):  # one pass without a copy
        scores[np.isnan(scores)] = np.finfo(scores.dtype).min
    mask_seen(scores, history, user_rows)
    if candidates is not None:
        scores = scores[:, candidates]
    best = top_n(scores, n)
    rows = best if candidates is None else candidates[best]
    found = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, rows)
    return np.pad(found.astype(np.int32), ((0, 0), (0, n - found.shape[1])), constant_values=-1)


def mask_seen(scores: np.ndarray, history: Interactions, user_rows: np.ndarray) -> None:
    """Set the score of every movie that each user has rated to -inf, in place."""
    for line, row in enumerate(user_rows):
        scores[line, history.movie_rows[history.row(row)]] = -np.inf


def last_times(history: Interactions, user_rows: np.ndarray) -> np.ndarray:
    """Return the time of each user's last known rating, (B,) int64; 0 for a user without any."""
    ends = history.indptr[user_rows + 1]
    some = ends > history.indptr[user_rows]
    moments = np.zeros(len(user_rows), dtype=np.int64)
    moments[some] = history.times[ends[some] - 1]
    return moments
