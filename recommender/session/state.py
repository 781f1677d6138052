"""What a session is made of: what the person said so far, what their words mean, and the terms of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional, Protocol

import numpy as np

from ..data.catalog import Movie
from .rules import FAVORITE, Event, PseudoItem


class Utterance(NamedTuple):
    """What the person said in words of their own, and how many movies had been answered by then."""

    text: str
    after: int = 0


class TextSignal(NamedTuple):
    """fit: (n_movies,) float32, higher is nearer to the text.  item: for the rule; None where nothing is to be made."""

    fit: np.ndarray
    item: Optional[PseudoItem]


class TextEncoder(Protocol):
    """Whoever makes something of words: `recommender.session.queries.FreeText`, or what opens it when asked."""

    def encode(self, text: str) -> TextSignal:
        """Return what `text` says of the movies; raises `ChoiceError` where it says nothing."""


@dataclass(frozen=True)
class SessionState:
    """What was said so far, and the movie on the table (a movie row, or None when nothing is left)."""

    favorites: tuple[int, ...]
    answers: tuple[Event, ...] = ()
    current: Optional[int] = None
    seed: int = 0
    utterances: tuple[Utterance, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """The favorites and answers, all about movies, in order; words are in `utterances`."""
        return tuple(Event(row, FAVORITE) for row in self.favorites) + self.answers


class Reason(NamedTuple):
    """One term of a score. `kind`: "favorite", "like", "dislike" or "skip" (with the movie), "words" (with the text
    that the person said: what the rule makes of it, and how well the movie fits it), "average" (what the model gives
    the movie without knowing the person), or a term of the policy: "genre", "popularity", "diversity"."""

    kind: str
    movie: Optional[Movie]
    value: float
    text: str = ""
