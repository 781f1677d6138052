"""Movies: search, recommendations, what is known of one; and how the server is. Nothing is fitted in a request.

Quick endpoints run in the event loop, one after the other, since all of them compute in Python; those that take longer
than a few milliseconds, or wait for another server or writer, run in threads.
"""

from __future__ import annotations

from typing import Annotated, Optional

from fastapi import Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..data.errors import ChoiceError, shown
from ..learn import registry
from ..models import EMBEDDING, POPULARITY
from . import shapes
from .parts import Json, Parts, check
from .people import People


class Movies:
    """The endpoints of movies and of the server."""

    def __init__(self, parts: Parts, people: People) -> None:
        self.parts, self.people, self.recommender = parts, people, parts.recommender

    async def health(self) -> Response:
        """Say that the process lives."""
        return Json({"status": "ok", "n_movies": len(self.parts.catalog)})

    async def ready(self) -> Response:
        """Say that all models are in memory and the database can be read."""
        self.parts.database.n_sessions()
        return Json({"status": "ready", "n_movies": len(self.parts.catalog)})

    def metrics(self, request: Request) -> Response:
        """Count the requests of this process by address, status and time, without anything personal."""
        check(request, None)
        text = self.parts.counts.text(self.parts.database.n_sessions())
        return Response(text, media_type="text/plain; version=0.0.4")

    async def search(self, q: shapes.Text, limit: shapes.Limit = 5) -> Response:
        """Find movies by title, as it is typed: misspelt, cut short, in another language."""
        return Json({"movies": [self.parts.full[one.row] for one in self.recommender.titles.search(q, limit)]})

    def search_text(self, q: shapes.Text, limit: shapes.Limit = 10) -> Response:
        """Find movies by a description in one's own words."""
        found = self.recommender.search_text(q, limit)
        movies = [self.parts.shown(one.movie, fit=one.fit) for one in found]
        return Json({"movies": movies, "read_as": self.recommender.encode(q).read_as})

    async def movie(self, movie_id: shapes.MovieId) -> Response:
        """Tell all that is known of a movie."""
        return Json(self.parts.full[self.parts.catalog.row_of(movie_id)])

    async def similar(self, movie_id: shapes.MovieId, limit: shapes.Limit = 10) -> Response:
        """Find the movies most like one, by people's ratings and by texts."""
        found = self.recommender.similar_movies(movie_id, limit)
        return Json({"movies": [self.parts.shown(one.movie, similarity=one.similarity, by=one.by) for one in found]})

    async def recommend(
        self,
        request: Request,
        user_id: shapes.Person,
        limit: shapes.Limit = 10,
        use_embeddings: shapes.Flag = False,
        use_context: shapes.Flag = False,
        method: Optional[shapes.Method] = None,
        familiarity: Optional[shapes.Share] = None,
        genre: Annotated[Optional[shapes.Genres], Query()] = None,
        year_from: Optional[shapes.Year] = None,
        year_to: Optional[shapes.Year] = None,
    ) -> Response:
        """Rank movies for a person. use_embeddings: by the texts of what they liked; use_context: by the hour too."""
        check(request, user_id)
        if use_embeddings and method not in (None, EMBEDDING):
            raise HTTPException(409, f"method {shown(method)} and use_embeddings contradict each other: give one")
        wanted, given = self.parts.wanted(genre or (), (), year_from, year_to), self.people.given(user_id)
        nothing = not isinstance(given, int) and not (given["favorites"] or given["answers"])
        name = self.method(method or (EMBEDDING if use_embeddings else POPULARITY if nothing else None))
        found = self.recommender.recommend(given, limit, name, wanted, (), familiarity, context=use_context)
        ranked = [self.parts.shown(one.movie, score=one.score) for one in found]
        return Json({"user_id": user_id, "method": name, "recommendations": ranked})

    def method(self, name: Optional[str]) -> str:
        """Return the name of a model that is in memory; raises 409 for another, 422 for no model."""
        try:
            found = self.recommender.models.name_of(name)
        except ChoiceError as error:
            raise HTTPException(422, str(error)) from None
        if found not in self.parts.methods:
            command = registry.model_class(found).command()
            raise HTTPException(
                409, f"{found} is not in memory: run {command}, then start the server with --method {found}"
            )
        return found
