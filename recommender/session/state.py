"""Records of a session: inputs, events for the learning rule, and the terms of a score."""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import Movie
from ..data.interactions import LIKED, NEUTRAL
from .policy import MovieFilter

FAVORITE, LIKE, DISLIKE, SKIP, TEXT = "favorite", "like", "dislike", "skip", "text"
NOT_INTERESTED, LATER = "not interested", "later"  # a mild no; a mild yes, for the watchlist
SEEN = "seen"  # without a rating, from an import: the same mild yes
ANSWERS = (LIKE, DISLIKE, SKIP, NOT_INTERESTED, LATER, SEEN)
NO_ROW = -1
NOT_SEEN = (LATER, SKIP)
_ROW = itemgetter(0)
STARS = {LIKE: 4.5, DISLIKE: 2.0, NOT_INTERESTED: 2.5}  # of an answer without a rating


def answer_for(stars: float) -> str:
    """Return what a rating means as an answer: 4 or more a like, 3 or 3.5 a mild no, less a dislike."""
    return LIKE if stars >= LIKED else NOT_INTERESTED if stars >= NEUTRAL else DISLIKE


class PseudoItem(NamedTuple):
    """A virtual liked movie that represents words.

    vector: (k,) float32 in the space of the rule's movie vectors.  noise: variance of an answer about it.
    weight: of the like, above 0 to 1; 1 = as an answer.  utterance: index of the words.
    """

    vector: np.ndarray
    noise: float = 0.0
    weight: float = 1.0
    utterance: int = 0


class Event(NamedTuple):
    """A movie row and "favorite" or one of `ANSWERS`; or row -1, "text" and a pseudo-item."""

    row: int
    answer: str
    item: Optional[PseudoItem] = None


class Utterance(NamedTuple):
    """Words of the person, and the number of answers before them."""

    text: str
    after: int = 0


class TextSignal(NamedTuple):
    """fit: (n_movies,) float32, higher is closer to the text.  contradictions: (n_movies,) float32, how many of its
    facts a movie contradicts.  item: for the rule; None where nothing is to be made.  read_as: the facts, for people.
    unknown: what the data lack.  vector: (d,) float32, x_q of texts.py, of any length."""

    fit: np.ndarray
    contradictions: np.ndarray
    item: Optional[PseudoItem]
    read_as: str = ""
    unknown: str = ""
    vector: Optional[np.ndarray] = None


class SessionState(NamedTuple):
    """All inputs so far, and the current movie (a row, or None if no movie is left).

    wanted, familiarity: what the person chose instead of the engine's; None = those.
    """

    favorites: tuple[int, ...]
    answers: tuple[Event, ...] = ()
    current: Optional[int] = None
    seed: int = 0
    utterances: tuple[Utterance, ...] = ()
    wanted: Optional[MovieFilter] = None
    familiarity: Optional[float] = None

    @property
    def events(self) -> tuple[Event, ...]:
        """The favorites and answers, in order; words are in `utterances`."""
        return (*[Event(row, FAVORITE) for row in self.favorites], *self.answers)

    @property
    def answered(self) -> np.ndarray:
        """The rows of the movies answered, in order, (n,) int64."""
        return np.fromiter(map(_ROW, self.answers), np.int64, len(self.answers))


class Reason(NamedTuple):
    """One term of a score. `kind`: "favorite" or one of `ANSWERS` (with the movie), "words" (with the text
    that the person said: what the rule makes of it, and how well the movie fits it), "average" (what the model gives
    the movie without knowing the person), or a term of the policy: "genre", "popularity", "diversity"."""

    kind: str
    movie: Optional[Movie]
    value: float
    text: str = ""
