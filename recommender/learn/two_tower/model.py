"""Two-tower: one network reads the user, another the movie, and the dot product of their vectors is the score.

    score_ui = u . m_i + c_i       u = user tower(history of u),  m_i = movie tower(i),  c_i = the movie's bias

The chapter in order: `layers` and `losses` (each step forward and backward), `gradient_check`, `adam`, `network` (what
the towers read and how they meet), `history`, `training`, and this model over them; `text` adds movies' texts.

`network.RECIPE` is what such projects start from: ids of users and movies, a ReLU layer each, the squared error of the
rating. It ranks worse than popularity. The defaults differ in what they ask (which movie will be liked next, out of
those of the batch, with logQ correction) and in what they read (the history, recent ratings first, instead of an id).
Nothing of a user is stored: with ids their rows are dropped, and every user, known or new, is placed by `fold_in`.
Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations (RecSys 2019).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...data import artifacts
from ...data.catalog import Catalog
from ...data.errors import ArtifactError
from ...data.interactions import LIKED, Interactions
from ..base import Ranker
from ..features import item_features
from . import layers
from .fold_in import fold_in
from .history import bags_before
from .losses import LOSSES
from .network import TwoTowerSettings, tower
from .training import Training

FOLDER, MODEL_FILE = "twotower", "twotower_model.npz"
REMEDY = "python -m model.train_twotower"
# settings of earlier versions, at the values that describe what is done now
_FORMER = {"normalised": False, "temperature": 1.0, "extra_negatives": 0, "positives_from": LIKED, "fold_in_steps": 100}


class TwoTower(Ranker):
    """The two-tower network under the contract of `Ranker`; its arrays are float32, k = `factors`."""

    name = "two_tower"
    Settings = TwoTowerSettings
    movie_vectors_: np.ndarray  # (n_movies, k), outputs of the movie tower
    movie_biases_: np.ndarray  # (n_movies,)
    history_vectors_: np.ndarray  # (n_movies, k), E of `history`; no rows with user_input=id
    people_mean_: np.ndarray  # (k,), where fold-in begins; empty with user_input=history
    user_W_: np.ndarray  # (k, k) and (k,), the layer of the user tower; empty where it has none
    user_b_: np.ndarray

    def start(self, train: Interactions) -> Training:
        """Return a training that has not begun; `take_over` makes its present state this model.

        >>> data = Interactions.from_columns([1, 1, 1, 2, 2], [7, 8, 9, 7, 9], [5, 4, 2, 4, 5], [1, 2, 3, 4, 5])
        >>> model = TwoTower(factors=2, epochs=3)
        >>> training = model.start(data)
        >>> losses = [training.run_epoch() for _ in range(3)]
        >>> model.take_over(training).recommend(data, 1, n=1)[0].tolist()
        [[8]]
        """
        return Training(train, self.features(train.movie_ids), self.settings)

    def features(self, movie_ids: np.ndarray) -> np.ndarray:
        """Return F, (n_movies, n_features) float32, as the setting `side_features` says; zeros for unlisted movies."""
        return item_features(self.settings.side_features, self.catalog, movie_ids)

    def take_over(self, training: Training) -> TwoTower:
        """Copy what `training` has learned by now into this model and return self; cost O(n_movies k)."""
        found, k = training.parameters, self.settings.factors
        self.movie_ids = training.data.movie_ids
        self.movie_vectors_, self.movie_biases_ = (part.astype(np.float32) for part in training.movie_vectors())
        self.history_vectors_ = found.get("history", np.zeros((0, k))).astype(np.float32)
        self.people_mean_ = found["users"].mean(axis=0) if "users" in found else np.zeros(0, dtype=np.float32)
        self.user_W_ = found.get("user_W", np.zeros((0, k))).astype(np.float32)
        self.user_b_ = found.get("user_b", np.zeros(0)).astype(np.float32)
        return self

    def fit(self, train: Interactions) -> TwoTower:
        """Learn from `train`: all planned epochs."""
        training = self.start(train)
        for _ in range(self.settings.epochs):
            training.run_epoch()
        return self.take_over(training)

    def user_vectors(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return the outputs of the user tower, (B, k) float32, for rows of `history`."""
        settings = self.settings
        parameters = {"user_W": self.user_W_, "user_b": self.user_b_, "mean": self.people_mean_}
        if settings.user_input == "id":
            if LOSSES[settings.objective].in_batch:
                history = history.take(history.ratings >= LIKED)
            known = history.select(user_rows)
            return fold_in(parameters, settings, self.movie_vectors_, self.movie_biases_, known)
        bags = bags_before(history, history.indptr[user_rows + 1], user_rows, settings)
        return tower(layers.bag(self.history_vectors_, *bags), "user", settings.user_layer, parameters)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return self.user_vectors(history, user_rows) @ self.movie_vectors_.T + self.movie_biases_

    def save(self, folder: Path, fitted_on: str = "train", losses: Optional[list[float]] = None) -> None:
        """Write `twotower_model.npz` and a manifest to `folder`, both or none.

        fitted_on: the parts of the data that it has seen.  losses: of its epochs, maybe fewer than planned; None where
        they were not kept.
        """
        n_epochs = self.settings.epochs if losses is None else len(losses)
        about: dict[str, Any] = {"fitted_on": fitted_on, "epochs_trained": n_epochs, "losses": losses}
        files = {MODEL_FILE: self.arrays()}
        artifacts.store(folder, self.name, self.settings, files, movie_ids=self.movie_ids, **about)

    @classmethod
    def load(cls, folder: Path, catalog: Optional[Catalog] = None) -> TwoTower:
        """Read what `save` wrote; raises `ArtifactError` for files missing, damaged, or of another model or version."""
        remedy = REMEDY if cls is TwoTower else f"python -m model.train_ranking_model --method {cls.name}"
        stored = _restore(cls, folder, remedy)
        model = cls(catalog, **asdict(stored.settings))
        model.restore(stored.read({MODEL_FILE: cls.dtypes()}))
        return model

    @classmethod
    def dtypes(cls) -> dict[str, Any]:
        """Return the dtype of each of `arrays`."""
        return {name.rstrip("_"): np.int64 if name == "movie_ids" else np.float32 for name in cls.fitted()}


def load_movie_tower(folder: Path, movie_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the movie tower's vectors (n_movies, k) and biases (n_movies,) of the movies `movie_ids`, float32.

    Raises `ArtifactError` as `TwoTower.load`, and for a model of another movie list.
    """
    stored = _restore(TwoTower, folder, REMEDY, movie_ids)
    arrays = stored.read({MODEL_FILE: {"movie_vectors": np.float32, "movie_biases": np.float32}})
    return arrays["movie_vectors"], arrays["movie_biases"]


def _restore(
    cls: type[TwoTower], folder: Path, remedy: str, movie_ids: Optional[np.ndarray] = None
) -> artifacts.Stored:
    stored = artifacts.restore(folder, cls.name, remedy, cls.Settings, movie_ids=movie_ids)
    about, former = stored.about, dict[str, Any](_FORMER)
    if "normalised" in about and about["user_input"] == "history":
        former["user_layer"] = "none"  # a layer read two sums side by side
    for name, value in former.items():
        if about.get(name, value) != value:
            what = f"{folder} was trained by an earlier version with {name} {about[name]!r}"
            raise ArtifactError(f"{what}, which this version does not have: run {stored.remedy}")
    return stored
