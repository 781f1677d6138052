"""The application: the endpoints, the files of the page, a page about the API, behind the gate."""

from __future__ import annotations

import functools
import gzip
import html
import json
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
from .api import Api
from .database import Database
from .gate import Counts, Gate, Limits
from .map import TasteMap
from .parts import Parts
from .people import People
from .people_api import PeopleApi
from .problems import install
from .sessions import Sessions
from .tokens import Tokens

PAGE = Path(__file__).resolve().parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
    ".svg": "image/svg+xml",
}  # fmt: skip
_OPEN_DOCS = ("/health", "/ready")


def create_app(
    recommender: Recommender,
    methods: Sequence[str],
    database: Database,
    tokens: Tokens,
    version: str,
    reranker: Optional[Reranker] = None,
    limits: Optional[Limits] = None,
    cors: Sequence[str] = (),
    log: Callable[[str], Any] = lambda line: None,
    complain: Callable[[str], Any] = lambda line: None,
) -> FastAPI:
    """Return the application, ready to be served.

    methods: names of the models that are in memory.  reranker: who chooses in the chat, None: for variety.
    cors: origins whose pages may ask.  log: receives a line for each request, without anything personal.
    complain: receives what whoever runs the server must mend.
    """
    limits, files = limits or Limits(), {path.name: path for path in sorted(PAGE.glob("*")) if path.suffix in _TYPES}
    app = FastAPI(
        title="tastevec", version=version, docs_url=None, redoc_url=None,
        description="A movie recommender that you can read.", redirect_slashes=False,
    )  # fmt: skip
    app.state.complain = complain
    install(app)
    # of ten movies that are shown, most were shown before: half of the time of a list
    vars(recommender.catalog)["movie"] = functools.lru_cache(maxsize=8192)(recommender.catalog.movie)
    tastes = read_map(recommender)
    people = People(recommender, database, Chat(recommender, reranker or MMRReranker()))
    sessions, counts = Sessions(recommender, database, tastes), Counts()
    parts = Parts(recommender, frozenset(methods), database, tokens, limits, sessions, people, counts)
    Api(parts).routes(app)
    PeopleApi(parts).routes(app)
    pages = {"/" + ("" if name == "index.html" else name): _static(path) for name, path in files.items()}
    genres = [{"name": name} for name in recommender.catalog.genre_names]  # to filter by
    drawn = tastes.as_dict() if tastes else {"genres": genres}
    pages["/map.json"] = _bytes(json.dumps(drawn, ensure_ascii=False).encode(), _TYPES[".json"])
    for address, answer in pages.items():
        app.router.routes.append(Route(address, answer))
    document(app, frozenset(_OPEN_DOCS))
    about = _bytes(about_page(app.openapi()).encode(), _TYPES[".html"])
    app.router.routes.append(Route("/docs", about))
    app.add_middleware(
        Gate, tokens=tokens, limits=limits, pages=frozenset(pages), log=log, complain=complain, counts=counts
    )
    if cors:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["*"], allow_headers=headers)
    return app


def read_map(recommender: Recommender) -> Optional[TasteMap]:
    """Return the map of tastes, None where none is drawn, which the recommender's notes then say."""
    try:
        return TasteMap.load(recommender.folder, recommender.catalog)
    except ArtifactError as error:
        recommender.notes.append(f"the page has no map: {error}")
        return None


def document(app: FastAPI, open_: frozenset[str]) -> None:
    """Say in /openapi.json that a token is needed, but for the addresses `open_`."""
    schema = app.openapi()
    schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in schema["paths"].items():
        if path not in open_:
            for operation in operations.values():
                operation["security"] = [{"token": []}]


def about_page(schema: dict[str, Any]) -> str:
    """Return /docs: what /openapi.json says, for people; nothing of it comes from another host."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>tastevec: the API</title><h1>The API of tastevec</h1><p>All but /health and /ready need the header "
        "<code>Authorization: Bearer TOKEN</code>. Errors are problem documents (RFC 9457). The same for programs: "
        "<a href=/openapi.json>/openapi.json</a>."
    ]
    for path, operations in schema["paths"].items():
        for method, one in operations.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(one.get('description', ''))}</p>")
            given = [(of["name"], of["in"], of["required"], of["schema"]) for of in one.get("parameters", [])]
            for content in one.get("requestBody", {}).get("content", {}).values():
                body = schema["components"]["schemas"].get(content["schema"].get("$ref", "").rpartition("/")[2], {})
                needed, own = body.get("required", ()), body.get("properties", {})
                given += [(name, "body", name in needed, about) for name, about in own.items()]
            rows = [
                f"<tr><td><code>{html.escape(name)}</code><td>{where}{', required' * needed}"
                f"<td>{html.escape(_kind(about))}"
                for name, where, needed, about in given
            ]
            parts.append(f"<table>{''.join(rows)}</table>" if rows else "")
    return "\n".join(parts)


def _kind(about: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    if options := about.get("anyOf"):
        return " or ".join(filter(None, map(_kind, options)))
    said = "" if about.get("type") == "null" else about.get("type") or about.get("$ref", "").rpartition("/")[2]
    said += f" of {_kind(about['items'])}" if "items" in about else ""
    limits = [f"{key} {about[key]}" for key in ("enum", "minimum", "maximum", "maxLength", "pattern") if key in about]
    default = [f"default {json.dumps(about['default'])}"] if about.get("default") not in (None, []) else []
    return ", ".join([said, *limits, *default])


def _static(path: Path) -> Callable[..., Any]:
    return _bytes(path.read_bytes(), _TYPES[path.suffix])


def _bytes(content: bytes, kind: str) -> Callable[..., Any]:
    """Return an endpoint for a file, compressed for who can read that."""
    packed = gzip.compress(content, 9)

    async def answer(request: Request) -> Response:
        headers = {"cache-control": "no-cache", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**headers, "content-encoding": "gzip"}, media_type=kind)
        return Response(content, headers=headers, media_type=kind)

    return answer
