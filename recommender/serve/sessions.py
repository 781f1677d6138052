"""Sessions between requests: a state as JSON, what to take back, and what a page shows of it.

`before` lists for each change what it has replaced: {field: old value}, of a list {field: [n, old end]}, where the
first n entries stayed. So any change can be undone, and the content grows by what is said.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Optional

import numpy as np

from ..data.errors import ChoiceError
from ..facade import Recommender
from ..session.engine import SessionEngine
from ..session.policy import MovieFilter, shared_names
from ..session.session import Recommendation
from ..session.state import LATER, Event, SessionState, Utterance
from .database import Database, Saved
from .map import TasteMap
from .problems import Conflict

_LISTS = ("favorites", "answers", "words")
_AGAIN = 20
Step = Callable[[SessionState], SessionState]


class _Engine(SessionEngine):
    """Scores once what the choice of a movie and the place on the map both ask for."""

    _last: tuple[Optional[SessionState], np.ndarray] = (None, np.zeros(0))

    def points(self, state: SessionState, answered: Optional[np.ndarray] = None) -> np.ndarray:
        asked, (known, points) = state._replace(current=None), self._last
        if known != asked:
            points = super().points(state, answered)
            self._last = (asked, points)
        return points.copy()


class Sessions:
    """The sessions of a database."""

    def __init__(self, recommender: Recommender, database: Database, tastes: Optional[TasteMap]) -> None:
        """tastes: None where no map is drawn."""
        self.catalog = recommender.catalog
        of_all = recommender.engine()
        self.engine = _Engine(of_all.catalog, of_all.rule, of_all.policy, of_all.wanted, of_all.encode)
        self.database, self.tastes = database, tastes
        self.ids = self.catalog.movie_ids.tolist()
        self.full = [_movie(recommender, row) for row in range(len(self.catalog))]
        kept = ("movie_id", "title", "year", "genres", "tmdb_id", "imdb_id")
        self.short = [{key: movie[key] for key in kept} for movie in self.full]

    def start(self, state: SessionState, owner: str, person: Optional[str]) -> Saved:
        """Store a new session, with its first movie on the table."""
        if not state.favorites and not state.utterances and not state.answers:
            raise ChoiceError("no favorites: name at least one movie, or describe what you want")
        content = {**self.content(self.engine.resume(state)), "before": []}
        saved = Saved(secrets.token_urlsafe(16), owner, person, 0, content)
        self.database.add_session(saved)
        return saved

    def change(self, load: Callable[[], Saved], step: Step) -> Saved:
        """Store what `step` makes of the session that `load` reads, again where another request came first."""
        for _ in range(_AGAIN):
            saved = load()
            new = self.content(step(self.state(saved.content)))
            old = {key: saved.content[key] for key in new}
            replaced = {key: _cut(old[key], new[key]) for key in new if new[key] != old[key]}
            after = saved._replace(content={**new, "before": [*saved.content["before"], replaced]})
            if self.database.replace_session(after):
                return after
        raise Conflict("other requests change this session without end: ask again")

    def undo(self, load: Callable[[], Saved]) -> Saved:
        """Take back the last change."""
        for _ in range(_AGAIN):
            saved = load()
            *before, last = saved.content["before"] or [None]
            if last is None:
                raise Conflict("nothing to undo: this session has just begun")
            content = {**saved.content, "before": before}
            for key, old in last.items():
                content[key] = [*content[key][: old[0]], *old[1]] if key in _LISTS else old
            if self.database.replace_session(after := saved._replace(content=content)):
                return after
        raise Conflict("other requests change this session without end: ask again")

    def content(self, state: SessionState) -> dict[str, Any]:
        """Return a state as JSON, with movies by id."""
        return {
            "favorites": [self.ids[row] for row in state.favorites],
            "answers": [[self.ids[event.row], event.answer] for event in state.answers],
            "words": [list(said) for said in state.utterances],
            "current": None if state.current is None else self.ids[state.current],
            "filter": state.wanted and {key: _plain(value) for key, value in asdict(state.wanted).items()},
            "familiarity": state.familiarity,
        }

    def state(self, content: Mapping[str, Any]) -> SessionState:
        """Return what `content` made JSON of; movies that the catalogue has lost are left out."""
        known = [(i, answer) for i, answer in content["answers"] if i in self.catalog]
        current = content["current"] if content["current"] in self.catalog else None
        state = SessionState(
            tuple(self.catalog.row_of(i) for i in content["favorites"] if i in self.catalog),
            tuple(Event(self.catalog.row_of(i), answer) for i, answer in known),
            None if current is None else self.catalog.row_of(current),
            0,
            tuple(Utterance(*said) for said in content["words"]),
            content["filter"] and MovieFilter(**content["filter"]),
            content["familiarity"],
        )
        return state if current == content["current"] else self.engine.resume(state)

    def view(self, saved: Saved, why: bool = False) -> dict[str, Any]:
        """Return what is told of a session."""
        state, wanted = self.state(saved.content), MovieFilter(**(saved.content["filter"] or {}))
        said = Recommendation(self.engine, state) if why and state.current is not None else None
        about = self.about(state, state.current) if said and state.current is not None else {}
        years = {"year_from": wanted.first_year, "year_to": wanted.last_year}
        return {
            "session_id": saved.id,
            "user_id": saved.person,
            "movie": None if state.current is None else self.full[state.current],
            "score": said and said.score,
            "because": [because(reason, about.get(reason.kind, "")) for reason in said.because] if said else [],
            "favorites": [self.short[row] for row in state.favorites],
            "answers": [{"movie": self.short[one.row], "answer": one.answer} for one in state.answers],
            "words": [said.text for said in state.utterances],
            "watchlist": [self.short[one.row] for one in state.answers if one.answer == LATER],
            "familiarity": self.engine.familiarity(state) if self.engine.rule.has_familiarity else None,
            "filter": {"genres": wanted.genres, "exclude_genres": wanted.exclude_genres, **years},
            "point": self.tastes and self.tastes.point_of(self.engine, state),
        }

    def about(self, state: SessionState, row: int) -> dict[str, str]:
        """Return what stands behind terms of the policy: the shared traits, the affinity of the genres."""
        affinity = self.engine.context(state).affinity[row]
        return {"traits": shared_names(self.catalog, state.favorites, row), "genre": f"{affinity:.0%}"}


def because(reason: Any, about: str = "") -> dict[str, Any]:
    """Return a term of a score as JSON.  about: its text where it is not of what the person said."""
    movie = {"movie_id": reason.movie and reason.movie.movie_id, "title": reason.movie and str(reason.movie)}
    return {"kind": reason.kind, "text": reason.text or about, **movie, "value": reason.value}


def _movie(recommender: Recommender, row: int) -> dict[str, Any]:
    one = recommender.catalog.movie(row)
    return {
        "movie_id": one.movie_id, "title": one.title, "year": one.year or None, "genres": one.genres,
        "overview": one.overview, "director": one.director, "cast": one.cast, "language": one.original_language,
        "n_ratings": one.n_ratings, "tmdb_id": one.tmdb_id or None, "imdb_id": one.imdb_id or None,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _cut(old: Any, new: Any) -> Any:
    """Return what of `old` is not in `new`; see the head of this module."""
    if not isinstance(old, Sequence):
        return old
    n = next((i for i, pair in enumerate(zip(old, new)) if pair[0] != pair[1]), min(len(old), len(new)))
    return [n, old[n:]]
