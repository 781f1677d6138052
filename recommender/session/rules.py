"""How answers become scores: the learning rule of a session, behind one small interface.

A rule sees the events of a session (favorites first, then answers and wishes, in order) and gives every movie a
score that is a base plus one term for each event:

    score_i = base_i + sum over events o of  w_o * kernel(o, i)

An event is about a movie or, where the person used words of their own, about a made-up one: a vector among those of
the movies. That sum is the explanation. A rule keeps no state between calls: the same
events give the same scores, so undo is to leave out the last event, and a saved session is its list of events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Optional

import numpy as np

from ..data.errors import ChoiceError

FAVORITE, LIKE, DISLIKE, SKIP, WISH = "favorite", "like", "dislike", "skip", "wish"
ANSWERS = (LIKE, DISLIKE, SKIP)
NO_ROW = -1


class Event(NamedTuple):
    """Something the person told us: a movie row and one of "favorite", "like", "dislike", "skip"."""

    row: int
    answer: str


class Wish(Event):
    """What the person asked for in words: an event about a movie that was never made, so its row is -1.

    vector: (k,) float32 in the space of the rule's movie vectors.  noise: variance of an answer to such a movie.
    weight: how sure the wish is, above 0 to 1; 1 = as an answer.
    """

    vector: np.ndarray
    noise: float
    weight: float

    def __new__(cls, vector: np.ndarray, noise: float = 0.0, weight: float = 1.0) -> Wish:
        wish = super().__new__(cls, NO_ROW, WISH)
        wish.vector, wish.noise, wish.weight = vector, noise, weight
        return wish


def told_vectors(movie_vectors: np.ndarray, events: Sequence[Event]) -> np.ndarray:
    """Return the vector of each event's movie, made up or not, (n_events, k) float32."""
    rows = [event.row for event in events]
    vectors = movie_vectors[rows]
    if NO_ROW in rows:
        for place, event in enumerate(events):
            if isinstance(event, Wish):
                vectors[place] = event.vector
    return vectors


class LearningRule(ABC):
    """Scores from events; `n_movies` is how many movies it scores.

    A rule that hears wishes has `movie_vectors` (n_movies, k) float32, and, where noise means something to it,
    `movie_noise` (n_movies,), the variance of an answer. One that does not hear them is never given any.
    """

    hears_wishes: ClassVar[bool] = False
    movie_vectors: np.ndarray
    movie_noise: Optional[np.ndarray] = None
    n_movies: int

    @abstractmethod
    def scores(self, events: Sequence[Event]) -> np.ndarray:
        """Return (n_movies,) float32, higher is better."""

    @abstractmethod
    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        """Return (1 + n_events, n_rows) float64: the base, then one line for each event.

        Column j adds up to `scores(events)[rows[j]]`, up to float32 rounding.
        """

    @abstractmethod
    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        """Return what the rule holds of the person, (k,) float32: a vector in the space of the movie vectors."""


class MovingAverage(LearningRule):
    """Exponential moving average of movie vectors.

    u = mean of the favorites' vectors; like: u <- (1 - a) u + a m; dislike: u <- (1 - a) u - a b m; skip: u stays;
    a wish of weight c: u <- (1 - a c) u + a c m, where the first of a session without favorites is u itself.
    score_i = base_i + u . m_i. Unrolled, u = sum of w_o m_o with w_o = 1/F, a, -a b or a c, times what later events
    leave of it; the terms are w_o (m_o . m_i).

    movie_vectors: (n_movies, k) float32.  learning_rate: a, 0 to 1.  negative_weight: b >= 0.
    base: (n_movies,) float32, the score that a movie has for anybody; None for 0.
    Cost of `scores`: one matrix-vector product, O(n_movies k).

    >>> rule = MovingAverage(np.eye(3, dtype=np.float32), learning_rate=0.25, negative_weight=0.5)
    >>> rule.scores([Event(0, "favorite"), Event(1, "like"), Event(2, "dislike")]).tolist()
    [0.5625, 0.1875, -0.125]
    """

    hears_wishes = True

    def __init__(
        self,
        movie_vectors: np.ndarray,
        learning_rate: float = 0.15,
        negative_weight: float = 0.5,
        base: Optional[np.ndarray] = None,
    ) -> None:
        # Two layouts: the product over all movies is twice as fast by columns, picking out a few movies by rows.
        self.movie_vectors = np.ascontiguousarray(movie_vectors, dtype=np.float32)
        self._columns = np.ascontiguousarray(self.movie_vectors.T)  # (k, n_movies)
        self.n_movies = len(movie_vectors)
        self.learning_rate = learning_rate
        self.negative_weight = negative_weight
        self.base = base

    def weights(self, events: Sequence[Event]) -> np.ndarray:
        """Return w_o for every event, (n_events,) float64."""
        a, b = self.learning_rate, self.negative_weight
        given = {FAVORITE: 1.0, LIKE: a, DISLIKE: -a * b, SKIP: 0.0}
        n_favorites = sum(event.answer == FAVORITE for event in events)
        weights = np.empty(len(events))
        decay = 1.0
        for i in range(len(events) - 1, -1, -1):
            event = events[i]
            if isinstance(event, Wish):
                step = a * event.weight if i or n_favorites else 1.0
                weights[i] = decay * step
                decay *= 1.0 - step
                continue
            answer = event.answer
            weights[i] = decay * given[answer] / (n_favorites if answer == FAVORITE else 1)
            if answer in (LIKE, DISLIKE):
                decay *= 1.0 - a
        return weights

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        return (self.weights(events) @ told_vectors(self.movie_vectors, events)).astype(np.float32)

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        result = self.user_vector(events) @ self._columns
        if self.base is not None:
            result += self.base
        return result

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        told = told_vectors(self.movie_vectors, events)
        table = np.zeros((1 + len(events), len(rows)))
        if self.base is not None:
            table[0] = self.base[rows]
        table[1:] = told @ self._columns[:, rows]  # float32: a quarter of the time, and exact enough
        table[1:] *= self.weights(events)[:, None]
        return table


def check_answer(answer: object) -> str:
    """Return the answer, or raise `ChoiceError` for anything but like, dislike and skip."""
    if answer not in ANSWERS:
        raise ChoiceError(f"{answer!r} is not an answer: give one of {', '.join(ANSWERS)}")
    return str(answer)
