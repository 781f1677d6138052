"""The endpoints of movies and sessions, thin over `Recommender` and `Sessions`. Nothing is fitted in a request.

Quick ones run in the event loop, one after the other, since all of them compute in Python; those that take longer
than a few milliseconds, or wait for another server or writer, run in threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Optional, TypeVar

from fastapi import FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..data.errors import ChoiceError, shown
from ..learn import registry
from ..models import POPULARITY
from ..people.matching import EMPTY
from ..people.store import BusyError
from ..session.policy import MovieFilter, genre_columns
from ..session.profiles import state_of
from ..session.state import LATER, Event, SessionState, Utterance
from . import shapes
from .database import Saved
from .parts import Json, Parts, caller, check, endpoint
from .problems import Conflict, Unknown

Result = TypeVar("Result")


class Api:
    """Movies and sessions."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.recommender, self.catalog = parts, parts.recommender, parts.recommender.catalog
        self.database, self.sessions = parts.database, parts.sessions

    def routes(self, app: FastAPI) -> None:
        """Add the endpoints to `app`."""

        add = functools.partial(endpoint, app)
        add("GET", "/health", self.health, shapes.Status)
        add("GET", "/ready", self.ready, shapes.Status)
        for path, answer in (("/health", self.health), ("/ready", self.ready)):  # as some load balancers ask
            app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
        add("GET", "/movies/search", self.search, shapes.Movies)
        add("GET", "/movies/search/text", self.search_text, shapes.FitMovies)
        add("GET", "/movies/recommendations", self.recommend, shapes.Recommendations)
        add("GET", "/movies/{movie_id}", self.movie, shapes.Movie)
        add("GET", "/movies/{movie_id}/similar", self.similar, shapes.SimilarMovies)
        add("GET", "/sessions", self.of_caller, shapes.Sessions)
        add("POST", "/sessions", self.start, shapes.Session, 201)
        add("GET", "/sessions/{session_id}", self.session, shapes.Session)
        add("PATCH", "/sessions/{session_id}", self.change, shapes.Session)
        add("DELETE", "/sessions/{session_id}", self.end, status=204)
        add("POST", "/sessions/{session_id}/answer", self.answer, shapes.Session)
        add("POST", "/sessions/{session_id}/tell", self.tell, shapes.Session)
        add("POST", "/sessions/{session_id}/undo", self.undo, shapes.Session)

    async def health(self) -> Response:
        """Say that the process lives."""
        return Json({"status": "ok", "n_movies": len(self.catalog)})

    async def ready(self) -> Response:
        """Say that all models are in memory and the database can be read."""
        self.database.n_sessions()
        return Json({"status": "ready", "n_movies": len(self.catalog)})

    async def search(self, q: shapes.Text, limit: shapes.Limit = 5) -> Response:
        """Find movies by title, as it is typed: misspelt, cut short, in another language."""
        found = self.recommender.titles.search(q, limit)
        return Json({"movies": [self.sessions.full[match.row] for match in found]})

    def search_text(self, q: shapes.Text, limit: shapes.Limit = 10) -> Response:
        """Find movies by a description in one's own words."""
        found, signal = self.recommender.search_text(q, limit), self.recommender.encode(q)
        movies = [{**self.shown(one.movie), "fit": one.fit} for one in found]
        return Json({"movies": movies, "read_as": signal.read_as})

    async def movie(self, movie_id: shapes.MovieId) -> Response:
        """Tell all that is known of a movie."""
        return Json(self.sessions.full[self.catalog.row_of(movie_id)])

    async def similar(self, movie_id: shapes.MovieId, limit: shapes.Limit = 10) -> Response:
        """Find the movies most like one, by people's ratings and by texts."""
        found = self.recommender.similar_movies(movie_id, limit)
        return Json(
            {"movies": [{**self.shown(one.movie), "similarity": one.similarity, "by": one.by} for one in found]}
        )

    async def recommend(
        self,
        request: Request,
        user_id: shapes.Person,
        limit: shapes.Limit = 10,
        use_embeddings: shapes.Flag = False,
        use_context: shapes.Flag = False,
        method: Optional[str] = None,
        familiarity: Optional[shapes.Share] = None,
        genre: Annotated[Optional[list[str]], Query(max_length=50)] = None,
        year_from: Optional[shapes.Year] = None,
        year_to: Optional[shapes.Year] = None,
    ) -> Response:
        """Rank movies for a person. use_embeddings: by the texts of what they liked; use_context: by the hour too."""
        check(request, user_id)
        if use_embeddings and method not in (None, "embedding"):
            raise Conflict(f"method {shown(method)} and use_embeddings contradict each other: give one")
        wanted, given = self.wanted(genre or (), (), year_from, year_to), self.parts.people.given(user_id)
        nothing = not isinstance(given, int) and not (given["favorites"] or given["answers"])
        name = self.method(method or ("embedding" if use_embeddings else POPULARITY if nothing else None))
        found = self.recommender.recommend(given, limit, name, wanted, (), familiarity, context=use_context)
        ranked = [{**self.shown(one.movie), "score": one.score} for one in found]
        return Json({"user_id": user_id, "method": name, "recommendations": ranked})

    def method(self, name: Optional[str]) -> str:
        """Return the name of a model that is in memory; raises `Conflict` for another, `Unknown` for no model."""
        try:
            found = self.recommender.models.name_of(name)
        except ChoiceError as error:
            raise Unknown(error) from None
        if found not in self.parts.methods:
            command = registry.model_class(found).command()
            raise Conflict(f"{found} is not in memory: run {command}, then start the server with --method {found}")
        return found

    def wanted(
        self, genres: Sequence[str], exclude_genres: Sequence[str], year_from: Optional[int], year_to: Optional[int]
    ) -> MovieFilter:
        """Return a filter; raises `Unknown` for a genre that the catalogue has not."""
        try:
            genre_columns(self.catalog, (*genres, *exclude_genres))
        except ChoiceError as error:
            raise Unknown(error) from None
        return MovieFilter(tuple(genres), tuple(exclude_genres), year_from, year_to)

    def shown(self, movie: Any) -> dict[str, Any]:
        return self.sessions.full[self.catalog.row_of(movie.movie_id)]

    async def of_caller(self, request: Request) -> Response:
        """List the sessions of the token that asks: of its person, or those of nobody that it started."""
        owner = owner_of(request, caller(request).person)
        return Json({"sessions": [{"session_id": i, "user_id": who} for i, who in self.database.owned_by(owner)]})

    async def start(self, request: Request, given: shapes.NewSession) -> Response:
        """Start a session from favorites, from words, or from both."""
        if given.words:  # which take ten times as long to read
            return await run_in_threadpool(self.started, request, given)
        return await self.written(lambda: self.started(request, given))

    def started(self, request: Request, given: shapes.NewSession) -> Response:
        person = given.user_id or caller(request).person
        if person:
            check(request, person)
        owner = owner_of(request, person)
        if len(self.database.owned_by(owner)) >= self.parts.limits.sessions:
            raise HTTPException(
                429, f"you have {self.parts.limits.sessions} sessions: go on with one of GET /sessions, or delete one"
            )
        rows = [*map(self.recommender.row_of, given.favorites)]
        known = (person and self.parts.people.profile(person)) or EMPTY
        before = state_of(known, self.catalog)
        answers = tuple(event for event in before.answers if event.row not in rows)
        said = (*before.utterances, *(Utterance(text, len(answers)) for text in given.words))
        favorites = tuple(dict.fromkeys((*before.favorites, *rows)))
        state = SessionState(favorites, answers, None, 0, said, None, given.familiarity)
        if given.filter:
            state = self.sessions.engine.set_filter(state, self.wanted(**dict(given.filter)))
        return Json(self.sessions.view(self.sessions.start(state, owner, person)), 201)

    async def session(self, request: Request, session_id: str, why: shapes.Flag = False) -> Response:
        """Tell a session, and with `why` the terms that add up to the score of its movie."""
        return Json(self.sessions.view(self.saved(request, session_id), why))

    async def change(self, request: Request, session_id: str, given: shapes.Change) -> Response:
        """Change the dial, the filter or the favorites."""
        engine = self.sessions.engine

        def step(state: SessionState) -> SessionState:
            if given.add_favorite is not None:
                state = engine.add_favorite(state, self.recommender.row_of(given.add_favorite))
            if given.drop_favorite is not None:
                state = engine.drop_favorite(state, self.catalog.row_of(given.drop_favorite))
            if given.familiarity is not None:
                state = engine.set_familiarity(state, given.familiarity)
            return engine.set_filter(state, self.wanted(**dict(given.filter))) if given.filter else state

        return await self.written(lambda: self.stepped(request, session_id, step))

    async def answer(self, request: Request, session_id: str, given: shapes.Answered) -> Response:
        """Answer the movie on the table, or one of the watchlist anew: skip takes it off."""

        def step(state: SessionState) -> SessionState:
            for place, (row, answer, _) in enumerate(state.answers):
                if answer == LATER and self.sessions.ids[row] == given.movie_id:
                    answers = (*state.answers[:place], Event(row, given.answer), *state.answers[place + 1 :])
                    return self.sessions.engine.resume(state._replace(answers=answers))
            if state.current is None or self.sessions.ids[state.current] != given.movie_id:
                raise Conflict(f"movie {given.movie_id} is not on the table: ask for the session, and answer its movie")
            return self.sessions.engine.step(state, given.answer)

        return await self.written(lambda: self.stepped(request, session_id, step))

    def tell(self, request: Request, session_id: str, given: shapes.Told) -> Response:
        """Say in words what is wanted."""
        return self.stepped(request, session_id, lambda state: self.sessions.engine.tell(state, given.text))

    async def undo(self, request: Request, session_id: str) -> Response:
        """Take back the last change, whatever it was."""

        def work() -> Response:
            return Json(self.sessions.view(self.sessions.undo(lambda: self.saved(request, session_id))))

        return await self.written(work)

    async def end(self, request: Request, session_id: str) -> Response:
        """Delete a session."""
        id_ = self.saved(request, session_id).id
        await self.written(lambda: self.database.drop_session(id_))
        return Response(status_code=204)

    async def written(self, work: Callable[[], Result]) -> Result:
        """Do what ends with one write: here, or again in a thread where it has to wait for another writer."""
        try:
            with self.database.at_once():
                return work()
        except BusyError:
            return await run_in_threadpool(work)

    def stepped(self, request: Request, session_id: str, step: Callable[[SessionState], SessionState]) -> Response:
        return Json(self.sessions.view(self.sessions.change(lambda: self.saved(request, session_id), step)))

    def saved(self, request: Request, session_id: str) -> Saved:
        """Return a session that the caller may see; that of another person is not there."""
        found, person = self.database.session(session_id), caller(request).person
        if found is None or person not in (None, found.person):
            raise HTTPException(404, "no such session: start one with POST /sessions")
        return found


def owner_of(request: Request, person: Optional[str]) -> str:
    """Return whose limit a session counts for."""
    return f"person {person}" if person else f"token {caller(request).id}"
