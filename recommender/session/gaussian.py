"""Learn from every answer at once: the conditional mean of a Gaussian over all movies.

What a person would say about the movies is a draw from N(mu, V V' + diag(psi)): k shared tastes and a part of each
alone (fitted in taste_covariance.py). Told the answers y about the movies O, each with a noise that has psi in it, the
expectation of all others is (Bishop, Pattern Recognition and Machine Learning, 2006, equation 2.81)

    a       = inv(V_O V_O' + diag(noise_O)) (y - mu_O)
    score_i = base_i + sum over o in O of  a_o (v_o . v_i)

where base_i is the share of people who like movie i, a little less for what everybody knows. So every favorite and
every answer has one term, and the terms are the explanation. Answers are weighed by how they come together: a second
movie of a kind adds less than the first, and a like of a movie that everybody likes adds less than a like of a rare
one. y is 1 for a favorite or a like, `low_value` for a dislike, 0 for a skip. A wish in words is a like of a movie that
was never made, with a vector and a noise of its own, mu = 0 (recommender/session/rules.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .rules import DISLIKE, FAVORITE, LIKE, NO_ROW, SKIP, WISH, Event, LearningRule, Wish, told_vectors
from .taste_covariance import Gaussian, GaussianSettings, load_gaussian


class ConditionalGaussian(LearningRule):
    """The rule of the header. The noise of a skip is divided by `skip_weight`, 0 to 1: 1 takes a skip as surely as
    another answer, 0 not at all.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(n_events^2 (k + n_events)) to solve.
    """

    hears_wishes = True

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, skip_weight: float = 0.5) -> None:
        # Two layouts: the product over all movies is twice as fast by columns, picking out a few movies by rows.
        self.movie_vectors = np.ascontiguousarray(fitted.vectors, dtype=np.float32)
        # The base is one column more, whose weight is always 1: a pass over all movies less.
        self._columns = np.ascontiguousarray(np.vstack((self.movie_vectors.T, fitted.base)))  # (k + 1, n_movies)
        self.n_movies = len(fitted.means)
        self.settings = settings
        self.skip_weight = skip_weight
        self.base = fitted.base
        self._means = fitted.means.astype(np.float64)
        self.movie_noise: np.ndarray = fitted.noise.astype(np.float64)
        unsure = 1.0 / skip_weight if skip_weight > 0 else np.inf
        self._value = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: settings.low_value, SKIP: 0.0, WISH: 1.0}
        self._factor = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: 1.0, SKIP: unsure, WISH: 1.0}  # of the noise

    @classmethod
    def load(cls, folder: Path, catalog_ids: np.ndarray, skip_weight: float = 0.5) -> ConditionalGaussian:
        """Return the rule from the artifact in `folder`; see `load_gaussian`."""
        return cls(*load_gaussian(folder, catalog_ids), skip_weight)

    def weights(self, events: Sequence[Event]) -> np.ndarray:
        """Return a_o for every event, (n_events,) float64."""
        if self.skip_weight > 0:
            return self._solve(events)[0]
        result = np.zeros(len(events))
        result[[event.answer != SKIP for event in events]] = self._solve(events)[0]
        return result

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        """Return the sum of a_o v_o, (k,) float32: what was learned, in the space of the movie vectors."""
        weights, V = self._solve(events)
        vector = (weights @ V).astype(np.float32)
        return vector

    def _solve(self, events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
        """Return a_o, and v_o (n, k) float64, for the events that are heard at all: no skips at `skip_weight` 0."""
        if self.skip_weight == 0:
            events = [event for event in events if event.answer != SKIP]
        told = [event.row for event in events]
        rows = np.array(told, dtype=np.int64)
        value = np.array([self._value[event.answer] for event in events])
        factor = np.array([self._factor[event.answer] for event in events])
        V = self.movie_vectors[rows].astype(np.float64)
        noise, means = self.movie_noise[rows] * factor, self._means[rows]
        if NO_ROW in told:
            for place, event in enumerate(events):
                if isinstance(event, Wish):
                    V[place], noise[place], means[place] = event.vector, event.noise / event.weight, 0.0
        covariance = V @ V.T
        covariance.flat[:: len(rows) + 1] += noise
        return np.linalg.solve(covariance, value - means), V

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        weights = np.ones(len(self._columns), dtype=np.float32)
        weights[:-1] = self.user_vector(events)
        result = weights @ self._columns
        return result

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        told = told_vectors(self.movie_vectors, events)
        table = np.empty((1 + len(events), len(rows)))
        table[0] = self.base[rows]
        table[1:] = told @ self._columns[:-1, rows]
        table[1:] *= self.weights(events)[:, None]
        return table
