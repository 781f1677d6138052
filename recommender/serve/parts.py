"""What all endpoints share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from ..facade import Recommender
from .database import Database
from .gate import Counts, Limits
from .people import People
from .problems import REFUSED, RESPONSES
from .sessions import Sessions
from .tokens import Caller, Tokens


class Parts(NamedTuple):
    """methods: names of the models that are in memory."""

    recommender: Recommender
    methods: frozenset[str]
    database: Database
    tokens: Tokens
    limits: Limits
    sessions: Sessions
    people: People
    counts: Counts


class Json(JSONResponse):
    """JSON without a check against the documented shape, which tests make."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def endpoint(
    app: FastAPI, method: str, path: str, answer: Callable[..., Any], shape: Any = None, status: int = 200, **more: Any
) -> None:
    """Add an endpoint; shape: of its JSON, None for another kind of answer."""
    more = {"response_model": shape, "response_class": Json if shape else Response, **more}
    responses = {**RESPONSES, **more.pop("responses", {})}
    app.add_api_route(path, answer, methods=[method], status_code=status, responses=responses, **more)


def caller(request: Request) -> Caller:
    """Return who asks, as the gate has found."""
    found: Caller = request.scope["caller"]
    return found


def check(request: Request, person: str | None) -> None:
    """Refuse a person's token for another person, or for what is not a person's (None), as if it were none."""
    if caller(request).person not in (None, person):
        raise HTTPException(401, REFUSED, {"WWW-Authenticate": "Bearer"})
