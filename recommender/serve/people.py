"""People: their ratings from the data, from here and from exports, explanations, lists, and their end.

What is kept of a person is a profile (session/profiles.py); what they answered in sessions is added when it is read.
"""

from __future__ import annotations

import datetime
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Optional

from fastapi import Depends, Request
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..people.exports import Entry, entries_of
from ..people.matching import APPLIED, BY_ID, EMPTY, GUESS, MISSED, Film, Matcher, answer_of, missed_entries, with_films
from ..session.state import FAVORITE, LATER
from . import shapes
from .parts import Json, Parts, because, caller, check

Profile = dict[str, Any]


async def body_of(request: Request) -> bytes:
    """Return the bytes that were sent, whatever they are said to be: an export of Trakt is JSON."""
    return await request.body()


class People:
    """The people of a database and of the data, and their endpoints; threads may share it."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.catalog, self.database = parts, parts.catalog, parts.database
        self.in_data = {*map(str, parts.recommender.models.history.user_ids.tolist())}
        self._matcher = Matcher(self.catalog)
        self.talks = OrderedDict[str, Any]()  # what runs, of talks.py

    def given(self, person: str) -> Any:
        """Return what `Recommender.recommend` takes for a person; raises 404."""
        if person in self.in_data and not (self.database.profile(person) or self.database.sessions("person", person)):
            return int(person)
        return self.known(person)

    def known(self, person: str) -> Profile:
        """Return what `profile` does; raises 404 for nobody."""
        if (profile := self.profile(person)) is None:
            raise HTTPException(404, f"no user {person}: give one of the data, by number, or make one with POST /users")
        return profile

    def profile(self, person: str) -> Optional[Profile]:
        """Return all that is known of a person: in the data, here, and said in sessions, the latter where nothing else
        is; None if nobody is called so."""
        profile, sessions = self.database.profile(person), self.database.sessions("person", person)
        if person in self.in_data:
            models = self.parts.recommender.models
            own = models.history.row(models.user_row(int(person)))
            parts = (models.history.movie_rows, models.history.ratings, models.history.times)
            profile = self._rated(profile or EMPTY, *(part[own].tolist() for part in parts))
        if profile is None and not sessions:
            return None
        said = {i: FAVORITE for one in sessions for i in one.content["favorites"]}
        said.update({i: answer for one in sessions for i, answer in one.content["answers"]})
        return also(profile or EMPTY, said)

    def _rated(self, profile: Profile, rows: list[int], stars: list[float], times: list[float]) -> Profile:
        """Return a profile with ratings; times: seconds since 1970."""
        days = [datetime.datetime.fromtimestamp(max(at, 0), datetime.timezone.utc).date().isoformat() for at in times]
        films = [Film(Entry((), rating=n, date=day), row, BY_ID) for row, n, day in zip(rows, stars, days)]
        return {**with_films(profile, films, self.catalog), "missed": profile.get("missed", [])}

    async def me(self, request: Request) -> Response:
        """Say whose token this is; null: of no one person."""
        return Json({"user_id": caller(request).person})

    def make(self, request: Request, given: shapes.NewUser) -> Response:
        """Make a person, and a token for them alone, which is shown this once."""
        check(request, None)
        person = given.user_id
        with self.database.store.writing():
            if person in self.in_data or self.database.profile(person) is not None:
                raise HTTPException(409, f"user {person} is there already: choose another user_id")
            self.database.save_profile(person, EMPTY)
        return Json({"user_id": person, "token": self.parts.tokens.make(f"user {person}", person)}, 201)

    def rate(
        self,
        request: Request,
        user_id: shapes.Person,
        given: Annotated[list[shapes.Rating], Field(min_length=1, max_length=1000)],
    ) -> Response:
        """Store ratings of 0.5 to 5 stars; they count at once."""
        check(request, user_id)
        if absent := [one.movie_id for one in given if one.movie_id not in self.catalog]:
            raise HTTPException(404, f"no movie with id {absent[0]}: nothing was stored")
        rows, now = [self.catalog.row_of(one.movie_id) for one in given], time.time()
        times = [now if one.timestamp is None else one.timestamp for one in given]
        with self.database.store.writing():
            stored = self.database.profile(user_id)
            if stored is None and user_id not in self.in_data:
                raise HTTPException(404, f"no user {user_id}: make one with POST /users")
            profile = self._rated(stored or EMPTY, rows, [one.rating for one in given], times)
            self.database.save_profile(user_id, profile)
        return Json({"user_id": user_id, "n_ratings": len(profile["ratings"])})

    def explain(self, request: Request, user_id: shapes.Person, movie_id: shapes.MovieId) -> Response:
        """Say how a movie fits what a person likes: terms that add up to the score."""
        check(request, user_id)
        found = self.parts.recommender.explain(self.given(user_id), movie_id)
        near = [self.parts.shown(one, similarity=cosine) for one, cosine in found.similar_to_your_favorites]
        reasons = [because(reason) for reason in found.because]
        shown = {"movie": self.parts.shown(found.movie), "similar_to_your_favorites": near, "because": reasons}
        return Json({**found._asdict(), **shown})

    def export(self, request: Request, user_id: shapes.Person) -> Response:
        """Give all that is known of a person."""
        check(request, user_id)
        memory, chat = self.database.store.load(user_id), None
        profile = self.profile(user_id) if memory else self.known(user_id)
        if memory:
            taste = None if memory.vector is None else memory.vector.tolist()
            chat = {**memory._asdict(), "vector": taste, "answers": [*memory.answers.items()]}
        sessions = [{"session_id": one.id, **one.content} for one in self.database.sessions("person", user_id)]
        return Json({"user_id": user_id, "profile": profile, "sessions": sessions, "chat": chat})

    def forget(self, request: Request, user_id: shapes.Person) -> Response:
        """Delete all that is kept of a person, their tokens too, down to the bytes in the file."""
        check(request, user_id)
        had_tokens = self.parts.tokens.drop(user_id)
        self.talks.pop(user_id, None)
        if not (self.database.forget(user_id) or had_tokens):
            raise HTTPException(404, f"nothing is kept of {user_id}")
        return Response(status_code=204)

    def read_export(
        self,
        request: Request,
        filename: Annotated[str, Field(max_length=200)],
        content: Annotated[bytes, Depends(body_of)],
        user_id: Optional[shapes.Person] = None,
        apply: shapes.Flag = False,
    ) -> Response:
        """Match an export of Letterboxd, IMDb, Trakt, TMDB, MovieLens or Netflix; apply: and store it for a person."""
        person = user_id or caller(request).person
        if person:
            check(request, person)
        elif apply:
            raise HTTPException(409, "for whom? give a user_id, or import with apply=false")
        entries = entries_of(content, Path(PurePosixPath(filename.replace("\\", "/")).name or "export.csv"))
        films = self._matcher.films(entries)
        if person and apply:
            with self.database.store.writing():
                old = self.database.profile(person) or EMPTY
                films = self._matcher.films([*missed_entries(old), *entries])
                self.database.save_profile(person, with_films(old, films, self.catalog))
        found: dict[str, Any] = {"matched": [], "guessed": [], "missed": []}
        kinds = {**dict.fromkeys(APPLIED, "matched"), GUESS: "guessed", MISSED: "missed"}
        for film in films:
            if kind := kinds.get(film.how):
                movie = None if film.row is None else self.parts.short[film.row]
                about = {"title": "".join(film.entry.names[:1]), "year": film.entry.year or None, "movie": movie}
                found[kind].append({**about, "answer": answer_of(film)} if kind == "matched" else about)
        return Json({**found, "applied": len(found["matched"]) if apply else 0})


def also(profile: Profile, said: Mapping[int, str]) -> Profile:
    """Return a profile with answers to movies of which it holds none or "later"; movie id -> favorite, or an answer."""
    answers = dict(map(tuple, profile["answers"]))
    rated = (one[0] for one in profile.get("ratings", []))
    known = {*profile["favorites"], *rated, *(i for i in answers if answers[i] != LATER)}
    answers.update((i, answer) for i, answer in said.items() if i not in known)
    favorites = [i for i in answers if answers[i] == FAVORITE]
    others = [[i, answer] for i, answer in answers.items() if answer != FAVORITE]
    return {**profile, "favorites": [*profile["favorites"], *favorites], "answers": others}
