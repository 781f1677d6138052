"""A server on loopback that gives embeddings which can be checked by hand, and misbehaves on demand.

The vector of a text is (number of characters, number of the letter a, 1), padded with zeros to `width`.
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy as np

PIECE = 20_000


def vector(text: str, width: int = 3) -> list[float]:
    """Return the vector of a text as the server gives it, not yet of length 1."""
    return [float(len(text)), float(text.count("a")), 1.0, *[0.0] * (width - 3)]


def unit(text: str, width: int = 3) -> np.ndarray:
    """Return the vector of a text at length 1, or zeros for a blank one."""
    row = np.array(vector(text, width))
    return row / np.linalg.norm(row) if text.strip() else row * 0


class Reply(NamedTuple):
    """What one request gets instead of its vectors.

    cut: bytes of the body before the connection ends.  wait_in_body: seconds after each `piece` bytes of the body.
    """

    status: int = 500
    body: Union[bytes, str, dict[str, Any]] = b""
    headers: Mapping[str, str] = MappingProxyType({})
    cut: Optional[int] = None
    wait: float = 0.0
    wait_in_body: float = 0.0
    piece: int = PIECE


# Changes a right answer ({"data": [...]}) into another.
Change = Callable[[dict[str, Any]], object]


class Server(http.server.ThreadingHTTPServer):
    """`faults` are for the next requests in turn (None: none); `check` may refuse any request, given its texts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, width: int = 3, latency: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.width, self.latency = width, latency
        self.faults: list[Union[Reply, Change, None]] = []
        self.check: Callable[[list[str]], Optional[Reply]] = lambda texts: None
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []  # path, body, headers
        self.answered: list[str] = []  # texts whose vectors went out
        self.at_once = self.most_at_once = 0
        self.n_sent = 0  # bytes of bodies that go out piece by piece
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: dict[str, Any]) -> None:
        server = self.server
        with server.lock:
            server.requests.append((self.path, body, dict(self.headers)))
            fault = server.faults.pop(0) if server.faults else None
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            time.sleep(server.latency)
            texts = body.get("input", [])
            if isinstance(fault, Reply):
                self._send(fault)
                return
            refused = server.check(texts)
            if refused is not None:
                self._send(refused)
                return
            rows = [
                {"object": "embedding", "index": i, "embedding": vector(t, server.width)} for i, t in enumerate(texts)
            ]
            answer = {"object": "list", "data": rows, "model": body.get("model")}
            if body.get("encoding_format") == "base64":
                in_base64(answer)
            if fault is not None:
                fault(answer)
            with server.lock:
                server.answered.extend(texts)
            self._send(Reply(200, answer))
        finally:
            with server.lock:
                server.at_once -= 1

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.wait)
        content = json.dumps(reply.body) if isinstance(reply.body, dict) else reply.body
        content = content.encode() if isinstance(content, str) else content
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(content), reply.piece) if reply.wait_in_body else ():
            self.wfile.write(content[start : start + reply.piece])
            self.wfile.flush()
            self.server.n_sent += reply.piece
            time.sleep(reply.wait_in_body)
        if not reply.wait_in_body:
            self.wfile.write(content[: reply.cut])
        if reply.cut is not None:
            self.close_connection = True


def in_base64(answer: dict[str, Any]) -> None:
    """Give the vectors in base64, as OpenAI does where it is not asked for floats."""
    for row in answer["data"]:
        row["embedding"] = base64.b64encode(np.array(row["embedding"], "<f4").tobytes()).decode()
