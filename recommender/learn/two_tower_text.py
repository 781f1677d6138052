"""The two towers with movies' texts: the movie tower reads what a movie is about, so one without ratings gets a vector.

    F_i           text, genres and year of a movie (features.text_features), and what `side_features` adds
    (m_i, c_i)    = (V_i + F_i P, a_i + F_i p)      of a movie with ratings, as in recommender/learn/two_tower/model.py
    (m_i, c_i)    = F_i B + b                       of one without
    B, b minimise   sum over rated i of sqrt(n_i) |F_i B + b - (m_i, c_i)|^2  +  ridge |B|^2

P is learned beside V in a few passes, and what V knows of a movie P need not say. So after training the map from
features to the tower's outputs is solved once more, for the outputs that were found, with a penalty against learning
single movies by heart (`fit_ridge`, weights scaled to mean 1); n_i are the ratings that were asked for. On validation
movies this found more than P alone, however often V was left out in training (`drop_ids`). It is the mapping of Gantner
et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations", after the DropoutNet of
`two_tower_network`. With `ridge` 0 the trained P places all movies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.interactions import Interactions
from ..data.settings import setting
from ..linalg.ridge import fit_ridge
from ..linalg.rows import unit_rows
from .features import TextFeatureSettings, item_features, text_features
from .two_tower.model import TwoTower
from .two_tower.settings import TwoTowerSettings
from .two_tower.training import Training


@dataclass(frozen=True)
class TextTwoTowerSettings(TextFeatureSettings, TwoTowerSettings):
    """Defaults chosen on the validation part of ml-latest-small, movies held out."""

    side_features: str = setting(
        "metadata", "what the movie tower reads beside text, genres and year", choices=("none", "genres", "metadata")
    )
    ridge: float = setting(10.0, "ridge penalty of the map for movies without ratings; 0 = the trained one", 0)


class TextTwoTower(TwoTower):
    """`TwoTower` that reads texts, under a name and defaults of its own; a loaded model needs no catalogue."""

    name = "two_tower_text"
    Settings = TextTwoTowerSettings

    def start(self, train: Interactions) -> Training:
        """Return a training that has not begun; `take_over` makes its present state this model."""
        return Training(train, self.features(train.movie_ids), self.settings)

    def features(self, movie_ids: np.ndarray) -> np.ndarray:
        """Return F, (n_movies, n_features) float32; zeros for a movie that the catalogue does not list."""
        chosen = self.settings
        texts = text_features(self.catalog, movie_ids, chosen)
        others = item_features(chosen.side_features, self.catalog, movie_ids, self.extra_features)
        return np.concatenate([texts, others], axis=1)

    def take_over(self, training: Training) -> TextTwoTower:
        """Copy what `training` has learned into this model, place movies without ratings, and return self."""
        super().take_over(training)
        rated = training.counts > 0
        if self.settings.ridge > 0 and rated.sum() > 1 and not rated.all():
            F = training.features
            found = np.concatenate([self.movie_vectors, self.movie_biases[:, None]], axis=1)
            ridge = fit_ridge(F[rated], found[rated], np.sqrt(training.counts[rated]), [self.settings.ridge])
            predicted = ridge(F[~rated])
            vectors = predicted[:, :-1]
            self.movie_vectors[~rated] = unit_rows(vectors) if self.settings.normalised else vectors
            self.movie_biases[~rated] = predicted[:, -1]
        return self
