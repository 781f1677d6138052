"""What a session is made of: what the person said so far, what is heard in words, and the terms of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional, Protocol

import numpy as np

from ..data.catalog import Movie
from .rules import FAVORITE, Event, Wish


class Words(NamedTuple):
    """What the person said in words of their own, and how many movies had been answered by then."""

    text: str
    after: int = 0


class Heard(NamedTuple):
    """fit: (n_movies,) float32, higher is nearer to the words.  wish: for the rule; None where it hears none."""

    fit: np.ndarray
    wish: Optional[Wish]


class Listener(Protocol):
    """Whoever can make something of words: `recommender.session.queries.FreeText`, or what opens it when asked."""

    def hear(self, text: str) -> Heard:
        """Return what `text` says of the movies; raises `ChoiceError` where it says nothing."""


@dataclass(frozen=True)
class SessionState:
    """What was said so far, and the movie on the table (a movie row, or None when nothing is left)."""

    favorites: tuple[int, ...]
    answers: tuple[Event, ...] = ()
    current: Optional[int] = None
    seed: int = 0
    words: tuple[Words, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """The favorites and answers, all about movies, in order; words are in `words`."""
        return tuple(Event(row, FAVORITE) for row in self.favorites) + self.answers


class Reason(NamedTuple):
    """One term of a score. `kind`: "favorite", "like", "dislike" or "skip" (with the movie), "words" (with the text
    that the person said: what it tells the model, and how well the movie fits it), or "average" (what the model gives
    the movie without knowing the person), "genre", "popularity", "diversity" (without)."""

    kind: str
    movie: Optional[Movie]
    value: float
    text: str = ""
