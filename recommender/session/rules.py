"""How answers become scores: the learning rule of a session.

A rule sees the events of a session (favorites first, then answers and pseudo-items, in order) and gives every movie
a score that is a base plus one term for each event; the terms are the explanation:

    score_i = base_i + scale_i sum over events o of  w_o (v_o . v_i)  =  base_i + scale_i u . v_i

A rule keeps no state between calls: the same events give the same scores, so undo is to leave out the last event,
and a saved session is its list of events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import ClassVar, Optional

import numpy as np

from .policy import PolicySettings
from .state import DISLIKE, FAVORITE, LATER, LIKE, NO_ROW, NOT_INTERESTED, SEEN, SKIP, Event

_ONE = np.ones(1, dtype=np.float32)


class LearningRule(ABC):
    """Scores from events."""

    has_familiarity: ClassVar[bool] = False  # whether that setting of the policy changes the scores

    def with_policy(self, policy: PolicySettings) -> LearningRule:
        """Return the rule under another policy; the rule itself, where no setting of it can change in a session."""
        return self

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
        """Return u, what the rule holds of the person, (k,) float32."""


class VectorRule(LearningRule):
    """The formula of the header over movie vectors (n_movies, k); a subclass says how much each event weighs.

    base: (n_movies,) float32, the score that a movie has for anybody; None for 0.  scale: (n_movies,), None for 1.
    movie_noise: (n_movies,), the variance of an answer, where the rule has one.
    Cost of `scores`: one matrix-vector product, O(n_movies k), and that of `event_weights`.
    """

    movie_noise: Optional[np.ndarray] = None

    def __init__(
        self, movie_vectors: np.ndarray, base: Optional[np.ndarray] = None, scale: Optional[np.ndarray] = None
    ) -> None:
        # Two layouts: the product over all movies is twice as fast by columns, picking out a few movies by rows.
        self.movie_vectors = np.ascontiguousarray(movie_vectors, dtype=np.float32)
        # The base is one column more, whose weight is always 1: a pass over all movies less.
        n_movies, k = self.movie_vectors.shape
        self._columns = np.empty((k + (base is not None), n_movies), dtype=np.float32)
        np.multiply(
            self.movie_vectors.T, np.float32(1) if scale is None else scale.astype(np.float32), self._columns[:k]
        )
        if base is not None:
            self._columns[k] = base
        self.base = base

    @abstractmethod
    def event_weights(self, events: Sequence[Event]) -> np.ndarray:
        """Return w_o for every event, (n_events,) float64."""

    def vectors_of(self, events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
        """Return the row (n_events,) and v_o (n_events, k) float64 of every event."""
        rows = np.fromiter(map(itemgetter(0), events), np.int64, len(events))
        vectors = self.movie_vectors.take(rows, axis=0).astype(np.float64)
        for place in np.flatnonzero(rows == NO_ROW).tolist():
            vectors[place] = events[place].item.vector
        return rows, vectors

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        return (self.event_weights(events) @ self.vectors_of(events)[1]).astype(np.float32)

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        user = self.user_vector(events)
        return np.asarray((user if self.base is None else np.concatenate((user, _ONE))) @ self._columns)

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        vectors = self.vectors_of(events)[1].astype(np.float32)  # exact enough, in a quarter of the time
        table = np.zeros((1 + len(events), len(rows)))
        if self.base is not None:
            table[0] = self.base[rows]
        table[1:] = vectors @ self._columns[: vectors.shape[1], rows]
        table[1:] *= self.event_weights(events)[:, None]
        return table


class MovingAverage(VectorRule):
    """Exponential moving average of movie vectors.

    u = mean of the favorites' vectors; like: u <- (1 - a) u + a m; dislike: u <- (1 - a) u - a b m; skip: u stays;
    later, and a pseudo-item, of weight c: u <- (1 - a c) u + a c m; not interested: u <- (1 - a c) u - a b c m.
    A pseudo-item that opens a session without favorites is u itself. Unrolled, w_o = 1/F or the factor of m, times what
    later events leave of it. a, b and the weights of later and not interested are settings of `policy`.

    >>> rule = MovingAverage(np.eye(3, dtype=np.float32), PolicySettings(learning_rate=0.25, negative_weight=0.5))
    >>> rule.scores([Event(0, "favorite"), Event(1, "like"), Event(2, "dislike")]).tolist()
    [0.5625, 0.1875, -0.125]
    """

    def __init__(
        self, movie_vectors: np.ndarray, policy: Optional[PolicySettings] = None, base: Optional[np.ndarray] = None
    ) -> None:
        super().__init__(movie_vectors, base)
        self.policy = policy = policy or PolicySettings()
        a, b = policy.learning_rate, policy.negative_weight
        mild_yes, mild_no = a * policy.later_weight, a * policy.not_interested_weight
        # answer -> its step, and the sign and size of m in it
        self._steps = {
            LIKE: (a, 1),
            LATER: (mild_yes, 1),
            SEEN: (mild_yes, 1),
            DISLIKE: (a, -b),
            NOT_INTERESTED: (mild_no, -b),
            SKIP: (0, 0),
        }

    def event_weights(self, events: Sequence[Event]) -> np.ndarray:
        n_favorites = [event.answer for event in events].count(FAVORITE)
        weights = np.empty(len(events))
        decay = 1.0  # what the events after this one leave of it
        for i in range(len(events) - 1, -1, -1):
            _, answer, item = events[i]
            if answer == FAVORITE:
                weights[i] = decay / n_favorites
                continue
            if item is None:
                step, factor = self._steps[answer]
            else:
                step, factor = (self.policy.learning_rate * item.weight if i or n_favorites else 1.0), 1
            weights[i] = decay * step * factor
            decay *= 1.0 - step
        return weights
