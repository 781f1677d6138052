"""Errors over HTTP: problem documents (RFC 9457) with the messages of the programs."""

from __future__ import annotations

import http
import json
import logging
import traceback
from collections.abc import Mapping
from typing import Any, Optional

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from ..data.errors import ArtifactError, ServiceError, TastevecError, one_line, shown

LOG = logging.getLogger("recommender.serve")  # info: a line for each request; error: what must be mended
KIND = "application/problem+json"
REFUSED = "give a token: Authorization: Bearer TOKEN, one that is valid for this address, and nowhere else"
NO_JSON = "the body is no JSON, or is not sent with the header Content-Type: application/json: see /docs"
_MEANINGS = {
    401: "No token that is valid here, whatever the reason",
    404: "There is no such movie, person, session or text",
    409: "It contradicts what was said before, or this server is not ready for it",
    413: "The body is too large",
    422: "A value is missing or out of range",
    429: "Too many requests, or sessions",
}
_PARTS = {"type": "string", "title": "string", "status": "integer", "detail": "string"}
_SCHEMA = {
    "type": "object", "properties": {name: {"type": kind} for name, kind in _PARTS.items()}, "required": [*_PARTS],
}  # fmt: skip
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {KIND: {"schema": _SCHEMA}}} for status, meaning in _MEANINGS.items()
}


def told(error: Exception, reading: bool = False) -> tuple[int, str]:
    """Return status and detail of an error; logs what must be mended.  reading: what may be absent."""
    if isinstance(error, ArtifactError):  # its message names files of this machine
        LOG.error(str(error))
        return 503, "the data of this server cannot be used: see what it printed"
    if isinstance(error, TastevecError):
        return 502 if isinstance(error, ServiceError) else 404 if reading else 409, str(error)
    if isinstance(error, ClientDisconnect):
        return 408, "the body did not come whole"
    place = traceback.extract_tb(error.__traceback__)[-1]
    LOG.error(f"{type(error).__name__} at {place.filename}:{place.lineno}")  # its message may be personal
    return 500, "this server has a fault: it has printed where"


def problem(status: int, detail: str, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return a problem document; detail: one line, what was wrong, the value, what to do."""
    title = http.HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": one_line(detail)[:1000]}
    return Response(json.dumps(said), status, headers, KIND)


def install(app: FastAPI) -> None:
    """Make problem documents of all errors that `app` knows."""

    async def of_http(request: Request, error: Any) -> Response:
        if error.status_code == 405:  # each route knows its own method alone
            routes = [one for one in request.app.routes if one.matches(request.scope)[0] != Match.NONE]
            allowed = ", ".join(sorted({method for one in routes for method in one.methods}))
            return problem(405, f"this address takes {allowed}", {"Allow": allowed})
        if error.status_code == 400:  # of a body that is no text
            return problem(422, NO_JSON)
        detail = "there is nothing at this address: see /docs" if error.detail == "Not Found" else error.detail
        return problem(error.status_code, detail, error.headers)

    async def of_values(_: Request, error: Any) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid" or (first["loc"] == ("body",) and isinstance(first["input"], bytes)):
            return problem(422, NO_JSON)
        # what tells the members of a union apart has brackets, and is no name that was sent
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        return problem(422, f"{where} {shown(first['input'])}: {first['msg'].removeprefix('Value error, ')}: see /docs")

    async def of_ours(request: Request, error: Exception) -> Response:
        return problem(*told(error, request.method == "GET"))

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_values)
    app.add_exception_handler(TastevecError, of_ours)
