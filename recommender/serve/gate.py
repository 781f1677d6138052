"""What every request passes: time, token, rate, size of its body, headers, counts, and one line in the log.

The log and the counts name the address as the API is written, /users/{user_id}/export, so they hold nothing personal.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .problems import LOG, REFUSED, problem, told
from .tokens import Tokens

OPEN = ("/health", "/ready", "/docs", "/openapi.json")  # beside the files of the page
TOO_LARGE = "the body has more than {:,} bytes: send less"
SECONDS, RATE = 20.0, 10_000.0  # for head and body; bytes that earn one more second
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds
_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Limits:
    """rate: requests a second of one token or address, on average; bursts of twice that.  body, file: bytes.

    sessions: of one person, or of one token where nobody is named.
    """

    rate: float = 50.0
    body: int = 256 << 10
    file: int = 16 << 20
    sessions: int = 200


@dataclass
class Counts:
    """What /metrics shows of this process."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)  # route -> counts by _BOUNDS, and the sum

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests[method, route, status] += 1
        known = self.seconds.setdefault(route, [0.0] * (len(_BOUNDS) + 2))
        known[bisect.bisect_left(_BOUNDS, seconds)] += 1
        known[-1] += seconds

    def text(self, n_sessions: int) -> str:
        """Return all as Prometheus reads it."""
        lines = ["# TYPE tastevec_sessions gauge", f"tastevec_sessions {n_sessions}"]
        lines.append("# TYPE tastevec_requests_total counter")
        for (method, route, status), n in sorted(self.requests.items()):
            lines.append(f'tastevec_requests_total{{method="{method}",route="{route}",status="{status}"}} {n}')
        lines.append("# TYPE tastevec_seconds histogram")
        for route, (*counts, total) in sorted(self.seconds.items()):
            for i, bound in enumerate((*_BOUNDS, "+Inf"), 1):
                lines.append(f'tastevec_seconds_bucket{{route="{route}",le="{bound}"}} {sum(counts[:i]):.0f}')
            lines.append(f'tastevec_seconds_sum{{route="{route}"}} {total:.6f}')
            lines.append(f'tastevec_seconds_count{{route="{route}"}} {sum(counts):.0f}')
        return "\n".join(lines) + "\n"


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, tokens: Tokens, limits: Limits, counts: Counts, pages: Iterable[str]) -> None:
        """pages: the addresses of static files, which need no token."""
        self.app, self.tokens, self.limits, self.counts, self.open = app, tokens, limits, counts, {*OPEN, *pages}
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # of whom -> requests left, at which time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status, n_read = time.perf_counter(), 500, 0
        most = self.limits.file if scope["path"] == "/imports" else self.limits.body

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                kept = b"no-cache" if scope["path"] in self.open else b"no-store"  # no-cache: revalidated each time
                message["headers"] = [*message.get("headers", ()), *_HEADERS, (b"cache-control", kept)]
            await send(message)

        async def read() -> Message:
            nonlocal n_read
            message = await receive()
            n_read += len(message.get("body", b""))
            if n_read > most:
                raise HTTPException(413, TOO_LARGE.format(most))
            return message

        try:
            await (self.refusal(scope, most) or self.app)(scope, read, reply)
        except Exception as error:
            refused = problem(*told(error))
            if status == 500:
                await refused(scope, read, reply)
        finally:
            route, seconds = getattr(scope.get("route"), "path", "other"), time.perf_counter() - started
            method = scope["method"] if scope["method"] in ("GET", "POST", "PATCH", "DELETE") else "other"
            self.counts.add(method, route, status, seconds)
            LOG.info("%s %s %d %.1f ms", method, route, status, seconds * 1000)

    def refusal(self, scope: Scope, most: int) -> Optional[ASGIApp]:
        """Return the answer to a request that goes no further; else `scope` knows the caller, where one is needed."""
        headers, caller = Headers(scope=scope), None
        if not (is_open := scope["path"] in self.open):
            scheme, _, token = headers.get("authorization", "").partition(" ")
            caller = self.tokens.caller(token.strip() if scheme.lower() == "bearer" else "")
        address, _ = scope.get("client") or ("", 0)
        if wait := self.wait(caller.id if caller else address):
            seconds = str(int(wait) + 1)
            return problem(429, f"too many requests: wait {seconds} s", {"Retry-After": seconds})
        if not is_open and caller is None:
            return problem(401, REFUSED, {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:15]) > most:
            return problem(413, TOO_LARGE.format(most), {"Connection": "close"})
        scope["caller"] = caller
        return None

    def wait(self, who: str) -> float:
        """Return the seconds that somebody has to wait, 0 if this request may pass (a token bucket)."""
        rate, now = self.limits.rate, time.monotonic()
        left, before = self._left.pop(who, (2 * rate, now))
        left = min(left + (now - before) * rate, max(2 * rate, 1))
        self._left[who] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _MOST_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / rate


class Prompt(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """The protocol that uvicorn chooses, but a connection that does not bring a request whole in time is closed.

    For `uvicorn.Config(http=Prompt)`. Time runs from the connection, or from the first byte of a later request; uvicorn
    itself closes a connection that is idle between requests.
    """

    _timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle and not (self.cycle.more_body or self.cycle.response_complete):
            self._stop()  # the request is whole: its answer takes its time
        elif self._timer:
            self._until += len(data) / RATE
        else:
            self._wait()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._stop()
        super().connection_lost(error)

    def _wait(self) -> None:
        self._until: float = self.loop.time() + SECONDS
        self._timer = self.loop.call_later(SECONDS, self._end)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _end(self) -> None:
        if (left := self._until - self.loop.time()) > 0:
            self._timer = self.loop.call_later(left, self._end)
        else:
            self.transport.abort()
