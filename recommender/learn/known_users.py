"""Rankings for people whose ratings are in the processed data.

Everything that is known of a person (train, val and test) is their history. A model is read from
`artifacts/<method>` where `python -m model.train_ranking_model` left it, else fitted at the first request.
"""

from __future__ import annotations

import numbers
import time
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import Catalog, Movie
from ..data.errors import ArtifactError, ChoiceError
from ..data.splits import load_all
from . import registry
from .base import Ranker

DEFAULT_METHOD = "stacker"
LATEST = 2**32  # seconds; later than this are milliseconds given by mistake


class Ranked(NamedTuple):
    """A movie and the value that ranked it; values of different methods do not compare."""

    movie: Movie
    score: float


class KnownUsers:
    """Models over one processed folder, each fitted or read once."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder, self.catalog = folder, catalog
        self.history = load_all(folder)
        self._models: dict[str, Ranker] = {}

    def model(self, method: str) -> Ranker:
        """Return the fitted model; raises `ChoiceError` for a method that does not exist."""
        if not isinstance(method, str):
            raise ChoiceError(f"method {method!r}: give one of {', '.join(registry.names())}")
        if method not in self._models:
            stored = self.folder / "artifacts" / registry.folder_name(method)
            if method in registry.names() and method != "svd" and stored.is_dir():
                model = registry.load(method, stored, self.catalog)
                if not np.array_equal(model.movie_ids, self.history.movie_ids):
                    program = "train_twotower" if method == "two_tower" else "train_ranking_model"
                    raise ArtifactError(f"{stored} was trained on another movie list: run python -m model.{program}")
            else:
                model = registry.make(method, self.catalog).fit(self.history)
            self._models[method] = model
        return self._models[method]

    def recommend(self, user_id: int, n: int, method: str, at: Optional[int]) -> list[Ranked]:
        """Return the n best movies that the person has not rated, best first; `at` None is now."""
        now = int(time.time())
        for name, value in (("user_id", user_id), ("n", n), ("at", now if at is None else at)):
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise ChoiceError(f"{name} = {value!r}: give a whole number")
        if n < 1:
            raise ChoiceError(f"n = {n}: ask for at least one movie")
        moment = now if at is None else int(at)
        if not 0 <= moment < LATEST:
            raise ChoiceError(f"at = {moment}: give seconds since 1970")
        row = int(np.searchsorted(self.history.user_ids, user_id))
        if row == self.history.n_users or self.history.user_ids[row] != user_id:
            first, last = self.history.user_ids[0], self.history.user_ids[-1]
            raise ChoiceError(f"no user {user_id!r} in these ratings: their ids run from {first} to {last}")
        ids, scores = self.model(method).recommend(self.history, [row], min(n, self.history.n_movies), [moment])
        found = zip(ids[0].tolist(), scores[0].tolist())
        return [Ranked(self.catalog.movie(self.catalog.row_of(i)), score) for i, score in found if i >= 0]
