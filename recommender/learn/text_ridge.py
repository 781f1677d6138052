"""EASE that also ranks movies that nobody has rated: a ridge regression on their texts predicts their column.

    B         EASE's weights (ease.py), row = known movie, column = predicted movie
    B_.i      = ridge(z_i)    for a movie i without ratings; the map is fitted on the columns of the others
    z_i       text, genres and year of a movie (features.text_features)
    score     = x B           x: 1 for a rating of at least 4, `middling_value` for 3 or 3.5, `low_value` below

A column holds what every known movie adds to the movie's score, how well known it is included. The idea of mapping
attributes to a model's item side is that of Gantner et al. 2010, "Learning attribute-to-feature mappings for
cold-start recommendations"; here the item side is a column of a linear model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.interactions import Interactions, grades
from ..data.settings import setting
from ..linalg.ridge import fit_ridge
from .ease import Ease, gram, item_weights
from .features import TextFeatureSettings, text_features


class TextRidge(Ease):
    """`Ease` in which the columns of `item_weights_` of unrated movies are predicted from `catalog`."""

    name = "text_ridge"

    @dataclass(frozen=True)
    class Settings(TextFeatureSettings):  # defaults chosen on the validation part of ml-latest-small, movies held out
        regularisation: float = setting(150.0, "ridge penalty of EASE", 1e-6)
        middling_value: float = setting(0.5, "value of a neutral rating (3 or 3.5); a like counts 1", 0, 1)
        low_value: float = setting(0.2, "what a rating below 3 counts", 0, 1)
        ridge: float = setting(10.0, "ridge penalty of the map from texts", 1e-6)

    def _fit(self, train: Interactions) -> None:
        """Solve EASE on the rated movies and predict the others; cost n_rated^3 and n_rated^2 d."""
        rated = train.movie_counts() > 0
        G = gram(train, self._values(train.ratings))[np.ix_(rated, rated)]
        B = item_weights(G, self.settings.regularisation)
        self.item_weights_ = np.zeros((train.n_movies, train.n_movies), dtype=np.float32)
        self.item_weights_[np.ix_(rated, rated)] = B
        if not rated.all() and rated.sum() > 1:
            Z = text_features(self.catalog, train.movie_ids, self.settings)
            predict = fit_ridge(Z[rated], B.T, np.ones(len(B)), [self.settings.ridge])
            self.item_weights_[np.ix_(rated, ~rated)] = predict(Z[~rated]).T

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return grades(ratings, self.settings.middling_value, self.settings.low_value)
