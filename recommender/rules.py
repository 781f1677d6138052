"""How answers become scores: the learning rule of a session, behind one small interface.

A rule sees the events of a session (favourites first, then answers, in order) and gives every movie a score that
is a base plus one term for each event:

    score_i = base_i + sum over events o of  w_o * kernel(o, i)

That sum is the explanation. A rule keeps no state between calls: the same events give the same scores, so undo is
to leave out the last event, and a saved session is its list of events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import ChoiceError

FAVORITE, LIKE, DISLIKE, SKIP = "favorite", "like", "dislike", "skip"
ANSWERS = (LIKE, DISLIKE, SKIP)


class Event(NamedTuple):
    """Something the person told us: a movie row and one of "favorite", "like", "dislike", "skip"."""

    row: int
    answer: str


class LearningRule(ABC):
    """Scores from events; `n_movies` is how many movies it scores."""

    n_movies: int

    @abstractmethod
    def scores(self, events: Sequence[Event]) -> npt.NDArray[np.float32]:
        """Return (n_movies,) float32, higher is better."""

    @abstractmethod
    def contributions(self, events: Sequence[Event], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return (1 + n_events, n_rows) float64: the base, then one line for each event.

        Column j adds up to `scores(events)[rows[j]]`, up to float32 rounding.
        """

    @abstractmethod
    def user_vector(self, events: Sequence[Event]) -> npt.NDArray[np.float32]:
        """Return what the rule holds of the person, (k,) float32: a vector in the space of the movie vectors."""


class MovingAverage(LearningRule):
    """Exponential moving average of movie vectors.

    u = mean of the favourites' vectors; like: u <- (1 - a) u + a m; dislike: u <- (1 - a) u - a b m; skip: u stays.
    score_i = u . m_i. Unrolled, u = sum of w_o m_o with w_o = 1/F, a or -a b, times (1 - a) for every later like or
    dislike; the terms are w_o (m_o . m_i).

    movie_vectors: (n_movies, k) float32.  learning_rate: a, 0 to 1.  negative_weight: b >= 0.
    Cost of `scores`: one matrix-vector product, O(n_movies k).

    >>> rule = MovingAverage(np.eye(3, dtype=np.float32), learning_rate=0.25, negative_weight=0.5)
    >>> rule.scores([Event(0, "favorite"), Event(1, "like"), Event(2, "dislike")]).tolist()
    [0.5625, 0.1875, -0.125]
    """

    def __init__(
        self, movie_vectors: npt.NDArray[np.float32], learning_rate: float = 0.15, negative_weight: float = 0.5
    ) -> None:
        # Two layouts: the product over all movies is twice as fast by columns, picking out a few movies by rows.
        self.movie_vectors = np.ascontiguousarray(movie_vectors, dtype=np.float32)
        self._columns = np.ascontiguousarray(self.movie_vectors.T)  # (k, n_movies)
        self.n_movies = len(movie_vectors)
        self.learning_rate = learning_rate
        self.negative_weight = negative_weight

    def weights(self, events: Sequence[Event]) -> npt.NDArray[np.float64]:
        """Return w_o for every event, (n_events,) float64."""
        a, b = self.learning_rate, self.negative_weight
        given = {FAVORITE: 1.0, LIKE: a, DISLIKE: -a * b, SKIP: 0.0}
        n_favorites = sum(event.answer == FAVORITE for event in events)
        weights = np.empty(len(events))
        decay = 1.0
        for i in range(len(events) - 1, -1, -1):
            answer = events[i].answer
            weights[i] = decay * given[answer] / (n_favorites if answer == FAVORITE else 1)
            if answer in (LIKE, DISLIKE):
                decay *= 1.0 - a
        return weights

    def user_vector(self, events: Sequence[Event]) -> npt.NDArray[np.float32]:
        rows = [event.row for event in events]
        return (self.weights(events) @ self.movie_vectors[rows]).astype(np.float32)

    def scores(self, events: Sequence[Event]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = self.user_vector(events) @ self._columns
        return result

    def contributions(self, events: Sequence[Event], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        told = self.movie_vectors[[event.row for event in events]]
        table = np.zeros((1 + len(events), len(rows)))
        table[1:] = told @ self._columns[:, rows]  # float32: a quarter of the time, and exact enough
        table[1:] *= self.weights(events)[:, None]
        return table


def check_answer(answer: object) -> str:
    """Return the answer, or raise `ChoiceError` for anything but like, dislike and skip."""
    if answer not in ANSWERS:
        raise ChoiceError(f"{answer!r} is not an answer: give one of {', '.join(ANSWERS)}")
    return str(answer)
