"""One server on loopback for all tests: embeddings to check by hand, chat, TMDB and files, with any fault."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest


def vector(text: str, width: int = 3) -> list[float]:
    """Return (number of characters, number of the letter a, 1), padded with zeros to `width`."""
    return [float(len(text)), float(text.count("a")), 1.0, *[0.0] * (width - 3)]


def unit(text: str, width: int = 3) -> np.ndarray:
    """Return `vector` at length 1, or zeros for a blank text."""
    row = np.array(vector(text, width))
    return row / np.linalg.norm(row) if text.strip() else row * 0


@dataclass(frozen=True)
class Reply:
    status: int = 500
    body: Any = b""  # what is neither bytes nor str goes out as JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None  # bytes of the body before the connection ends
    wait: float = 0.0
    wait_in_body: float = 0.0  # after each byte


class Request(NamedTuple):
    path: str  # with the query
    body: Any  # JSON, or {}, or bytes of a form
    headers: dict[str, str]  # with ":method"

    @property
    def method(self) -> str:
        return self.headers[":method"]


class Server(http.server.ThreadingHTTPServer):
    """`faults` are for the next requests in turn; each is a Reply, a function that changes the right answer, or None.

    check: may refuse any request for embeddings, given its texts.  chat: the answer to messages, or the reply.
    refuses: words in the body of a chat request -> what a 400 says.  files: bytes, or what TMDB says, by the end of the
    path.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.width, self.latency, scheme = 3, 0.0, "http"
        if certificate:
            context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}/v1"
        self.faults: list[Reply | Callable[[Any], object] | None] = []
        self.check: Callable[[list[str]], Reply | None] = lambda texts: None
        self.chat: Callable[[list[dict[str, str]]], str | Reply] = lambda messages: "A thief and a policeman."
        self.refuses: dict[str, str] = {}
        self.files: dict[str, Any] = {}
        self.service: Callable[[Request], Reply | None] = lambda request: None  # answers before all others
        self.requests: list[Request] = []
        self.answered: list[str] = []  # texts whose vectors went out
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.001,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that go away are part of the tests."""

    def answer(self, request: Request) -> Reply:
        if reply := self.service(request):
            return reply
        path = urlsplit(request.path).path.removeprefix("/v1/")
        if path == "embeddings":
            texts = request.body["input"]
            rows = [{"index": i, "embedding": vector(text, self.width)} for i, text in enumerate(texts)]
            answer = {"object": "list", "data": rows, "model": request.body["model"]}
            return self.check(texts) or Reply(200, answer)
        if path == "chat/completions":
            for word, refusal in self.refuses.items():
                if f'"{word}"' in json.dumps(request.body):
                    return Reply(400, {"error": {"message": refusal}})
            said = self.chat(request.body["messages"])
            return said if isinstance(said, Reply) else says(said, stream=request.body.get("stream", False))
        content = self.files.get(path.rsplit("/", 1)[-1])
        if content is None or "Range" not in request.headers:
            return Reply(404, {"status_message": "could not be found"}) if content is None else Reply(200, content)
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        extent = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return Reply(206, content[start:], extent) if start < len(content) else Reply(416)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = self.headers.get("Content-Type", "").startswith("multipart/")
        body = content if form else json.loads(content or b"{}")
        request = Request(self.path, body, {**self.headers, ":method": self.command})
        with server.lock:
            server.requests.append(request)
            fault = server.faults.pop(0) if server.faults else None
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            time.sleep(server.latency)
            reply = fault if isinstance(fault, Reply) else server.answer(request)
            if callable(fault):
                fault(reply.body)
            if reply.status == 200 and reply is not fault:
                server.answered.extend([] if form else request.body.get("input", []))
            self.send(reply)
        finally:
            with server.lock:
                server.at_once -= 1

    do_POST = do_GET

    def send(self, reply: Reply) -> None:
        time.sleep(reply.wait)
        text = reply.body if isinstance(reply.body, (bytes, str)) else json.dumps(reply.body)
        content = text.encode() if isinstance(text, str) else text
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        piece = 1 if reply.wait_in_body else len(content) or 1
        for start in range(0, len(content), piece):
            self.wfile.write(content[: reply.cut][start : start + piece])
            self.wfile.flush()
            time.sleep(reply.wait_in_body)
        self.close_connection |= reply.cut is not None


def says(content: Any, end: str = "stop", stream: bool = False, more: str = "data: [DONE]\n\n", **rest: Any) -> Reply:
    """Return the reply of a chat model, in one piece or as a stream of words; rest: beside `content`."""
    if not stream:
        message = {"role": "assistant", "content": content, **rest}
        return Reply(200, {"choices": [{"message": message, "finish_reason": end}], "usage": {"total_tokens": 50}})
    deltas = [{"delta": {"content": word}} for word in re.findall(r"\s*\S+", content)]
    deltas += [{"delta": {}, "finish_reason": end}] if end else []
    events = "".join(f"data: {json.dumps({'choices': [delta]})}\n\n" for delta in deltas)
    return Reply(200, events + more, {"Content-Type": "text/event-stream"})


def make_certificate(folder: Path) -> tuple[str, str]:
    """Return the paths of a certificate that nobody vouches for, and of its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key.pem -out cert.pem"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")
