"""A session as an object that remembers what was said, for scripts and threads."""

from __future__ import annotations

import functools
import threading
from typing import Any, Optional

import numpy as np

from ..data.errors import ChoiceError
from .engine import SessionEngine
from .policy import TERMS
from .state import SKIP, Reason, SessionState


class Recommendation:
    """A movie, its score, and why: `because` lists the terms, which add up to the score."""

    def __init__(self, engine: SessionEngine, state: SessionState) -> None:
        assert state.current is not None
        self._engine, self._state = engine, state
        self.movie = engine.catalog.movie(state.current)

    @functools.cached_property
    def because(self) -> tuple[Reason, ...]:
        return tuple(self._engine.explain(self._state))

    @property
    def score(self) -> float:
        return sum(reason.value for reason in self.because)

    @property
    def model_score(self) -> float:
        """The part of the score that the learning rule gave."""
        return sum(reason.value for reason in self.because if reason.kind not in TERMS)

    def __repr__(self) -> str:
        return f"Recommendation({self.movie}, score={self.score:.2f})"


class Session:
    """A session as an object that remembers its state, which is all that changes: `state` is a value to keep or send.

    It can be pickled, and shared by threads: each call is one whole step, and an answer is heard once, for the movie
    on the table, or refused.
    """

    def __init__(self, engine: SessionEngine, state: SessionState, asked: bool = False) -> None:
        self.engine, self.state, self._asked = engine, state, asked
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.engine, self.state, self._asked)

    def next(self) -> Optional[Recommendation]:
        """Return the next movie, or None when nothing is left; a movie left without an answer counts as skipped."""
        with self._lock:
            state = self.engine.step(self.state, SKIP) if self._asked else self.state
            self.state, self._asked = state, state.current is not None
        return Recommendation(self.engine, state) if state.current is not None else None

    def answer(self, answer: str) -> None:
        """Answer the movie that `next()` gave by "like", "dislike" or "skip"; raises `ChoiceError` for other words."""
        with self._lock:
            if not self._asked:
                raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
            self.state, self._asked = self.engine.step(self.state, answer), False

    def tell(self, text: str) -> None:
        """Say in words of your own what you want; raises `ChoiceError`, and changes nothing, where they say nothing."""
        with self._lock:
            self.state, self._asked = self.engine.tell(self.state, text), False

    def undo(self) -> None:
        """Take back what was said last: an answer, whose movie `next()` gives again, or words."""
        with self._lock:
            self.state, self._asked = self.engine.undo(self.state), False

    @property
    def user_vector(self) -> np.ndarray:
        """What was learned of the person, (k,) float32, a copy."""
        return self.engine.rule.user_vector(self.state.events)
