"""The contract of every model that ranks movies.

    fit(train)                        learn from ratings
    score(history, user_rows)         (B, n_movies): one ranking value for every movie, seen ones included
    recommend(history, user_rows, n)  the n best unseen movies: external ids and scores

`history` holds what is known of the people to rank for. It may be the training data itself or the ratings of
somebody new; it shares the training data's movie vocabulary. A model therefore never needs to have met a person.

Each model says once what it is called, how it is set, and which arrays `fit` leaves; saving follows from that.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import check_value
from ..linalg.top_n import top_n

Arrays = dict[str, np.ndarray]
Fitted = Mapping[str, npt.DTypeLike]
AnyRanker = TypeVar("AnyRanker", bound="Ranker")


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """For a model in which there is nothing to choose."""


class Ranker(ABC):
    """A model under the contract above; `movie_ids` is the vocabulary it was fitted on.

    A subclass sets `name` (what the registry and the artifact call it), `Settings` (a frozen dataclass of
    `settings.setting` fields) and `fitted` (the attributes that `fit` sets: arrays, each with its dtype).
    """

    name: ClassVar[str]
    Settings: ClassVar[type[Any]] = NoSettings
    fitted: ClassVar[Fitted] = {}
    scores_are_ratings: ClassVar[bool] = False  # whether a score is the expected rating, in stars
    takes_catalog: ClassVar[bool] = False  # whether the constructor has a parameter `catalog`

    movie_ids: np.ndarray

    def __init__(self, **settings: Any) -> None:
        """Set the model; raises `SettingsError` for an unknown name or a value out of range."""
        self.settings = self.Settings(**{key: check_value(self.Settings, key, settings[key]) for key in settings})

    @abstractmethod
    def fit(self, train: Interactions) -> Ranker:
        """Learn from `train` and return self; a second call forgets the first."""

    @abstractmethod
    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        """Compute `score` for arguments already checked."""

    def score(self, history: Interactions, user_rows: npt.ArrayLike, at: Optional[npt.ArrayLike] = None) -> np.ndarray:
        """Return (B, n_movies) float32 ranking values for rows of `history`; higher is better.

        `at`: (B,) seconds since 1970, the moment of the request; None takes each person's last known rating.
        Raises `DataError` where `history` has another movie vocabulary.
        """
        if not np.array_equal(history.movie_ids, self.movie_ids):
            raise DataError("the history lists other movies than the model was fitted on: use one data set for both")
        rows = np.atleast_1d(np.asarray(user_rows, dtype=np.int64))
        moments = None if at is None else np.atleast_1d(np.asarray(at, dtype=np.int64))
        return self._score(history, rows, moments)

    def recommend(
        self, history: Interactions, user_rows: npt.ArrayLike, n: int = 10, at: Optional[npt.ArrayLike] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the n best movies that each person has not rated: ids (B, n) int64 and scores (B, n) float32.

        Best first, equal scores by ascending id. Where fewer than n are left, the rest is id -1, score -inf.
        """
        rows = np.atleast_1d(np.asarray(user_rows, dtype=np.int64))
        scores = self.score(history, rows, at)
        mask_seen(scores, history, rows)
        best = top_n(scores, n)
        values = np.take_along_axis(scores, best, axis=1)
        ids = np.where(np.isneginf(values), -1, self.movie_ids[best])
        if ids.shape[1] < n:
            missing = ((0, 0), (0, n - ids.shape[1]))
            ids = np.pad(ids, missing, constant_values=-1)
            values = np.pad(values, missing, constant_values=-np.inf)
        return ids, values

    def arrays(self) -> Arrays:
        """Return what `fit` learned, by name; together with the settings it is the whole model."""
        return {"movie_ids": self.movie_ids, **{name: getattr(self, name) for name in self.fitted}}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` of a fitted model returned."""
        self.movie_ids = arrays["movie_ids"]
        for name in self.fitted:
            setattr(self, name, arrays[name])

    def dtypes(self) -> dict[str, npt.DTypeLike]:
        """Return the dtype of each of `arrays`, known before fitting; checked when a model is loaded."""
        return {"movie_ids": np.int64, **self.fitted}

    def save(self, folder: Path) -> None:
        """Write the model to `folder`, all files or none: one `.npy` for each array, and a manifest."""
        files = {f"{name}.npy": array for name, array in self.arrays().items()}
        artifacts.store(folder, self.name, self.settings, files, step="fit")

    @classmethod
    def load(cls: type[AnyRanker], folder: Path, **parts: Any) -> AnyRanker:
        """Read what `save` wrote; `parts` are what the constructor takes beside settings (a catalogue).

        Raises `ArtifactError` for files that are missing, damaged, of another model or from another run.
        """
        remedy = f"python -m model.train_ranking_model --model {cls.name}"
        stored = artifacts.restore(folder, cls.name, remedy, cls.Settings, step="fit")
        model = cls(**parts, **dataclasses.asdict(stored.settings))
        model.restore(stored.read({f"{name}.npy": dtype for name, dtype in model.dtypes().items()}))
        return model


def mask_seen(scores: np.ndarray, history: Interactions, user_rows: np.ndarray) -> None:
    """Set the score of every movie that each person has rated to -inf, in place."""
    for line, row in enumerate(user_rows):
        scores[line, history.movie_rows[history.row(row)]] = -np.inf
