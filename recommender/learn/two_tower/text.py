"""The two towers with movies' texts: the movie tower reads what a movie is about, so one without ratings gets a vector.

    F_i           text, genres and year of a movie (features.text_features), and what `side_features` adds
    (m_i, c_i)    = (V_i + F_i P, a_i + F_i p)      of a movie with ratings, as in `model`
    (m_i, c_i)    = F_i B + b                       of one without
    B, b minimise   sum over rated i of sqrt(n_i) |F_i B + b - (m_i, c_i)|^2  +  ridge |B|^2

What V knows of a movie P need not say, so after training the map from features to the tower's outputs is solved once
more; n_i are the ratings that were asked for, and the weights have mean 1. On validation movies this found more than P
alone, however often `drop_ids` left V out. Source: Gantner et al., Learning attribute-to-feature mappings for
cold-start recommendations (ICDM 2010). With `ridge` 0 the trained P places them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...data.settings import setting
from ...linalg.ridge import fit_ridge
from ..features import TextFeatureSettings, text_features
from .model import TwoTower
from .network import FEATURES, TwoTowerSettings
from .training import Training


@dataclass(frozen=True)
class TextTwoTowerSettings(TextFeatureSettings, TwoTowerSettings):
    """Defaults chosen on the validation part of ml-latest-small, movies held out."""

    side_features: str = setting("metadata", "what the movie tower reads beside text, genres, year", choices=FEATURES)
    ridge: float = setting(10.0, "ridge penalty of the map for movies without ratings; 0 = the trained one", 0)


class TextTwoTower(TwoTower):
    """`TwoTower` that reads texts, under a name and defaults of its own; a loaded model needs no catalogue."""

    name, folder, program = "two_tower_text", "", ""
    Settings = TextTwoTowerSettings

    def features(self, movie_ids: np.ndarray) -> np.ndarray:
        texts = text_features(self.catalog, movie_ids, self.settings)
        return np.concatenate([texts, super().features(movie_ids)], axis=1)

    def take_over(self, training: Training) -> TextTwoTower:
        """Copy what `training` has learned into this model, place movies without ratings, and return self."""
        super().take_over(training)
        rated = training.counts > 0
        if self.settings.ridge > 0 and rated.sum() > 1 and not rated.all():
            F = training.features
            found = np.concatenate([self.movie_vectors_, self.movie_biases_[:, None]], axis=1)  # (n_movies, k + 1)
            ridge = fit_ridge(F[rated], found[rated], np.sqrt(training.counts[rated]), [self.settings.ridge])
            predicted = ridge(F[~rated])  # F B + b
            self.movie_vectors_[~rated], self.movie_biases_[~rated] = predicted[:, :-1], predicted[:, -1]
        return self
