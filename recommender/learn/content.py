"""Three models that know what a movie is, and so rank movies that nobody has rated.

`Content` compares genres and keywords, `Embedding` texts. `TextRidge` predicts from texts what EASE would have learned
of a movie from its ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions, grades
from ..data.settings import setting
from ..linalg.ridge import fit_ridge
from ..linalg.rows import unit_rows
from .base import Ranker
from .ease import Ease, gram, item_weights
from .features import TextFeatureSettings, genre_matrix, rarity_weighted, tag_matrix, text_features


class Content(Ranker):
    """Movies of the genres, and with the keywords, that a user rates above their own average.

        F_i     = genres and keywords of i, each weighted by ln(n_movies / how many movies have it), scaled to length 1
        profile = sum over the history (r_i - the user's mean + liking) F_i
        score   = F profile / |profile| + popularity * ln(1 + likes_i) / ln(1 + most likes)

    `liking` lets a movie speak for its genres even if its rating was only average, since users choose what they watch;
    `popularity` puts the better known of two equally fitting movies first. Source: Pazzani and Billsus (2007),
    Content-Based Recommendation Systems, section 10.3 (Rocchio); the centering and both constants are ours.
    """

    name = "content"
    features_: np.ndarray  # F, (n_movies, n_features) float32
    known_: np.ndarray  # (n_movies,) float32, the popularity term

    @dataclass(frozen=True)
    class Settings:
        liking: float = setting(0.5, "what a rating counts beyond its distance from the user's mean, in stars", 0)
        popularity: float = setting(2.0, "weight of being well known", 0)
        keywords: bool = setting(True, "whether keywords count as genres do; some are users' tags")
        fewest_movies: int = setting(5, "minimum number of movies with a keyword", 1)

    def _fit(self, train: Interactions) -> None:
        """Read the features of the training data's movies; one that the catalogue does not know has none."""
        genres = genre_matrix(self.catalog, train.movie_ids)
        tags = self.catalog.keywords() if self.settings.keywords else ()
        words = tag_matrix(tags, train.movie_ids, self.settings.fewest_movies)
        self._know(train, unit_rows(rarity_weighted(np.concatenate([genres, words], axis=1))))

    def _know(self, train: Interactions, features: np.ndarray) -> None:
        self.features_ = features
        likes = np.bincount(train.movie_rows[train.ratings >= LIKED], minlength=train.n_movies)
        self.known_ = (np.log1p(likes) / np.log1p(max(likes.max(initial=0), 1))).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        mean = ratings.mean() if len(ratings) else 0
        profile = (ratings - mean + np.float32(self.settings.liking)) @ self.features_[movies]  # (n_features,)
        cosines = self.features_ @ profile / max(float(np.linalg.norm(profile)), 1e-9)  # (n_movies,)
        return cosines + np.float32(self.settings.popularity) * self.known_


class Embedding(Content):
    """`Content` whose features are text vectors, those of a stored backend where `vectors` (n_movies, d) are given."""

    name = "embedding"

    @dataclass(frozen=True)
    class Settings:
        liking: float = setting(1.0, "what a rating counts beyond its distance from the user's mean, in stars", 0)
        popularity: float = setting(1.0, "weight of being well known", 0)

    def __init__(
        self, catalog: Optional[Catalog] = None, vectors: Optional[np.ndarray] = None, **settings: Any
    ) -> None:
        super().__init__(catalog, **settings)
        self.vectors = vectors

    def _fit(self, train: Interactions) -> None:
        """Take the vectors given, or fit the backend `local` to the movies' own texts."""
        only_text = TextFeatureSettings(text_weight=1, genre_weight=0, year_weight=0)
        texts = text_features(self.catalog, train.movie_ids, only_text) if self.vectors is None else self.vectors
        self._know(train, unit_rows(texts))


class TextRidge(Ease):
    """EASE that also ranks movies that nobody has rated: a ridge regression on their texts predicts their column.

        B         EASE's weights (ease.py), row = known movie, column = predicted movie
        B_.i      = ridge(z_i)    for a movie i without ratings; the map is fitted on the columns of the others
        z_i       text, genres and year of a movie (features.text_features)
        score     = x B           x: 1 for a rating of at least 4, `middling_value` for 3 or 3.5, `low_value` below

    A column holds what every known movie adds to the movie's score. To map attributes to a model's item side is the
    idea of Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations".
    """

    name = "text_ridge"
    by_blocks = True

    @dataclass(frozen=True)
    class Settings(TextFeatureSettings):  # defaults chosen on the validation part of ml-latest-small, movies held out
        regularisation: float = setting(150.0, "ridge penalty of EASE", 1e-6)
        middling_value: float = setting(0.5, "value of a neutral rating (3 or 3.5); a like counts 1", 0, 1)
        low_value: float = setting(0.2, "what a rating below 3 counts", 0, 1)
        ridge: float = setting(10.0, "ridge penalty of the map from texts", 1e-6)

    def _fit(self, train: Interactions) -> None:
        """Solve EASE on the rated movies and predict the others; cost n_rated^3 and n_rated^2 d."""
        rated = train.movie_counts() > 0
        G = gram(train, self._values(train.ratings), self.engine)[np.ix_(rated, rated)]
        B = item_weights(G, self.settings.regularisation)
        self.item_weights_ = np.zeros((train.n_movies, train.n_movies), dtype=np.float32)
        self.item_weights_[np.ix_(rated, rated)] = B
        if not rated.all() and rated.sum() > 1:
            Z = text_features(self.catalog, train.movie_ids, self.settings)
            predict = fit_ridge(Z[rated], B.T, np.ones(len(B)), [self.settings.ridge])
            self.item_weights_[np.ix_(rated, ~rated)] = predict(Z[~rated]).T

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return grades(ratings, self.settings.middling_value, self.settings.low_value)
