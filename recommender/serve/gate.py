"""What every request passes: token, rate, size of its body, headers, counts, and one line in the log.

The log and the counts name the address as the API is written, /users/{user_id}/export, so they hold nothing personal.
"""

from __future__ import annotations

import bisect
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import REFUSED, problem, told
from .tokens import IN_ADDRESS, Caller, Tokens

OPEN = ("/health", "/ready", "/docs", "/openapi.json")  # beside the files of the page
TOO_LARGE = "the body has more than {:,} bytes: send less"
_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]  # fmt: skip
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds
_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Limits:
    """rate: requests a second of one token or address, on average; twice as many at once.  body, file: bytes.

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
    started: float = field(default_factory=time.time)

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests[method, route, status] += 1
        known = self.seconds.setdefault(route, [0.0] * (len(_BOUNDS) + 2))
        known[bisect.bisect_left(_BOUNDS, seconds)] += 1
        known[-1] += seconds

    def text(self, **gauges: float) -> str:
        """Return all as Prometheus reads it."""
        lines = ["# TYPE tastevec_requests_total counter"]
        for (method, route, status), n in sorted(self.requests.items()):
            lines.append(f'tastevec_requests_total{{method="{method}",route="{route}",status="{status}"}} {n}')
        lines.append("# TYPE tastevec_seconds histogram")
        for route, (*counts, total) in sorted(self.seconds.items()):
            n = 0
            for bound, count in zip((*_BOUNDS, "+Inf"), counts):
                n += int(count)
                lines.append(f'tastevec_seconds_bucket{{route="{route}",le="{bound}"}} {n}')
            lines += [f'tastevec_seconds_sum{{route="{route}"}} {total:.6f}']
            lines += [f'tastevec_seconds_count{{route="{route}"}} {n}']
        for name, value in {**gauges, "uptime_seconds": time.time() - self.started}.items():
            lines += [f"# TYPE tastevec_{name} gauge", f"tastevec_{name} {value:g}"]
        return "\n".join(lines) + "\n"


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        limits: Limits,
        counts: Counts,
        pages: Iterable[str],
        log: Callable[[str], Any],
        complain: Callable[[str], Any],
    ) -> None:
        """pages: the addresses of static files, which need no token.  log: receives a line for each request."""
        self.app, self.tokens, self.limits, self.counts = app, tokens, limits, counts
        self.open, self.log, self.complain = {*OPEN, *pages}, log, complain
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # of whom -> requests left, at which time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500
        most = self.limits.file if scope["path"] == "/imports" else self.limits.body

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
                if scope["path"] not in self.open:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        n_read, whole = 0, False

        async def read() -> Message:
            nonlocal n_read, whole
            message = await receive()
            n_read += len(message.get("body", b""))
            if n_read > most:
                raise HTTPException(413, TOO_LARGE.format(most))
            if message["type"] == "http.disconnect" and not whole:
                raise HTTPException(408, "the body did not come whole")
            whole = not message.get("more_body", False)
            return message

        try:
            refusal = self.refusal(scope, most)
            await (refusal or self.app)(scope, read, reply)
        except Exception as error:
            refused = problem(*told(error, self.complain))
            if status == 500:
                await refused(scope, read, reply)
        finally:
            route, seconds = getattr(scope.get("route"), "path", "other"), time.perf_counter() - started
            method = scope["method"] if scope["method"] in ("GET", "POST", "PATCH", "DELETE", "HEAD") else "other"
            self.counts.add(method, route, status, seconds)
            self.log(f"{method} {route} {status} {seconds * 1000:.1f} ms")

    def refusal(self, scope: Scope, most: int) -> Optional[ASGIApp]:
        """Return the answer to a request that goes no further; else `scope` knows the caller, where one is needed."""
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        client, is_open = scope.get("client"), scope["path"] in self.open
        caller: Optional[Caller] = None
        if not is_open:
            scheme, _, token = headers.get(b"authorization", "").partition(" ")
            caller = self.tokens.caller(token.strip() if scheme.lower() == "bearer" else "")
            address = unquote(scope.get("raw_path", b"").decode("latin-1") + scope["query_string"].decode("latin-1"))
            caller = None if IN_ADDRESS.search(address) else caller
        if wait := self.wait(caller.id if caller else str(client and _network(client[0]))):
            seconds = str(int(wait) + 1)
            return problem(429, f"too many requests: wait {seconds} s", {"Retry-After": seconds})
        if not is_open and caller is None:
            return problem(401, REFUSED, {"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", "0")
        if length.isdecimal() and int(length[:15]) > most:
            return problem(413, TOO_LARGE.format(most), {"Connection": "close"})
        scope["caller"] = caller
        return None

    def wait(self, who: str) -> float:
        """Return the seconds that somebody has to wait, 0 if this request may pass (a token bucket)."""
        rate, now = self.limits.rate, time.monotonic()
        left, before = self._left.pop(who, (2 * rate, now))
        left = min(left + (now - before) * rate, max(2 * rate, 1))
        self._left[who] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > _MOST_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / rate


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, which one house has."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip if ip.version == 4 else ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
