"""Errors over HTTP: problem documents (RFC 9457) with the messages of the programs."""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Mapping
from typing import Any, Optional

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from ..data.errors import ArtifactError, ServiceError, TastevecError, one_line, shown

KIND = "application/problem+json"
REFUSED = "give a token: Authorization: Bearer TOKEN, one that is valid for this address, and nowhere else"
_MEANINGS = {
    401: "No token that is valid here, whatever the reason",
    404: "There is no such movie, person, session or text",
    409: "It contradicts what was said before, or this server is not ready for it",
    413: "The body is too large",
    422: "A value is missing or out of range",
    429: "Too many requests, or sessions",
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}  # fmt: skip
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {KIND: {"schema": _SCHEMA}}} for status, meaning in _MEANINGS.items()
}


def told(error: Exception, complain: Callable[[str], Any], reading: bool = False) -> tuple[int, str]:
    """Return status and detail of an error.  complain: receives what must be mended.  reading: what may be absent."""
    if isinstance(error, ArtifactError):  # its message names files of this machine
        complain(str(error))
        return 503, "the data of this server cannot be used: see what it printed"
    if isinstance(error, TastevecError):
        return 502 if isinstance(error, ServiceError) else 404 if reading else 409, str(error)
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = place and f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
    complain(f"{type(error).__name__} at {where}")  # its message may be personal
    return 500, "this server has a fault: it has printed where"


def problem(status: int, detail: str, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return a problem document; detail: one line, what was wrong, the value, what to do."""
    title = http.HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": one_line(detail)[:1000]}
    return Response(json.dumps(said), status, headers, KIND)


def install(app: FastAPI, complain: Callable[[str], Any]) -> None:
    """Make problem documents of all errors that `app` knows; complain: receives what must be mended."""

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            routes = [one for one in request.app.routes if one.matches(request.scope)[0] != Match.NONE]
            allowed = ", ".join(sorted({method for one in routes for method in one.methods}))
            return problem(405, f"this address takes {allowed}", {"Allow": allowed})
        if error.status_code == 400:  # of a body that is no text
            return problem(422, "the body is no JSON in UTF-8: see /docs")
        detail = "there is nothing at this address: see /docs" if error.detail == "Not Found" else str(error.detail)
        return problem(error.status_code, detail, error.headers)

    async def of_values(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem(422, "the body is no JSON: see /docs")
        if first["loc"] == ("body",) and isinstance(first.get("input"), bytes):  # so it was not read as JSON
            return problem(422, "the body is not sent as JSON: give the header Content-Type: application/json")
        # what tells the members of a union apart has brackets, and is no name that was sent
        where = ".".join(str(part) for part in first["loc"][1:] if "[" not in str(part)) or str(first["loc"][0])
        said = first["msg"].removeprefix("Value error, ")
        return problem(422, f"{where} {shown(first.get('input'))}: {said}: see /docs")

    async def of_ours(request: Request, error: Exception) -> Response:
        return problem(*told(error, complain, request.method == "GET"))

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_values)
    app.add_exception_handler(TastevecError, of_ours)
