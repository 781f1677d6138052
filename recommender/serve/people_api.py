"""The endpoints of people: ratings, imports, explanations, lists, conversation; thin over `People`."""

from __future__ import annotations

import functools
import time
from typing import Annotated, Optional

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from . import shapes
from .parts import Json, Parts, caller, check, endpoint
from .people import day_of
from .problems import Conflict, Nobody
from .sessions import because

_FILE = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
_CSV = {200: {"description": "A list that Letterboxd imports", "content": {"text/csv": {"schema": {"type": "string"}}}}}
_EVENTS = {200: {"description": "The turn, whole or as it comes", "content": {"text/event-stream": {}}}}
_TEXT = {200: {"description": "For Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}}}


class PeopleApi:
    """People, and what the server says of itself."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.people, self.catalog = parts, parts.people, parts.recommender.catalog

    def routes(self, app: FastAPI) -> None:
        """Add the endpoints to `app`."""
        add = functools.partial(endpoint, app)
        add("GET", "/me", self.me, shapes.Me)
        add("POST", "/users", self.make, shapes.Made, 201)
        add("POST", "/users/{user_id}/ratings", self.rate, shapes.Kept)
        add("GET", "/users/{user_id}/explain/{movie_id}", self.explain, shapes.Explanation)
        add("GET", "/users/{user_id}/export", self.export, shapes.Export)
        add("GET", "/users/{user_id}/{name}.csv", self.films, responses=_CSV)
        add("DELETE", "/users/{user_id}", self.forget, status=204)
        add("POST", "/imports", self.read_export, shapes.Import, openapi_extra=_FILE)
        add("POST", "/chat/{user_id}", self.chat, shapes.Turn, responses=_EVENTS)
        add("GET", "/metrics", self.metrics, responses=_TEXT)

    async def me(self, request: Request) -> Response:
        """Say whose token this is; null: of no one person."""
        return Json({"user_id": caller(request).person})

    def make(self, request: Request, given: shapes.NewUser) -> Response:
        """Make a person, and a token for them alone, which is shown this once."""
        check(request, None)
        self.people.add(given.user_id)
        token = self.parts.tokens.make(f"user {given.user_id}", given.user_id)
        return Json({"user_id": given.user_id, "token": token}, 201)

    def rate(
        self,
        request: Request,
        user_id: shapes.Person,
        given: Annotated[list[shapes.Rating], Field(min_length=1, max_length=1000)],
    ) -> Response:
        """Store ratings of 0.5 to 5 stars; they count at once."""
        check(request, user_id)
        if absent := [one.movie_id for one in given if one.movie_id not in self.catalog]:
            raise Nobody(f"no movie with id {absent[0]}: nothing was stored")
        now = time.time()
        rows = [self.catalog.row_of(one.movie_id) for one in given]
        days = [day_of(now if one.timestamp is None else one.timestamp) for one in given]
        profile = self.people.rate(user_id, [*zip(rows, [one.rating for one in given], days)])
        return Json({"user_id": user_id, "n_ratings": len(profile["ratings"])})

    def explain(self, request: Request, user_id: shapes.Person, movie_id: shapes.MovieId) -> Response:
        """Say how a movie fits what a person likes: terms that add up to the score."""
        check(request, user_id)
        found = self.parts.recommender.explain(self.people.given(user_id), movie_id)
        full = self.parts.sessions.full
        near = [
            {**full[self.catalog.row_of(one.movie_id)], "similarity": cosine}
            for one, cosine in found.similar_to_your_favorites
        ]
        return Json({
            "movie": full[self.catalog.row_of(movie_id)],
            "recommendation_score": found.recommendation_score,
            "explanation": found.explanation,
            "similar_to_your_favorites": near,
            "because": [because(reason) for reason in found.because],
        })  # fmt: skip

    def export(self, request: Request, user_id: shapes.Person) -> Response:
        """Give all that is known of a person."""
        check(request, user_id)
        return Json(self.people.export(user_id))

    def films(self, request: Request, user_id: shapes.Person, name: shapes.List) -> Response:
        """Give the likes or the watchlist of a person as a list that Letterboxd imports."""
        check(request, user_id)
        likes, later = self.people.lists(user_id)
        file = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return Response(likes if name == "likes" else later, media_type="text/csv", headers=file)

    def forget(self, request: Request, user_id: shapes.Person) -> Response:
        """Delete all that is kept of a person, their tokens too, down to the bytes in the file."""
        check(request, user_id)
        had_tokens = self.parts.tokens.drop(user_id)
        if not (self.people.forget(user_id) or had_tokens):
            raise Nobody(f"nothing is kept of {user_id}")
        return Response(status_code=204)

    async def read_export(
        self,
        request: Request,
        filename: Annotated[str, Field(max_length=200)],
        user_id: Optional[shapes.Person] = None,
        apply: shapes.Flag = False,
    ) -> Response:
        """Match an export of Letterboxd, IMDb, Trakt, TMDB, MovieLens or Netflix; apply: and store it for a person."""
        person = user_id or caller(request).person
        if person:
            check(request, person)
        elif apply:
            raise Conflict("for whom? give a user_id, or import with apply=false")
        found = await run_in_threadpool(self.people.read_export, filename, await request.body(), person, apply)
        for films in (found["matched"], found["guessed"], found["missed"]):
            for film in films:
                row = film.pop("row")
                film["movie"] = None if row is None else self.parts.sessions.short[row]
        return Json(found)

    def chat(self, request: Request, user_id: shapes.Person, given: shapes.Message) -> Response:
        """Take a message of a conversation; with Accept: text/event-stream the answer comes as it is made."""
        check(request, user_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            said = self.people.streamed(user_id, given.message, request.app.state.complain)
            return StreamingResponse(said, media_type="text/event-stream")
        return Json(self.people.say(user_id, given.message))

    def metrics(self, request: Request) -> Response:
        """Count the requests of this process by address, status and time, without anything personal."""
        check(request, None)
        text = self.parts.counts.text(sessions=self.parts.database.n_sessions())
        return Response(text, media_type="text/plain; version=0.0.4")
