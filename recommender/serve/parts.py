"""What all endpoints share."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ..data.catalog import Movie
from ..data.errors import ChoiceError
from ..facade import Recommender
from ..session.policy import MovieFilter, genre_columns
from .database import Database
from .gate import Counts, Limits
from .problems import REFUSED
from .tokens import Caller, Tokens

_SHORT = ("movie_id", "title", "year", "genres", "tmdb_id", "imdb_id")


@dataclass
class Parts:
    """methods: names of the models that are in memory.  full, short: the movies as JSON, by row."""

    recommender: Recommender
    methods: Sequence[str]
    database: Database
    tokens: Tokens
    limits: Limits
    counts: Counts

    def __post_init__(self) -> None:
        self.catalog = self.recommender.catalog
        # of ten movies that are shown, most were shown before: half of the time of a list
        vars(self.catalog)["movie"] = functools.lru_cache(maxsize=8192)(self.catalog.movie)
        self.full = [_as_json(self.catalog.movie(row)) for row in range(len(self.catalog))]
        self.short = [{key: movie[key] for key in _SHORT} for movie in self.full]

    def shown(self, movie: Movie, **more: Any) -> dict[str, Any]:
        """Return a movie as JSON, with more values."""
        return {**self.full[self.catalog.row_of(movie.movie_id)], **more}

    def wanted(
        self, genres: Sequence[str], exclude_genres: Sequence[str], year_from: Optional[int], year_to: Optional[int]
    ) -> MovieFilter:
        """Return a filter; raises 422 for a genre that the catalogue has not."""
        try:
            genre_columns(self.catalog, (*genres, *exclude_genres))
        except ChoiceError as error:
            raise HTTPException(422, str(error)) from None
        return MovieFilter(tuple(genres), tuple(exclude_genres), year_from, year_to)


def _as_json(one: Movie) -> dict[str, Any]:
    return {
        "movie_id": one.movie_id, "title": one.title, "year": one.year or None, "genres": one.genres,
        "overview": one.overview, "director": one.director, "cast": one.cast, "language": one.original_language,
        "n_ratings": one.n_ratings, "tmdb_id": one.tmdb_id or None, "imdb_id": one.imdb_id or None,
    }  # fmt: skip


def because(reason: Any, about: str = "") -> dict[str, Any]:
    """Return a term of a score as JSON.  about: its text where it is not of what the person said."""
    movie = {"movie_id": reason.movie and reason.movie.movie_id, "title": reason.movie and str(reason.movie)}
    return {"kind": reason.kind, "text": reason.text or about, **movie, "value": reason.value}


class Json(JSONResponse):
    """JSON without a check against the documented shape, which tests make."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def caller(request: Request) -> Caller:
    """Return who asks, as the gate has found."""
    found: Caller = request.scope["caller"]
    return found


def check(request: Request, person: Optional[str]) -> None:
    """Refuse a person's token for another person, or for what is not a person's (None), as if it were none."""
    if caller(request).person not in (None, person):
        raise HTTPException(401, REFUSED, {"WWW-Authenticate": "Bearer"})
