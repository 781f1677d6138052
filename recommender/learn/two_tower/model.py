"""Two-tower: one network reads the person, another the movie, and the dot product of their vectors is the score.

    score_ui = u . m_i / T + c_i       u = user tower(history of u),  m_i = movie tower(i),  c_i = the movie's bias

The chapter in order: `layers` and `losses` (each step forward and backward), `gradient_check`, `lazy_adam`,
`samplers`, then `two_tower_network` (what the towers read and how they meet), `two_tower_history` (a person as the sum
of what they rated), `two_tower_training` (examples, batches, epochs), and this model over them.

`RECIPE` in `two_tower_settings` is the recipe that such projects start from: ids of people and movies, a ReLU layer
each, the squared error of the rating. It ranks worse than popularity, since it learns nothing from which movies people
chose to rate. The defaults differ in what they ask (which movie will be liked next, out of those of the batch, with
logQ correction) and in what they read (the history, recent ratings first, instead of an id).
Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations (RecSys 2019).

Nothing of a person is kept. With `user_input=history` the tower reads whatever history `score` is given. With ids the
rows of the people in training are dropped, and anybody, known or new, is folded in (`two_tower_fold_in`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from ...data.catalog import Catalog
from ...data.interactions import Interactions
from ..base import Ranker
from ..features import item_features
from .artifact import load_model, save_model
from .fold_in import fold_in
from .history import bags_before
from .network import Batch, Parameters, tower, user_inputs
from .settings import TwoTowerSettings
from .training import Training, design_of, reading_of


class TwoTower(Ranker):
    """The two-tower network under the contract of `Ranker`.

    movie_vectors: (n_movies, factors) and movie_biases: (n_movies,), outputs of the movie tower.
    history_vectors: (n_movies, factors), E of `two_tower_history`; no rows with `user_input=id`.
    people_mean: (factors,), where fold-in begins; empty with `user_input=history`.
    user_W, user_b: the layer of the user tower, empty where it has none.
    """

    name = "two_tower"
    Settings = TwoTowerSettings

    movie_vectors: np.ndarray
    movie_biases: np.ndarray
    history_vectors: np.ndarray
    people_mean: np.ndarray
    user_W: np.ndarray
    user_b: np.ndarray

    def __init__(
        self,
        catalog: Optional[Catalog] = None,
        extra_features: Optional[Mapping[int, npt.ArrayLike]] = None,
        **settings: Any,
    ) -> None:
        """Take side features from `catalog` as the setting `side_features` says; a loaded model needs none.

        extra_features: movie id -> vector, all of one length (text embeddings), added to the side features.
        """
        super().__init__(catalog, **settings)
        self.extra_features = extra_features

    def start(self, train: Interactions) -> Training:
        """Return a training that has not begun; `take_over` makes its present state this model.

        >>> data = Interactions.from_columns([1, 1, 1, 2, 2], [7, 8, 9, 7, 9], [5, 4, 2, 4, 5], [1, 2, 3, 4, 5])
        >>> model = TwoTower(factors=2, epochs=3)
        >>> training = model.start(data)
        >>> losses = [training.run_epoch() for _ in range(3)]
        >>> stored = training.state()  # arrays by name; a fresh `start` goes on from here after `set_state(stored)`
        >>> model.take_over(training).recommend(data, 1, n=1)[0].tolist()
        [[8]]
        """
        kind = self.settings.side_features
        return Training(train, item_features(kind, self.catalog, train.movie_ids, self.extra_features), self.settings)

    def take_over(self, training: Training) -> TwoTower:
        """Copy what `training` has learned by now into this model and return self; cost O(n_movies factors)."""
        found = training.parameters
        k = self.settings.factors
        self.movie_ids = training.data.movie_ids
        self.movie_vectors, self.movie_biases = (part.astype(np.float32) for part in training.movie_vectors())
        self.history_vectors = found.get("history", np.zeros((0, k))).astype(np.float32)
        self.people_mean = found["people"].mean(axis=0) if "people" in found else np.zeros(0, dtype=np.float32)
        self.user_W = found.get("user_W", np.zeros((0, k))).astype(np.float32)
        self.user_b = found.get("user_b", np.zeros(0)).astype(np.float32)
        return self

    def fit(self, train: Interactions) -> TwoTower:
        """Learn from `train`: all planned epochs."""
        training = self.start(train)
        for _ in range(self.settings.epochs):
            training.run_epoch()
        return self.take_over(training)

    def user_vectors(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return the outputs of the user tower, (B, factors) float32, for rows of `history`."""
        chosen, design = self.settings, design_of(self.settings)
        parameters: Parameters = {"user_W": self.user_W, "user_b": self.user_b}
        if chosen.user_input == "id":
            parameters["mean"] = self.people_mean
            if chosen.objective == "softmax":
                history = history.take(history.ratings >= chosen.positives_from)
            movies = self.movie_vectors, self.movie_biases
            return fold_in(parameters, design, movies, history, user_rows, chosen.fold_in_steps)
        parameters["history"] = self.history_vectors
        bags = bags_before(history, history.indptr[user_rows + 1], user_rows, reading_of(chosen))
        x = user_inputs(parameters, Batch(user_rows, bags=bags))
        return tower(x, "user", design.user_layer, design.normalised, parameters).output

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        dots = self.user_vectors(history, user_rows) @ self.movie_vectors.T
        scores = dots / np.float32(self.settings.temperature) + self.movie_biases
        return scores

    def save(self, folder: Path, fitted_on: str = "train", losses: Optional[Sequence[float]] = None) -> None:
        """Write the artifact of `two_tower_artifact`."""
        save_model(self, folder, fitted_on, losses)

    @classmethod
    def load(cls, folder: Path, catalog: Optional[Catalog] = None) -> TwoTower:
        """Read what `save` wrote; raises `ArtifactError` as `two_tower_artifact.load_model`."""
        return load_model(cls, folder, catalog)
