"""EASE with a bridge for movies that nobody has rated: their texts say which rated movies would point to them.

    B         EASE's weights (recommender/learn/ease.py), row = known movie, column = predicted movie
    B_.i      = bridge(z_i)    for a movie i without ratings; the bridge is fitted on the columns of the others
    z_i       text, genres and year of a movie (text_features)
    score     = x B            x: 1 for a rating of at least 4, `middling_value` for 3 or 3.5, `low_value` below

A column holds what every known movie adds to the movie's score, how well known it is included, so that is foretold
too. The idea of mapping attributes to a model's item side is that of Gantner et al. 2010, "Learning
attribute-to-feature mappings for cold-start recommendations"; here the item side is a column of a linear model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import Interactions, grades
from ..data.settings import setting
from ..linalg.cholesky import inverse
from ..linalg.ridge import fit_bridge
from .base import Fitted, Ranker
from .ease import fold_in, gram
from .text_features import Weights, text_features


@dataclass(frozen=True)
class TextBridgeSettings:
    """Defaults chosen on the validation part of ml-latest-small, movies held out."""

    regularisation: float = setting(150.0, "ridge penalty of EASE", 1e-6)
    middling_value: float = setting(0.5, "what a rating of 3 or 3.5 counts where 4 and more count 1", 0, 1)
    low_value: float = setting(0.2, "what a rating below 3 counts", 0, 1)
    ridge: float = setting(10.0, "ridge penalty of the bridge", 1e-6)
    dimension: int = setting(400, "length of a text vector", 1, 4096)
    text_weight: float = setting(1.4, "what the text counts", 0)
    genre_weight: float = setting(0.55, "what the genres count", 0)
    year_weight: float = setting(0.7, "what the year counts", 0)


class TextBridge(Ranker):
    """`item_weights` is B, (n_movies, n_movies) float32, columns of unrated movies bridged."""

    name = "text_bridge"
    Settings = TextBridgeSettings
    takes_catalog = True
    fitted: ClassVar[Fitted] = {"item_weights": np.float32}

    item_weights: np.ndarray

    def __init__(self, catalog: Optional[Catalog] = None, **settings: float) -> None:
        """Take texts, genres and years from `catalog`; a loaded model needs none."""
        super().__init__(**settings)
        self.catalog = catalog

    def fit(self, train: Interactions) -> TextBridge:
        """Solve EASE on the rated movies, and bridge the others; cost n_rated^3 and n_rated^2 d."""
        self.movie_ids = train.movie_ids
        rated = train.movie_counts() > 0
        G = gram(train, self._values(train.ratings))[np.ix_(rated, rated)]
        G[np.diag_indices_from(G)] += self.settings.regularisation
        B = inverse(G)
        B /= -B.diagonal().copy()
        np.fill_diagonal(B, 0)
        self.item_weights = np.zeros((train.n_movies, train.n_movies), dtype=np.float32)
        self.item_weights[np.ix_(rated, rated)] = B
        if not rated.all() and rated.sum() > 1:
            Z = self.features(train.movie_ids)
            bridge = fit_bridge(Z[rated], B.T, np.ones(len(B)), [self.settings.ridge])
            self.item_weights[np.ix_(rated, ~rated)] = bridge(Z[~rated]).T
        return self

    def features(self, movie_ids: np.ndarray) -> np.ndarray:
        """Return z of each movie, (n_movies, d) float32; zeros for one that the catalogue does not list."""
        chosen = self.settings
        weights = Weights(chosen.text_weight, chosen.genre_weight, chosen.year_weight)
        return text_features(self.catalog, movie_ids, chosen.dimension, weights)

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return grades(ratings, self.settings.middling_value, self.settings.low_value)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return fold_in(history, user_rows, self._values(history.ratings), self.item_weights)
