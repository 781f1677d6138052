"""The application: the endpoints, the files of the page, a page about the API, behind the gate."""

from __future__ import annotations

import gzip
import html
import json
import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route

from ..chat.chat import Chat
from ..chat.rerank import MMRReranker, Reranker
from ..data.errors import ArtifactError
from ..facade import Recommender
from ..learn import registry
from . import shapes
from .database import Database
from .gate import OPEN, Counts, Gate, Limits
from .map import TasteMap
from .movies import Movies
from .parts import Json, Parts
from .people import People
from .problems import LOG, RESPONSES, install
from .sessions import Sessions
from .talks import Talks
from .tokens import Tokens

PAGE = Path(__file__).resolve().parent / "page"
_FILE = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
_EVENTS = {200: {"description": "The turn, whole or as it comes", "content": {"text/event-stream": {}}}}
_TEXT = {200: {"description": "For Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}}}


def create_app(
    recommender: Recommender,
    methods: Sequence[str],
    database: Database,
    tokens: Tokens,
    version: str,
    reranker: Optional[Reranker] = None,
    limits: Optional[Limits] = None,
    cors: Sequence[str] = (),
) -> FastAPI:
    """Return the application, ready to be served.

    methods: names of the models that are in memory.  reranker: who chooses in the chat, None: for variety.
    cors: origins whose pages may ask.
    """
    app = FastAPI(
        title="tastevec", version=version, docs_url=None, redoc_url=None,
        description="A movie recommender that you can read.", redirect_slashes=False,
    )  # fmt: skip
    install(app)
    drawn: dict[str, Any] = {"genres": [{"name": name} for name in recommender.catalog.genre_names]}  # to filter by
    try:
        tastes = TasteMap.load(recommender.folder, recommender.catalog)
        drawn = tastes.as_dict()
    except ArtifactError as error:
        LOG.warning("the page has no map: %s", error)
        tastes = None
    parts = Parts(recommender, methods, database, tokens, limits or Limits(), Counts())
    people = People(parts)
    talks = Talks(people, Chat(recommender, reranker or MMRReranker()))
    add_endpoints(app, Movies(parts, people), Sessions(parts, people, tastes), people, talks)
    pages = {"/map.json": json.dumps(drawn, ensure_ascii=False).encode(), "/docs": about_page(app.openapi()).encode()}
    pages |= {"/" + path.name.replace("index.html", ""): path.read_bytes() for path in PAGE.iterdir()}
    for address, content in pages.items():
        kind = mimetypes.guess_type(address)[0] or "text/html"
        app.router.routes.append(Route(address, _file(content, kind)))
    app.add_middleware(Gate, tokens=tokens, limits=parts.limits, counts=parts.counts, pages=pages)
    if cors:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["*"], allow_headers=headers)
    return app


def add_endpoints(app: FastAPI, movies: Movies, sessions: Sessions, people: People, talks: Talks) -> None:
    """Add the whole API, and to /openapi.json what a token is."""

    def add(method: str, path: str, answer: Any, shape: Any = None, status: int = 200, **more: Any) -> None:
        more["responses"] = {**RESPONSES, **more.get("responses", {})}
        if path not in OPEN:
            more["openapi_extra"] = {"security": [{"token": []}], **more.get("openapi_extra", {})}
        more |= {"response_model": shape, "response_class": Json if shape else Response}
        app.add_api_route(path, answer, methods=[method], status_code=status, **more)

    add("GET", "/health", movies.health, shapes.Status)
    add("GET", "/ready", movies.ready, shapes.Status)
    add("GET", "/movies/search", movies.search, shapes.Movies)
    add("GET", "/movies/search/text", movies.search_text, shapes.Movies)
    add("GET", "/movies/recommendations", movies.recommend, shapes.Recommendations)
    add("GET", "/movies/{movie_id}", movies.movie, shapes.Movie)
    add("GET", "/movies/{movie_id}/similar", movies.similar, shapes.Movies)
    add("GET", "/sessions", sessions.of_caller, shapes.Sessions)
    add("POST", "/sessions", sessions.start, shapes.Session, 201)
    add("GET", "/sessions/{session_id}", sessions.session, shapes.Session)
    add("PATCH", "/sessions/{session_id}", sessions.change, shapes.Session)
    add("DELETE", "/sessions/{session_id}", sessions.end, status=204)
    add("POST", "/sessions/{session_id}/answer", sessions.answer, shapes.Session)
    add("POST", "/sessions/{session_id}/tell", sessions.tell, shapes.Session)
    add("POST", "/sessions/{session_id}/undo", sessions.undo, shapes.Session)
    add("GET", "/me", people.me, shapes.Me)
    add("POST", "/users", people.make, shapes.Made, 201)
    add("POST", "/users/{user_id}/ratings", people.rate, shapes.Kept)
    add("GET", "/users/{user_id}/explain/{movie_id}", people.explain, shapes.Explanation)
    add("GET", "/users/{user_id}/export", people.export, shapes.Export)
    add("DELETE", "/users/{user_id}", people.forget, status=204)
    add("POST", "/imports", people.read_export, shapes.Import, openapi_extra=_FILE)
    add("POST", "/chat/{user_id}", talks.chat, shapes.Turn, responses=_EVENTS)
    add("GET", "/metrics", movies.metrics, responses=_TEXT)
    schema = app.openapi()
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    text = json.dumps(schema)  # in which what this catalogue and the registry hold has a place
    for name, values in (("genre", movies.parts.catalog.genre_names), ("method", registry.names())):
        text = text.replace(f'"format": "{name}"', f'"enum": {json.dumps([*values])}')
    app.openapi_schema = json.loads(text)


def about_page(schema: dict[str, Any]) -> str:
    """Return /docs: what /openapi.json says, for people; nothing of it comes from another host."""
    lines = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>tastevec: the API</title><h1>The API of tastevec</h1><p>All but /health and /ready need the header "
        "<code>Authorization: Bearer TOKEN</code>. Errors are problem documents (RFC 9457). The same for programs: "
        "<a href=/openapi.json>/openapi.json</a>."
    ]
    for path, operations in schema["paths"].items():
        for method, one in operations.items():
            lines.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{html.escape(one['description'])}<ul>")
            given = [(f"{of['name']} ({of['in']})", of["schema"]) for of in one.get("parameters", [])]
            for content in one.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                body = schema["components"]["schemas"].get(name, {"properties": {"all of it": content["schema"]}})
                given += [(f"{name} (body)", values) for name, values in body["properties"].items()]
            for name, values in given:
                lines.append(f"<li><code>{name}: {html.escape(json.dumps(values))}</code>")
            lines.append("</ul>")
    return "\n".join(lines)


def _file(content: bytes, kind: str) -> Callable[..., Any]:
    """Return an endpoint for a file, compressed for who can read that."""
    packed = gzip.compress(content, 9)

    async def answer(request: Request) -> Response:
        headers = {"vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**headers, "content-encoding": "gzip"}, media_type=kind)
        return Response(content, headers=headers, media_type=kind)

    return answer
