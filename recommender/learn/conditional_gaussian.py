"""Learn from every answer at once: the conditional mean of a Gaussian over all films.

What a person would say about the films is a draw x ~ N(mu, C), C = V V' + diag(psi): k shared tastes and a part of
each film alone. Told the answers y about the films O, the expectation of all others is (Bishop, Pattern Recognition
and Machine Learning, 2006, equation 2.81)

    a       = inv(V_O V_O' + diag(psi_O + noise)) (y - mu_O)
    score_i = base_i + sum over o in O of  a_o (v_o . v_i)
    base_i  = mu_i - popularity_discount * ln(1 + 1000 count_i / n)

so every favourite and every answer has one term, and the terms are the explanation. Answers are told apart by how
they come together: a second film of a kind adds less than the first, and a like of a film that everybody likes
adds less than a like of a rare one.

Fitted on n people: a rating of at least 4 counts 1, of 3 or 3.5 `middling_value`, a lower one `low_value`, a film
that was not rated 0. mu is the mean of each film's column; V V' the best rank-k part of the covariance, from a
truncated SVD of the centred matrix (probabilistic PCA with a variance for each film, Tipping and Bishop 1999, fitted
in one step instead of by EM); psi what the variance of a column has beyond |v|^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..interactions import Interactions
from ..rules import DISLIKE, FAVORITE, LIKE, SKIP, Event, LearningRule
from ..settings import setting
from .randomized_svd import randomized_svd
from .sparse import SparseMatrix

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LIKED, MIDDLING = 4.0, 3.0


@dataclass(frozen=True)
class GaussianSettings:
    """How the Gaussian is fitted, and what does not change from one person to the next."""

    rank: int = setting(64, "k: how many shared tastes", 1)
    middling_value: float = setting(0.4, "what a rating of 3 or 3.5 counts where 4 and more count 1", 0, 1)
    low_value: float = setting(0.1, "what a rating below 3 counts; also the value of a dislike", 0, 1)
    noise: float = setting(2.0, "noise variance of an answer is this / sqrt(n_users)", 0)
    popularity_discount: float = setting(0.02, "taken from the base of a film that many rated", 0)
    seed: int = setting(0, "seed of the SVD's start", 0)


class Gaussian(NamedTuple):
    """What is fitted. vectors: (n_movies, k) float32, V.  means, residuals, shares: (n_movies,) float32: mu, psi, and
    the share of the people who rated each film.  n_users: how many people it was fitted on."""

    vectors: F32
    means: F32
    residuals: F32
    shares: F32
    n_users: int


def fit_gaussian(train: Interactions, settings: GaussianSettings) -> Gaussian:
    """Fit to the ratings of `train`; people without a rating do not count.

    Cost: that of a truncated SVD of rank k. Deterministic for one seed.
    """
    indptr = train.indptr[np.concatenate(([True], np.diff(train.indptr) > 0))]
    n = len(indptr) - 1
    values = answer_values(train.ratings, settings)
    columns, n_movies = train.movie_rows, train.n_movies
    means = np.bincount(columns, weights=values, minlength=n_movies) / n
    variances = np.bincount(columns, weights=values.astype(np.float64) ** 2, minlength=n_movies) / n - means**2
    matrix = CentredMatrix(indptr, columns, values, n_movies, means)
    rank = min(settings.rank, n, n_movies)
    _, s, Vt = randomized_svd(matrix, rank, np.random.default_rng(settings.seed))
    vectors = Vt.T * (s / np.float32(np.sqrt(n)))
    residuals = np.maximum(variances - (vectors.astype(np.float64) ** 2).sum(axis=1), 0.0)
    shares = train.movie_counts() / n
    return Gaussian(vectors, means.astype(np.float32), residuals.astype(np.float32), shares.astype(np.float32), n)


def answer_values(ratings: F32, settings: GaussianSettings) -> F32:
    """Return what each rating counts, float32.

    >>> answer_values(np.array([5, 4, 3.5, 2.5], dtype=np.float32), GaussianSettings()).round(1).tolist()
    [1.0, 1.0, 0.4000000059604645, 0.10000000149011612]
    """
    values = np.where(ratings >= MIDDLING, settings.middling_value, settings.low_value)
    return np.where(ratings >= LIKED, 1.0, values).astype(np.float32)


class CentredMatrix(SparseMatrix):
    """A sparse matrix minus the mean of each column, without ever filling it in: (A - 1 mu') X = A X - 1 (mu' X)."""

    def __init__(
        self, indptr: npt.NDArray[np.int64], columns: npt.NDArray[np.int32], values: F32, n_columns: int, means: F64
    ) -> None:
        super().__init__(indptr, columns, values, n_columns)
        self.means = means.astype(np.float32)

    def times(self, X: F32) -> F32:
        return super().times(X) - self.means @ X

    def gram_times(self, X: F32) -> F32:
        return super().gram_times(X) - np.outer(self.means * np.float32(self.shape[0]), self.means @ X)

    def transposed_times(self, Y: F32) -> F32:
        return super().transposed_times(Y) - np.outer(self.means, Y.sum(axis=0))

    def energy(self) -> float:
        return super().energy() - self.shape[0] * float(self.means.astype(np.float64) @ self.means)

    def dense(self) -> F32:
        return super().dense() - self.means


class ConditionalGaussian(LearningRule):
    """The rule of the header. `skip_weight` divides the noise variance of a skip's answer, psi included: 1 takes a
    skip as surely as another answer, 0 not at all.

    Cost of `scores`: one matrix-vector product O(n_movies k), and O(n_events^2 (k + n_events)) to solve.
    """

    def __init__(self, fitted: Gaussian, settings: GaussianSettings, skip_weight: float = 1.0) -> None:
        # Column after column in memory, the product over all movies takes half the time that rows take.
        self.movie_vectors = np.asfortranarray(fitted.vectors, dtype=np.float32)
        self.n_movies = len(fitted.means)
        self.settings = settings
        self.skip_weight = skip_weight
        discount = settings.popularity_discount * np.log1p(1000.0 * fitted.shares.astype(np.float64))
        self.base = (fitted.means - discount).astype(np.float32)
        self._means = fitted.means.astype(np.float64)
        self._noise = fitted.residuals + settings.noise / np.sqrt(fitted.n_users)
        self._targets = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: settings.low_value, SKIP: 0.0}

    def weights(self, events: Sequence[Event]) -> F64:
        """Return a_o for every event, (n_events,) float64."""
        result = np.zeros(len(events))
        used = [i for i, event in enumerate(events) if event.answer != SKIP or self.skip_weight > 0]
        if not used:
            return result
        rows = [events[i].row for i in used]
        answers = [events[i].answer for i in used]
        trust = np.array([self.skip_weight if answer == SKIP else 1.0 for answer in answers])
        told = np.array([self._targets[answer] for answer in answers])
        V = self.movie_vectors[rows].astype(np.float64)  # (n_used, k)
        covariance = V @ V.T
        covariance[np.diag_indices_from(covariance)] += self._noise[rows] / trust
        result[used] = np.linalg.solve(covariance, told - self._means[rows])
        return result

    def user_vector(self, events: Sequence[Event]) -> F32:
        rows = [event.row for event in events]
        return (self.weights(events) @ self.movie_vectors[rows]).astype(np.float32)

    def scores(self, events: Sequence[Event]) -> F32:
        result: F32 = self.movie_vectors @ self.user_vector(events)
        result += self.base
        return result

    def contributions(self, events: Sequence[Event], rows: npt.NDArray[np.int64]) -> F64:
        told = self.movie_vectors[[event.row for event in events]].astype(np.float64)
        terms = self.weights(events)[:, None] * (told @ self.movie_vectors[rows].T.astype(np.float64))
        return np.vstack([self.base[rows].astype(np.float64), terms])
