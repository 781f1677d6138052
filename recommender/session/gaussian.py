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
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data import artifacts
from ..data.settings import setting
from .rules import VectorRule
from .state import DISLIKE, FAVORITE, LIKE, SKIP, TEXT, Event

KIND, FILE = "session", "gaussian.npz"
REMEDY = "python -m model.train_session_model"


@dataclass(frozen=True)
class GaussianSettings:
    """How the Gaussian is fitted, and what does not change from one person to the next."""

    rank: int = setting(32, "k: how many shared tastes", 1)
    middling_value: float = setting(0.5, "value of a neutral rating (3 or 3.5); a like counts 1", 0, 1)
    low_value: float = setting(0.2, "what a rating below 3 counts; also the value of a dislike", 0, 1)
    noise: float = setting(1.0, "noise of an answer: this / sqrt(n_users)", 0)
    noise_share: float = setting(0.3, "noise of an answer, beside that: this share of the movie's variance", 0)
    popularity_discount: float = setting(0.04, "taken from the base of a movie that many rated", 0)
    activity_exponent: float = setting(0.25, "how much less a person with many ratings counts", 0, 1)
    genre_weight: float = setting(0.1, "variance that genres and years share, of a movie's own", 0)
    seed: int = setting(0, "seed of the SVD's start", 0)


class Gaussian(NamedTuple):
    """What is fitted; all arrays float32, a row for each movie."""

    vectors: np.ndarray  # V, (n_movies, k)
    means: np.ndarray  # mu, (n_movies,)
    noise: np.ndarray  # (n_movies,), variance of an answer that tells nothing of other movies, psi included
    base: np.ndarray  # (n_movies,), what each movie scores with somebody unknown
    n_users: int  # on whom it was fitted


class ConditionalGaussian(VectorRule):
    """The rule of the header. The noise of a skip is divided by `skip_weight`, 0 to 1: 1 takes a skip as surely as
    another answer, 0 not at all.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(n_events^2 (k + n_events)) to solve.
    """

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, skip_weight: float = 0.5) -> None:
        super().__init__(fitted.vectors, fitted.base)
        self.settings, self.skip_weight = settings, skip_weight
        self.means = fitted.means.astype(np.float64)
        self.movie_noise: np.ndarray = fitted.noise.astype(np.float64)
        self._values = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: settings.low_value, SKIP: 0.0, TEXT: 1.0}
        skip_noise = 1.0 / skip_weight if skip_weight > 0 else np.inf
        self._factors = {**dict.fromkeys(self._values, 1.0), SKIP: skip_noise}  # of the noise of an answer

    def event_weights(self, events: Sequence[Event], rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        answers = [event.answer for event in events]
        if self.skip_weight == 0 and SKIP in answers:
            weights, heard = np.zeros(len(events)), [answer != SKIP for answer in answers]
            others = [event for event in events if event.answer != SKIP]
            weights[heard] = self.event_weights(others, rows[heard], vectors[heard])
            return weights
        y = np.array([self._values[answer] for answer in answers])
        noise = self.movie_noise.take(rows) * np.array([self._factors[answer] for answer in answers])
        mu = self.means.take(rows)
        for i, event in enumerate(events if TEXT in answers else ()):
            if event.item is not None:
                noise[i], mu[i] = event.item.noise / event.item.weight, 0.0
        covariance = vectors @ vectors.T
        covariance.reshape(-1)[:: len(rows) + 1] += noise  # the diagonal
        return np.linalg.solve(covariance, y - mu)


def load_gaussian(folder: Path, catalog_ids: np.ndarray) -> tuple[Gaussian, GaussianSettings]:
    """Read what `taste_covariance.save_gaussian` wrote; `catalog_ids`: the caller's movie ids, ascending.

    Raises `ArtifactError` for files that are missing, damaged, of another run, or fitted on other movies.
    """
    stored = artifacts.restore(folder, KIND, REMEDY, GaussianSettings, movie_ids=catalog_ids)
    arrays = stored.read({FILE: dict.fromkeys(("vectors", "means", "noise", "base"), np.float32)})
    return Gaussian(**arrays, n_users=int(stored.about.get("n_users", 0))), stored.settings
