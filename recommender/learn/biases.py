"""How much better a movie is rated than others, and how generously a person rates: damped means.

    b_i = sum over its ratings (r - mu) / (n_i + movie_damping)
    b_u = sum over their ratings (r - mu - b_i) / (n_u + user_damping)
    score_ui = mu + b_u + b_i          the expected rating, in stars

Damping pulls a mean that rests on few ratings towards 0, as if so many average ratings had been added. b_u is taken
from the history that is ranked for, so a new person needs no fitting. Source: Koren, Factor in the Neighbors (TKDD
2010), section 2.1, there as baseline estimates; ours differs in that mu + b_u only shifts a person's scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from ..data.interactions import Interactions
from ..data.settings import setting
from .base import Fitted, Ranker


@dataclass(frozen=True)
class BiasesSettings:
    movie_damping: float = setting(5.0, "average ratings added to each movie's", 0)
    user_damping: float = setting(5.0, "average ratings added to each person's", 0)


class Biases(Ranker):
    """`mean` is mu, (1,) float32; `movie_bias` is b_i, (n_movies,) float32, 0 for a movie without ratings."""

    name = "biases"
    Settings = BiasesSettings
    scores_are_ratings = True
    fitted: ClassVar[Fitted] = {"mean": np.float32, "movie_bias": np.float32}

    mean: np.ndarray
    movie_bias: np.ndarray

    def fit(self, train: Interactions) -> Biases:
        """Average; O(n_ratings)."""
        self.movie_ids = train.movie_ids
        mu = float(train.ratings.mean(dtype=np.float64)) if train.n_ratings else 0.0
        sums = np.bincount(train.movie_rows, train.ratings - mu, minlength=train.n_movies)
        counts = train.movie_counts() + self.settings.movie_damping
        self.mean = np.array([mu], dtype=np.float32)
        self.movie_bias = (sums / np.where(counts > 0, counts, 1)).astype(np.float32)
        return self

    def user_bias(self, history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        """Return b_u (B,) float32 of rows of `history`; 0 for a person without ratings."""
        bias = np.zeros(len(user_rows), dtype=np.float32)
        for line, row in enumerate(user_rows):
            known = history.row(row)
            rest = history.ratings[known] - self.mean - self.movie_bias[history.movie_rows[known]]
            if len(rest):
                bias[line] = rest.sum() / (len(rest) + self.settings.user_damping)
        return bias

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        scores = self.mean + self.user_bias(history, user_rows)[:, None] + self.movie_bias
        return scores
