"""A server on loopback for tests: the application in a thread, or the program in a process."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import pytest
import requests

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
ROOT = Path(__file__).resolve().parents[1]


class Client:
    """Requests to one server with one token."""

    def __init__(self, url: str, token: Optional[str]) -> None:
        self.url, self.token, self.http = url.rstrip("/"), token, requests.Session()
        self.http.trust_env = False

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **more.pop("headers", {})}
        return self.http.request(method, self.url + path, json=json, headers=headers, timeout=60, **more)

    def as_(self, token: Optional[str]) -> Client:
        return Client(self.url, token)

    def ok(self, method: str, path: str, json: Any = None, **more: Any) -> Any:
        """Return the JSON of an answer of 2xx."""
        found = self(method, path, json, **more)
        assert found.ok, f"{found.status_code} {found.text}"
        return found.json() if found.content else None

    def person(self, name: str) -> Client:
        """Make a person; return a client with their token."""
        return self.as_(self.ok("POST", "/users", {"user_id": name})["token"])

    def answer(self, session: dict[str, Any], answer: str) -> dict[str, Any]:
        """Answer the movie on the table; return the session after."""
        given = {"movie_id": session["movie"]["movie_id"], "answer": answer}
        return self.ok("POST", f"/sessions/{session['session_id']}/answer", given)


def detail(answer: requests.Response, status: int) -> str:
    """Return what a problem document says, in one line."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert "\n" not in said["detail"]
    return str(said["detail"])


def at_once(ask: Callable[..., requests.Response], given: list[Any]) -> list[int]:
    """Return the statuses of requests in threads, one for each of `given`."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda one=one: statuses.append(ask(one).status_code)) for one in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def unhurried() -> Any:
    """Return limits that no test meets by being quick."""
    from recommender.serve.gate import Limits

    return Limits(rate=1e6)


@contextmanager
def application(recommender: Any, folder: Path, **more: Any) -> Iterator[tuple[Client, Any, list[str]]]:
    """Yield a client with a token for everything, the tokens, and the lines of the log."""
    import uvicorn

    from recommender.serve.app import create_app
    from recommender.serve.database import Database
    from recommender.serve.gate import Prompt
    from recommender.serve.tokens import Tokens

    lines: list[str] = []
    log, handler = logging.getLogger("recommender.serve"), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    tokens = Tokens(folder / "tokens.json")
    methods = [recommender.models.name_of(name) for name in (None, "popularity", "embedding")]
    app = create_app(recommender, methods, Database(folder / "serve.sqlite"), tokens, "0", **more)
    server = uvicorn.Server(uvicorn.Config(app, http=Prompt, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Client(f"http://127.0.0.1:{port}", tokens.make("test")), tokens, lines
    finally:
        server.should_exit = True
        thread.join(20)
        log.removeHandler(handler)


@contextmanager
def program(store: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Yield the process of `python -m model.serve`, its address, and the token of its first start, later the line."""
    command = [sys.executable, "-m", "model.serve", "--port", "0", "--store", str(store), *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if found := re.search(r"(http://\S+?/)(?:#token=(\S+))?(?:\s|$)", line):
                    yield process, found[1], found[2] or line
                    return
            raise AssertionError(said)
        finally:
            process.kill()
