"""Two-tower: one network reads the user, another the movie, and the dot product of their vectors is the score.

    score_ui = u . m_i + c_i       u = user tower(history of u),  m_i = movie tower(i),  c_i = the movie's bias

The chapter in order: `layers` and `losses` (each step forward and backward), `gradient_check`, `adam`, `network` (what
the towers read and how they meet), `users` (histories and fold-in), `training`, and this model over them.

`network.RECIPE` is what such projects start from: ids of users and movies, a ReLU layer each, the squared error of the
rating. It ranks worse than popularity. The defaults differ in what they ask (which movie will be liked next, out of
those of the batch, with logQ correction) and in what they read (the history, recent ratings first, instead of an id).
Nothing of a user is stored: with ids their rows are dropped, and every user, known or new, is placed by `fold_in`.
Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations (RecSys 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from ...data.interactions import LIKED, Interactions
from ..base import Ranker
from ..features import item_features
from . import layers
from .losses import LOSSES
from .network import TwoTowerSettings, tower
from .training import Training
from .users import bags_before, fold_in

MODEL_FILE = "twotower_model.npz"


class TwoTower(Ranker):
    """The two-tower network under the contract of `Ranker`; its arrays are float32, k = `factors`."""

    name, folder, program = "two_tower", "twotower", "train_twotower"
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
        features = item_features(self.settings.side_features, self.catalog, train.movie_ids)
        return Training(train, features, self.settings)

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

    def _fit(self, train: Interactions) -> None:
        """Learn from `train`: all planned epochs."""
        training = self.start(train)
        for _ in range(self.settings.epochs):
            training.run_epoch()
        self.take_over(training)

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

    def layout(self) -> dict[str, Sequence[str]]:
        return {MODEL_FILE: list(self.slots())}
