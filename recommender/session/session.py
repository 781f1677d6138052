"""A session as an object, with what can be said in it and taken back, and a suggestion with its reasons."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np

from ..data.errors import ChoiceError
from .engine import SessionEngine
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

    def __repr__(self) -> str:
        return f"Recommendation({self.movie}, score={self.score:.2f})"


class Session:
    """A session as an object that remembers its states: `state`, the present one, is a value to keep or send.

    It can be pickled, and shared by threads: each call is one whole step, and an answer is heard once, for the movie
    on the table, or refused.
    """

    def __init__(
        self, engine: SessionEngine, state: SessionState, asked: bool = False, before: Sequence[SessionState] = ()
    ) -> None:
        """before: the states that `undo` goes back to, oldest first."""
        self.engine, self.state, self._asked, self._before = engine, state, asked, [*before]
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.engine, self.state, self._asked, self._before)

    def next(self) -> Optional[Recommendation]:
        """Return the next movie, or None when nothing is left; a movie left without an answer counts as skipped."""
        with self._lock:
            if self._asked:
                self._enter(self.engine.step(self.state, SKIP))
            state, self._asked = self.state, self.state.current is not None
        return Recommendation(self.engine, state) if state.current is not None else None

    def answer(self, answer: str) -> None:
        """Answer the movie that `next()` gave by one of `ANSWERS`; raises `ChoiceError` for other words."""
        with self._lock:
            if not self._asked:
                raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
            self._enter(self.engine.step(self.state, answer))

    def tell(self, text: str) -> None:
        """Say in words of your own what you want; raises `ChoiceError`, and changes nothing, where they say nothing."""
        self.change(self.engine.tell, text)

    def change(self, method: Callable[..., SessionState], *given: Any) -> None:
        """Take over what a method of the engine, such as `add_favorite` or `set_filter`, makes of the state."""
        with self._lock:
            self._enter(method(self.state, *given))

    def _enter(self, state: SessionState) -> None:
        self._before.append(self.state)
        self.state, self._asked = state, False

    def undo(self) -> None:
        """Take back what was said last, whatever it was; after an answer `next()` gives that movie again.

        What was said before this object began, as in a profile, is taken back as `SessionEngine.undo` does.
        """
        with self._lock:
            self.state, self._asked = self._before.pop() if self._before else self.engine.undo(self.state), False

    @property
    def user_vector(self) -> np.ndarray:
        """What was learned of the person, (k,) float32, a copy."""
        return self.engine.rule.user_vector(self.state.events)
