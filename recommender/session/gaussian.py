"""Learn from every answer at once: the conditional mean of a Gaussian over all movies.

What a person would say about the movies is a draw from N(mu, V V' + diag(psi)): k shared tastes and a part of each
movie alone (fitted in taste_covariance.py). Given the answers y about the movies O, each with a noise that has psi in
it, the expectation of all others is (Bishop, Pattern Recognition and Machine Learning, 2006, equation 2.81)

    w       = inv(V_O V_O' + diag(noise_O)) (y - mu_O)
    score_i = base_i + sum over o in O of  w_o (v_o . v_i)

where base_i is the share of people who like movie i, a little less for what everybody knows. Answers are weighed by how
they come together: a second movie of a kind adds less than the first, and a like of a movie that everybody likes adds
less than a like of a rare one. y is 1 for a favorite or a like, `low_value` for a dislike, 0 for a skip. A pseudo-item
is liked; it has a vector and a noise of its own, and mu = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rules import DISLIKE, FAVORITE, LIKE, SKIP, TEXT, Event, VectorRule
from .taste_covariance import Gaussian, GaussianSettings


class ConditionalGaussian(VectorRule):
    """The rule of the header. The noise of a skip is divided by `skip_weight`, 0 to 1: 1 takes a skip as surely as
    another answer, 0 not at all.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(n_events^2 (k + n_events)) to solve.
    """

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, skip_weight: float = 0.5) -> None:
        super().__init__(fitted.vectors, fitted.base)
        self.settings = settings
        self.skip_weight = skip_weight
        self.means = fitted.means.astype(np.float64)
        self.movie_noise: np.ndarray = fitted.noise.astype(np.float64)
        self._values = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: settings.low_value, SKIP: 0.0, TEXT: 1.0}
        skip = 1.0 / skip_weight if skip_weight > 0 else np.inf
        self._noise_factors = {**dict.fromkeys(self._values, 1.0), SKIP: skip}

    def event_weights(self, events: Sequence[Event], vectors: np.ndarray) -> np.ndarray:
        if self.skip_weight == 0 and any(event.answer == SKIP for event in events):
            weights = np.zeros(len(events))
            heard = [i for i, event in enumerate(events) if event.answer != SKIP]
            weights[heard] = self.event_weights([events[i] for i in heard], vectors[heard])
            return weights
        rows = np.array([event.row for event in events], dtype=np.int64)
        V = vectors.astype(np.float64)  # (n, k)
        y = np.array([self._values[event.answer] for event in events])
        noise = self.movie_noise[rows] * np.array([self._noise_factors[event.answer] for event in events])
        mu = self.means[rows]
        for i, event in enumerate(events):
            if event.item is not None:
                noise[i], mu[i] = event.item.noise / event.item.weight, 0.0
        covariance = V @ V.T  # (n, n)
        covariance.flat[:: len(rows) + 1] += noise
        return np.linalg.solve(covariance, y - mu)
