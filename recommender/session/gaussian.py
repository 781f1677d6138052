"""Learn from every answer at once: the conditional mean of a Gaussian over all movies.

What a person would say about the movies is a draw from N(mu, V V' + diag(psi)): k shared tastes and a part of each
movie alone (fitted in taste_covariance.py). Given the answers y about the movies O, each with a noise that has psi in
it, the expectation of all others is (Bishop, Pattern Recognition and Machine Learning, 2006, equation 2.81)

    w       = inv(V_O V_O' + diag(noise_O)) (y - mu_O)  =  (y - mu_O - V_O u) / noise_O
    score_i = b base_i + sd_i^-p  sum over o in O of  w_o (v_o . v_i)        sd_i^2 = |v_i|^2 + noise_i

where base_i is the share of people who like movie i, a little less for what everybody knows. Answers are weighed by how
they come together: a second movie of a kind adds less than the first, and a like of a movie that everybody likes adds
less than a like of a rare one. y is 1 for a favorite, a like and later, `low_value` for a dislike, 0 for not
interested, whose noise is divided by its weight; a skip says nothing. For later the whole variance of the answer,
|v_o|^2 + noise_o, is divided by its weight c: alone it moves every score c times as far as a like would, while divided
noise alone would hardly hold back a well-known movie, whose |v_o| is large beside it. A pseudo-item is liked; it has a
vector and a noise of its own, and mu = 0.

u = V_O' w are the tastes. A Kalman filter (13.89 to 13.92 there) has them without w, block of answers by block, from
u = 0 and P = I, kept where a block ends: a turn costs as much after a thousand answers as after ten.

    S = V_o P V_o' + diag(noise_o)     u <- u + P V_o' inv(S) (y - mu_o - V_o u)     P <- P - P V_o' inv(S) V_o P

With p = 0 and b = 1 the score is the expectation itself. Most of the variance lies in what many rated, so the
expectation favors it; divided by the deviation, the score says how surprising the answers make a like of the movie.
`familiarity` f moves both along the frontier that the replay measured: p = 1 - f, b = 0.2 + 0.8 f^1.5. sd is relative
to its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data import artifacts
from ..data.settings import setting
from .policy import PolicySettings
from .rules import VectorRule
from .state import ANSWERS, DISLIKE, FAVORITE, LATER, NO_ROW, NOT_INTERESTED, SEEN, SKIP, TEXT, Event

LEAST_NOISE = 1e-9  # of an answer: as good as exactly known
BLOCK, N_KEPT = 32, 16  # answers heard together, ends of blocks kept: k^2 numbers each
KINDS, MILD = (FAVORITE, *ANSWERS, TEXT), (LATER, SEEN)
_CODES = {kind: code for code, kind in enumerate(KINDS)}
_IS_MILD = np.isin(KINDS, MILD)
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


class Known(NamedTuple):
    """The tastes after some events: mean u (k,) and covariance P (k, k), float64."""

    events: list[Event]
    tastes: np.ndarray
    covariance: np.ndarray


class ConditionalGaussian(VectorRule):
    """The rule of the header; `policy` gives familiarity and the weights of later and not interested.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(BLOCK k^2) where the session was scored lately with
    less said, O(n_events k^2) otherwise.
    """

    has_familiarity = True
    # of the last sessions, newest first; replaced as a whole, so that threads may share it
    _kept: tuple[Known, ...] = ()

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, policy: Optional[PolicySettings] = None) -> None:
        policy = policy or PolicySettings()
        p, b = 1 - policy.familiarity, 0.2 + 0.8 * policy.familiarity**1.5
        variances = np.einsum("nk,nk->n", fitted.vectors, fitted.vectors) + fitted.noise  # sd^2
        self.deviations = sd = np.sqrt(np.maximum(variances, np.finfo(np.float32).tiny))  # (n_movies,)
        super().__init__(fitted.vectors, fitted.base * np.float32(b), (sd / sd.mean()) ** -p)
        self.fitted, self.settings, self.policy = fitted, settings, policy
        self.means = fitted.means.astype(np.float64)
        self.movie_noise: np.ndarray = fitted.noise.astype(np.float64)
        k = fitted.vectors.shape[1]
        self._unknown = Known([], np.zeros(k), np.eye(k))
        self._values = np.array([{DISLIKE: settings.low_value, NOT_INTERESTED: 0.0}.get(kind, 1.0) for kind in KINDS])
        trust = {SKIP: 0.0, NOT_INTERESTED: policy.not_interested_weight}
        trust |= dict.fromkeys(MILD, policy.later_weight)
        self._trust = np.array([trust.get(kind, 1.0) for kind in KINDS])

    def with_policy(self, policy: PolicySettings) -> ConditionalGaussian:
        return ConditionalGaussian(self.fitted, self.settings, policy)

    def unit_vectors(self) -> np.ndarray:
        """Return vectors whose products are the correlations of the answers to two movies, (n_movies, k) float32."""
        return np.asarray(self.movie_vectors / self.deviations[:, None])

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        return self._tastes(events).astype(np.float32)

    def _tastes(self, events: Sequence[Event]) -> np.ndarray:
        """Return u, (k,) float64."""
        words = list(filter(itemgetter(2), events))  # last: a Gaussian does not mind the order
        events = [event for event in events if not event.item] if words else list(events)
        fitting = (one for one in self._kept if events[: len(one.events)] == one.events)
        known = max(fitting, key=lambda one: len(one.events), default=self._unknown)
        while len(events) - len(known.events) >= BLOCK:
            block = events[len(known.events) :][:BLOCK]
            tastes, VP, S = self._learned(known, block)
            known = Known(known.events + block, tastes, known.covariance - VP.T @ np.linalg.solve(S, VP))
        if known.events:
            others = [one for one in self._kept if one is not known]
            self._kept = (known, *others[: N_KEPT - 1])
        return self._learned(known, events[len(known.events) :] + words)[0]

    def _learned(self, known: Known, events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return u after `events`, V P and S = V P V' + diag(noise) of these."""
        _, V, noise, surprise = self._equations(events)
        VP = V @ known.covariance
        S = VP @ V.T + np.diag(noise)
        return known.tastes + np.linalg.solve(S, surprise - V @ known.tastes) @ VP, VP, S

    def event_weights(self, events: Sequence[Event]) -> np.ndarray:
        heard, V, noise, surprise = self._equations(events)
        weights = np.zeros(len(events))
        weights[heard] = (surprise - V @ self._tastes(events)) / noise
        return weights

    def _equations(self, events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return which events say something, and v, noise and y - mu of those."""
        rows, vectors = self.vectors_of(events)
        kinds = np.fromiter(map(_CODES.__getitem__, map(itemgetter(1), events)), np.int64, len(events))
        trust = self._trust[kinds]
        heard = np.flatnonzero(trust)  # not a skip, nor what the policy gives no weight
        rows, kinds, trust, V = rows[heard], kinds[heard], trust[heard], vectors.take(heard, axis=0)
        noise, surprise = self.movie_noise.take(rows), self._values[kinds] - self.means.take(rows)
        for place in np.flatnonzero(rows == NO_ROW).tolist():
            item = events[heard[place]].item
            noise[place], surprise[place] = item.noise / item.weight, 1.0
        mild = _IS_MILD[kinds]
        own = np.einsum("nk,nk->n", V[mild], V[mild])
        noise /= trust
        noise[mild] += own * (1 / trust[mild] - 1)  # (|v|^2 + noise) / c - |v|^2
        return heard, V, np.maximum(noise, LEAST_NOISE), surprise


def load_gaussian(folder: Path, catalog_ids: np.ndarray) -> tuple[Gaussian, GaussianSettings]:
    """Read what `taste_covariance.save_gaussian` wrote; `catalog_ids`: the caller's movie ids, ascending.

    Raises `ArtifactError` for files that are missing, damaged, of another run, or fitted on other movies.
    """
    stored = artifacts.restore(folder, KIND, REMEDY, GaussianSettings, movie_ids=catalog_ids)
    arrays = stored.read({FILE: dict.fromkeys(("vectors", "means", "noise", "base"), np.float32)})
    return Gaussian(**arrays, n_users=int(stored.about.get("n_users", 0))), stored.settings
