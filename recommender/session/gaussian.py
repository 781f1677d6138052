"""Learn from every answer at once: the conditional mean of a Gaussian over all movies.

What a person would say about the movies is a draw from N(mu, V V' + diag(psi)): k shared tastes and a part of each
movie alone (fitted in taste_covariance.py). Given the answers y about the movies O, each with a noise that has psi in
it, the expectation of all others is (Bishop, Pattern Recognition and Machine Learning, 2006, equation 2.81)

    w       = inv(V_O V_O' + diag(noise_O)) (y - mu_O)
    score_i = b base_i + sd_i^-p  sum over o in O of  w_o (v_o . v_i)        sd_i^2 = |v_i|^2 + noise_i

where base_i is the share of people who like movie i, a little less for what everybody knows. Answers are weighed by how
they come together: a second movie of a kind adds less than the first, and a like of a movie that everybody likes adds
less than a like of a rare one. y is 1 for a favorite, a like and later, `low_value` for a dislike, 0 for not
interested, whose noise is divided by its weight; a skip says nothing. For later the whole variance of the answer,
|v_o|^2 + noise_o, is divided by its weight c: alone it moves every score c times as far as a like would, while divided
noise alone would hardly hold back a well-known movie, whose |v_o| is large beside it. A pseudo-item is liked; it has a
vector and a noise of its own, and mu = 0.

With p = 0 and b = 1 the score is the expectation itself. Most of the variance lies in what many rated, so the
expectation favors it; divided by the deviation, the score says how surprising the answers make a like of the movie.
`familiarity` f moves both along the frontier that the replay measured: p = 1 - f, b = 0.2 + 0.8 f^1.5. sd is relative
to its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data import artifacts
from ..data.settings import setting
from .policy import PolicySettings
from .rules import VectorRule
from .state import DISLIKE, FAVORITE, LATER, LIKE, NOT_INTERESTED, SEEN, TEXT, Event

KIND, FILE = "session", "gaussian.npz"
REMEDY = "python -m model.train_session_model"


@dataclass(frozen=True)
class GaussianSettings:
    """How the Gaussian is fitted, and what does not change from one person to the next."""

    rank: int = setting(256, "k: how many shared tastes", 1)
    middling_value: float = setting(0.5, "value of a neutral rating (3 or 3.5); a like counts 1", 0, 1)
    low_value: float = setting(0.0, "what a rating below 3 counts; also the value of a dislike", 0, 1)
    noise: float = setting(1.0, "noise of an answer: this / sqrt(n_users)", 0)
    noise_share: float = setting(0.3, "noise of an answer, beside that: this share of the movie's variance", 0)
    popularity_discount: float = setting(0.04, "taken from the base of a movie that many rated", 0)
    activity_exponent: float = setting(0.25, "how much less a person with many ratings counts", 0, 1)
    genre_weight: float = setting(0.05, "variance that genres and years share, of a movie's own", 0)
    seed: int = setting(0, "seed of the SVD's start", 0)


class Gaussian(NamedTuple):
    """What is fitted; all arrays float32, a row for each movie."""

    vectors: np.ndarray  # V, (n_movies, k)
    means: np.ndarray  # mu, (n_movies,)
    noise: np.ndarray  # (n_movies,), variance of an answer that tells nothing of other movies, psi included
    base: np.ndarray  # (n_movies,), what each movie scores with somebody unknown
    n_users: int  # on whom it was fitted


class ConditionalGaussian(VectorRule):
    """The rule of the header; `policy` gives familiarity and the weights of later and not interested.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(n_events k min(n_events, k)) to solve.
    """

    has_familiarity = True

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, policy: Optional[PolicySettings] = None) -> None:
        policy = policy or PolicySettings()
        p, b = 1 - policy.familiarity, 0.2 + 0.8 * policy.familiarity**1.5
        variances = np.einsum("nk,nk->n", fitted.vectors, fitted.vectors) + fitted.noise  # sd^2
        self.deviations = sd = np.sqrt(np.maximum(variances, np.finfo(np.float32).tiny))  # (n_movies,)
        super().__init__(fitted.vectors, fitted.base * np.float32(b), (sd / sd.mean()) ** -p)
        self.fitted, self.settings, self.policy = fitted, settings, policy
        self.means = fitted.means.astype(np.float64)
        self.movie_noise: np.ndarray = fitted.noise.astype(np.float64)
        self._values = {
            FAVORITE: 1.0,
            LIKE: 1.0,
            DISLIKE: settings.low_value,
            NOT_INTERESTED: 0.0,
            LATER: 1.0,
            SEEN: 1.0,
            TEXT: 1.0,
        }
        self._trust = {**dict.fromkeys(self._values, 1.0), NOT_INTERESTED: policy.not_interested_weight}
        self._trust[LATER] = self._trust[SEEN] = policy.later_weight

    def with_policy(self, policy: PolicySettings) -> ConditionalGaussian:
        return ConditionalGaussian(self.fitted, self.settings, policy)

    def event_weights(self, events: Sequence[Event], rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        trust = np.array([self._trust.get(event.answer, 0.0) for event in events])
        if not trust.all():  # a skip, and what the policy gives no weight
            weights, heard = np.zeros(len(events)), trust > 0
            others = [event for event, hears in zip(events, heard) if hears]
            weights[heard] = self.event_weights(others, rows[heard], vectors[heard])
            return weights
        y = np.array([self._values[event.answer] for event in events])
        later = np.array([event.answer in (LATER, SEEN) for event in events], dtype=bool)
        noise, mu = self.movie_noise.take(rows) / np.where(later, 1.0, trust), self.means.take(rows)
        for i, event in enumerate(events):
            if event.item is not None:
                noise[i], mu[i] = event.item.noise / event.item.weight, 0.0
        own = np.einsum("nk,nk->n", vectors, vectors)[later]
        noise[later] = (own + noise[later]) / self.policy.later_weight - own
        if len(rows) > vectors.shape[1] and noise.all():  # k equations instead of n_events: the Woodbury identity
            scaled, inner = vectors / noise[:, None], np.eye(vectors.shape[1])
            inner += vectors.T @ scaled
            return (y - mu) / noise - scaled @ np.linalg.solve(inner, scaled.T @ (y - mu))
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
