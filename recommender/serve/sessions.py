"""Sessions: their endpoints, a state as JSON between requests, what to take back, and what a page shows of it.

`before` lists for each change what it has replaced: {field: old value}, of a list {field: [n, old end]}, where the
first n entries stayed. So any change can be undone, and the content grows by what is said.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Optional, TypeVar

import numpy as np
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..data.errors import ChoiceError
from ..people.matching import EMPTY
from ..people.store import BusyError
from ..session.engine import SessionEngine
from ..session.policy import MovieFilter, shared_names
from ..session.profiles import state_of
from ..session.session import Recommendation
from ..session.state import LATER, Event, SessionState, Utterance
from . import shapes
from .database import Saved
from .map import TasteMap
from .parts import Json, Parts, because, caller, check
from .people import People

_LISTS = ("favorites", "answers", "words")
_AGAIN = 20
Content = dict[str, Any]
Result = TypeVar("Result")


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
    """The endpoints of sessions."""

    def __init__(self, parts: Parts, people: People, tastes: Optional[TasteMap]) -> None:
        """tastes: None where no map is drawn."""
        of_all = parts.recommender.engine()
        self.engine = _Engine(of_all.catalog, of_all.rule, of_all.policy, of_all.wanted, of_all.encode)
        self.parts, self.people, self.tastes = parts, people, tastes
        self.catalog, self.database = parts.catalog, parts.database
        self.ids = self.catalog.movie_ids.tolist()

    async def of_caller(self, request: Request) -> Response:
        """List the sessions of the token that asks: of its person, or those of nobody that it started."""
        owned = self.database.sessions("owner", _owner(request, caller(request).person))
        return Json({"sessions": [{"session_id": one.id, "user_id": one.person} for one in owned]})

    async def start(self, request: Request, given: shapes.NewSession) -> Response:
        """Start a session from favorites, from words, or from both."""
        person = given.user_id or caller(request).person
        if person:
            check(request, person)
        owner, most = _owner(request, person), self.parts.limits.sessions

        def work() -> Response:
            if self.database.n_sessions(owner) >= most:
                raise HTTPException(429, f"you have {most} sessions: go on with one of GET /sessions, or delete one")
            content = {**self.content(self.begun(given, person)), "before": []}
            saved = Saved(secrets.token_urlsafe(16), owner, person, 0, content)
            self.database.add_session(saved)
            return Json(self.view(saved), 201)

        return await self.written(work, slow=bool(given.words))  # which take ten times as long to read

    def begun(self, given: shapes.NewSession, person: Optional[str]) -> SessionState:
        """Return a new session after what is known of a person."""
        rows = [*map(self.parts.recommender.row_of, given.favorites)]
        before = state_of((person and self.people.profile(person)) or EMPTY, self.catalog)
        answers = tuple(event for event in before.answers if event.row not in rows)
        said = (*before.utterances, *(Utterance(text, len(answers)) for text in given.words))
        favorites = tuple(dict.fromkeys((*before.favorites, *rows)))
        state = SessionState(favorites, answers, None, 0, said, None, given.familiarity)
        if given.filter:
            state = self.engine.set_filter(state, self.parts.wanted(**dict(given.filter)))
        if not state.favorites and not state.utterances and not state.answers:
            raise ChoiceError("no favorites: name at least one movie, or describe what you want")
        return self.engine.resume(state)

    async def session(self, request: Request, session_id: str, why: shapes.Flag = False) -> Response:
        """Tell a session, and with `why` the terms that add up to the score of its movie."""
        return Json(self.view(self.saved(request, session_id), why))

    async def change(self, request: Request, session_id: str, given: shapes.Change) -> Response:
        """Change the dial, the filter or the favorites."""
        engine = self.engine

        def step(state: SessionState) -> SessionState:
            if given.add_favorite is not None:
                state = engine.add_favorite(state, self.parts.recommender.row_of(given.add_favorite))
            if given.drop_favorite is not None:
                state = engine.drop_favorite(state, self.catalog.row_of(given.drop_favorite))
            if given.familiarity is not None:
                state = engine.set_familiarity(state, given.familiarity)
            return engine.set_filter(state, self.parts.wanted(**dict(given.filter))) if given.filter else state

        return await self.stepped(request, session_id, step)

    async def answer(self, request: Request, session_id: str, given: shapes.Answered) -> Response:
        """Answer the movie on the table, or one of the watchlist anew: skip takes it off."""

        def step(state: SessionState) -> SessionState:
            for place, (row, answer, _) in enumerate(state.answers):
                if answer == LATER and self.ids[row] == given.movie_id:
                    answers = (*state.answers[:place], Event(row, given.answer), *state.answers[place + 1 :])
                    return self.engine.resume(state._replace(answers=answers))
            if state.current is None or self.ids[state.current] != given.movie_id:
                raise HTTPException(
                    409, f"movie {given.movie_id} is not on the table: ask for the session, and answer its movie"
                )
            return self.engine.step(state, given.answer)

        return await self.stepped(request, session_id, step)

    async def tell(self, request: Request, session_id: str, given: shapes.Told) -> Response:
        """Say in words what is wanted."""
        return await self.stepped(request, session_id, lambda state: self.engine.tell(state, given.text), slow=True)

    async def undo(self, request: Request, session_id: str) -> Response:
        """Take back the last change, whatever it was."""

        def undone(content: Content) -> Content:
            *before, last = content["before"] or [None]
            if last is None:
                raise HTTPException(409, "nothing to undo: this session has just begun")
            replaced = {key: [*content[key][: old[0]], *old[1]] if key in _LISTS else old for key, old in last.items()}
            return {**content, **replaced, "before": before}

        return await self.replaced(request, session_id, undone)

    async def end(self, request: Request, session_id: str) -> Response:
        """Delete a session."""
        id_ = self.saved(request, session_id).id
        await self.written(lambda: self.database.drop_session(id_))
        return Response(status_code=204)

    async def written(self, work: Callable[[], Result], slow: bool = False) -> Result:
        """Do what ends with one write: here, or in a thread where it takes long or has to wait for another writer."""
        with contextlib.suppress(BusyError):
            if not slow:
                with self.database.at_once():
                    return work()
        return await run_in_threadpool(work)

    async def stepped(
        self, request: Request, session_id: str, step: Callable[[SessionState], SessionState], slow: bool = False
    ) -> Response:
        """Store and tell what `step` makes of a session."""

        def changed(content: Content) -> Content:
            new = self.content(step(self.state(content)))
            replaced = {key: _cut(content[key], new[key]) for key in new if new[key] != content[key]}
            return {**new, "before": [*content["before"], replaced]}

        return await self.replaced(request, session_id, changed, slow)

    async def replaced(
        self, request: Request, session_id: str, change: Callable[[Content], Content], slow: bool = False
    ) -> Response:
        """Store what `change` makes of a session, again where another request came first; and tell it."""

        def work() -> Response:
            for _ in range(_AGAIN):
                saved = self.saved(request, session_id)
                after = saved._replace(content=change(saved.content))
                if self.database.replace_session(after):
                    return Json(self.view(after))
            raise HTTPException(409, "other requests change this session without end: ask again")

        return await self.written(work, slow)

    def saved(self, request: Request, session_id: str) -> Saved:
        """Return a session that the caller may see; that of another person is not there."""
        person = caller(request).person
        for found in self.database.sessions("id", session_id):
            if person in (None, found.person):
                return found
        raise HTTPException(404, "no such session: start one with POST /sessions")

    def content(self, state: SessionState) -> Content:
        """Return a state as JSON, with movies by id."""
        return {
            "favorites": [self.ids[row] for row in state.favorites],
            "answers": [[self.ids[event.row], event.answer] for event in state.answers],
            "words": [list(said) for said in state.utterances],
            "current": None if state.current is None else self.ids[state.current],
            "filter": state.wanted and json.loads(json.dumps(asdict(state.wanted))),  # lists, as they are read
            "familiarity": state.familiarity,
        }

    def state(self, content: Mapping[str, Any]) -> SessionState:
        """Return what `content` made JSON of; movies that the catalogue has lost are left out."""
        state, current = state_of({**EMPTY, **content}, self.catalog), content["current"]
        if current is None or current in self.catalog:
            return state._replace(current=None if current is None else self.catalog.row_of(current))
        return self.engine.resume(state)

    def view(self, saved: Saved, why: bool = False) -> dict[str, Any]:
        """Return what is told of a session."""
        state, short = self.state(saved.content), self.parts.short
        wanted = state.wanted or MovieFilter()
        said, about = None, {}  # what stands behind terms of the policy: shared traits, affinity of the genres
        if why and state.current is not None:
            said, affinity = Recommendation(self.engine, state), self.engine.context(state).affinity[state.current]
            about = {"traits": shared_names(self.catalog, state.favorites, state.current), "genre": f"{affinity:.0%}"}
        years = {"year_from": wanted.first_year, "year_to": wanted.last_year}
        return {
            "session_id": saved.id,
            "user_id": saved.person,
            "movie": None if state.current is None else self.parts.full[state.current],
            "score": said and said.score,
            "because": [because(reason, about.get(reason.kind, "")) for reason in said.because] if said else [],
            "favorites": [short[row] for row in state.favorites],
            "answers": [{"movie": short[one.row], "answer": one.answer} for one in state.answers],
            "words": [said.text for said in state.utterances],
            "watchlist": [short[one.row] for one in state.answers if one.answer == LATER],
            "familiarity": self.engine.familiarity(state) if self.engine.rule.has_familiarity else None,
            "filter": {"genres": wanted.genres, "exclude_genres": wanted.exclude_genres, **years},
            "point": self.tastes and self.tastes.point_of(self.engine, state),
        }


def _owner(request: Request, person: Optional[str]) -> str:
    """Return whose limit a session counts for."""
    return f"person {person}" if person else f"token {caller(request).id}"


def _cut(old: Any, new: Any) -> Any:
    """Return what of `old` is not in `new`; see the head of this module."""
    if not isinstance(old, Sequence):
        return old
    n = next((i for i, pair in enumerate(zip(old, new)) if pair[0] != pair[1]), min(len(old), len(new)))
    return [n, old[n:]]
