"""Requests to services on the network: repeated where that can help, told in one line where it can't.

    key = web.key_from_environment("TMDB_TOKEN")                        # None where the variable is not set
    client = web.Client("https://api.themoviedb.org/3", key)            # Authorization: Bearer KEY
    client = web.Client("https://api.themoviedb.org/3", key, key_parameter="api_key")     # ...?api_key=KEY
    movie = client.get_json("movie/603", {"language": "en"})
    answer = client.post_json("chat/completions", {"model": ..., "messages": ...})
    poster = client.get_bytes("https://image.tmdb.org/t/p/w185/x.jpg")  # a whole address: the key stays at home

A request fails with `WebError`, whose text is one line and never holds the key, even where the server sent it back.
Repeated are: no connection, a cut one, a timeout, 408, 429 and 5xx. The k-th pause is

    Retry-After (seconds or a date), up to a tenth longer, where the server says it;
    else first_pause * 2^(k-1), cut at random by up to a half;       never above longest_pause

so that many clients do not come back in the same moment. Not repeated: a 429 that says that the quota is used up, and
every other 4xx. TLS certificates are always verified. A client may be used by several threads.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional
from urllib.parse import urljoin

from ..data.errors import SettingsError
from .error_messages import N_SHOWN, WebError, html_page, innermost, refusal
from .key import Address, Key, hide, key_from_environment, parse_address

if TYPE_CHECKING:
    import requests

__all__ = ["Client", "Key", "WebError", "key_from_environment"]

MAX_BYTES = 64 << 20
_MAX_REDIRECTS = 5
_BLOCK = 1 << 14  # bytes; between two blocks the time is looked at


class Client:
    """One service: where it is, who we are there, and how patient we are.

    base_url: https; plain http is allowed without a key, or within the machine and private networks.
    timeout: seconds to wait for an answer to begin, and again for the rest of it.  attempts: of each request.
    sleep, clock (seconds since 1970), jitter (uniform in 0..1): for tests.  say: told of each repetition in one line.
    """

    def __init__(
        self,
        base_url: str,
        key: Optional[Key] = None,
        *,
        key_parameter: str = "",
        timeout: float = 60.0,
        attempts: int = 5,
        first_pause: float = 1.0,
        longest_pause: float = 60.0,
        max_bytes: int = MAX_BYTES,
        connections: int = 4,
        sleep: Optional[Callable[[float], object]] = None,
        clock: Callable[[], float] = time.time,
        jitter: Optional[Callable[[], float]] = None,
        say: Optional[Callable[[str], object]] = None,
    ) -> None:
        self.home = parse_address(base_url)
        if set("?#") & set(base_url):
            raise SettingsError(f"{base_url!r} has more than a path: give the address up to /v1, without ? and #")
        self.home.refuse_clear_key(key)
        self.base_url = base_url.rstrip("/")
        self.key, self.key_parameter = key, key_parameter
        self.timeout, self.attempts, self.max_bytes = timeout, attempts, max_bytes
        self.first_pause, self.longest_pause = first_pause, longest_pause
        self.connections = connections
        self._sleep, self._clock, self._jitter = sleep, clock, jitter or random.Random().random
        self._say = say or (lambda _: None)
        self._sessions: dict[bool, requests.Session] = {}
        self._answered = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def get_json(self, path: str, parameters: Optional[Mapping[str, object]] = None) -> Any:
        """Return what GET `path` answers, read as JSON; `path` goes behind the base URL, or is a whole address."""
        return self.read_json(self.get_bytes(path, parameters))

    def post_json(self, path: str, body: object, stop: Optional[threading.Event] = None) -> Any:
        """POST `body` as JSON; return the answer, read as JSON. Nothing is repeated any more once `stop` is set."""
        return self.read_json(self.post_bytes(path, body, stop))

    def get_bytes(self, path: str, parameters: Optional[Mapping[str, object]] = None) -> bytes:
        """Return what GET `path` answers, as it is."""
        return self._repeat(path, _Request("GET", parameters or {}, None))

    def post_bytes(self, path: str, body: object, stop: Optional[threading.Event] = None) -> bytes:
        """POST `body` as JSON; return the answer as it is."""
        return self._repeat(path, _Request("POST", {}, json.dumps(body).encode()), stop)

    def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            session.close()

    def read_json(self, content: bytes) -> Any:
        """Return an answer read as JSON; raises `WebError` for a page of HTML and all else that is none."""
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            text = content[:10_000].decode("utf-8", "replace")
        what = hide(html_page(text), self.key, N_SHOWN) or f"what is no JSON ({hide(text, self.key, 60)!r})"
        raise WebError(f"{self.home.host} answered with {what}: check the address {self.base_url}", 200)

    def _repeat(self, path: str, request: _Request, stop: Optional[threading.Event] = None) -> bytes:
        address = parse_address(path if "://" in path else f"{self.base_url}/{path.lstrip('/')}")
        for attempt in itertools.count(1):
            try:
                return self._follow(request, address)
            except WebError as error:
                # A place that nobody was ever found at is more likely wrong than busy.
                attempts = min(2, self.attempts) if error.unreached and not self._answered else self.attempts
                if not error.passing or attempt >= attempts or (stop and stop.is_set()):
                    raise
                pause = self._pause(attempt, error.asked_pause)
                told = str(error).rsplit(": ", 1)[0]
            self._say(f"{told}; attempt {attempt + 1} of {attempts} in {pause:.1f} s")
            if self._sleep is None and stop is not None:
                stop.wait(pause)
            else:
                (self._sleep or time.sleep)(pause)
        raise AssertionError("itertools.count ended")

    def _pause(self, attempt: int, asked: Optional[float]) -> float:
        if asked is not None:
            return min(self.longest_pause, asked * (1 + 0.1 * self._jitter()))
        return min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1)) * (1 - 0.5 * self._jitter())

    def _follow(self, request: _Request, address: Address) -> bytes:
        """Send a request and follow the redirects of a GET; the key goes to the base URL's own origin alone."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._exchange(request, address)
            self._answered = True
            if 200 <= answer.status < 300:
                return answer.content
            target = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
            if target is None:
                raise refusal(address.host, answer.status, answer.headers, answer.content, self.key, self._clock())
            address = self._next_address(request, address, target, answer.status)
            request = request._replace(parameters={})
        raise WebError(f"{address.host} redirects more than {_MAX_REDIRECTS} times: check the address", answer.status)

    def _next_address(self, request: _Request, address: Address, target: str, status: int) -> Address:
        shown = hide(target.split("?")[0], self.key, N_SHOWN)
        if request.method != "GET":
            raise WebError(f"{address.host} redirects to {shown}: give the address it moved to", status)
        following = None
        with contextlib.suppress(SettingsError, ValueError):
            url = urljoin(address.url, target)
            following = parse_address(url)
        if following is None:
            raise WebError(f"{address.host} redirects to {shown}, which is no address: refused", status)
        if following.origin != self.home.origin and hide(url, self.key) != url:
            raise WebError(f"{address.host} redirects, with the key, to {following.host}: refused", status)
        if address.scheme == "https" and following.scheme != "https":
            raise WebError(f"{address.host} redirects to {shown}, without TLS: refused", status)
        return following

    def _exchange(self, request: _Request, address: Address) -> _Answer:
        """Send one request and read the whole answer, whatever its status."""
        import requests
        from urllib3.exceptions import HTTPError, NewConnectionError

        parameters = {name: str(value) for name, value in request.parameters.items()}
        headers = {"User-Agent": "tastevec"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        key = self.key if address.origin == self.home.origin else None
        passing, unreached = True, False
        try:
            with self._session(address).request(
                request.method,
                address.url,
                params=parameters,
                data=request.body,
                headers=headers,
                timeout=(min(10.0, self.timeout), self.timeout),
                auth=_Signature(key, self.key_parameter),
                stream=True,
                verify=True,
                allow_redirects=False,
            ) as response:
                return _Answer(response.status_code, response.headers, self._read(response, address))
        except (requests.Timeout, _SlowError):
            reason = f"no answer within {self.timeout:g} s"
        except requests.exceptions.SSLError as error:
            reason = f"no safe connection, {innermost(error)}"
            passing = "CERTIFICATE" not in str(error)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, HTTPError, _CutError) as error:
            reason = f"the connection failed, {innermost(error)}"
            unreached = isinstance(getattr((*error.args, None)[0], "reason", None), NewConnectionError)
        except (requests.RequestException, ValueError) as error:
            reason, passing = f"the request failed, {innermost(error)}", False
        # Raised out here: an exception of requests holds the address, with the key, and must not stay attached.
        remedy = "try again later, or check the address" if passing else "check the address"
        failure = WebError(f"{address.host}: {hide(reason, self.key, N_SHOWN)}: {remedy}", passing=passing)
        failure.unreached = unreached
        raise failure

    def _session(self, address: Address) -> requests.Session:
        """Return the session for an address; those of this machine are not asked for through a proxy."""
        import requests
        from requests.adapters import HTTPAdapter

        with self._lock:
            if address.loopback not in self._sessions:
                session = requests.Session()
                session.trust_env = not address.loopback
                for scheme in ("https://", "http://"):
                    session.mount(scheme, HTTPAdapter(pool_maxsize=self.connections))
                self._sessions[address.loopback] = session
            return self._sessions[address.loopback]

    def _read(self, response: requests.Response, address: Address) -> bytes:
        """Return the body; it may be neither too large, nor too slow, nor cut."""
        blocks, size, end = [], 0, time.monotonic() + self.timeout
        # A block of what has come: `iter_content` would wait until a block is full, for hours where little comes.
        # urllib3 before 2.2 can do no better.
        read = getattr(response.raw, "read1", None)
        for block in iter(lambda: read(_BLOCK, True), b"") if read else response.iter_content(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > self.max_bytes:
                raise WebError(f"{address.host} sent more than {self.max_bytes / 1e6:,.0f} MB: ask for less at once")
            if time.monotonic() > end:
                raise _SlowError
        # urllib3 before version 2 ends a body that was cut without a word.
        told = response.headers.get("Content-Length", "")
        if told.isdigit() and response.raw.tell() < int(told):
            raise _CutError(f"only {response.raw.tell():,} of {told} bytes came")
        return b"".join(blocks)


class _Request(NamedTuple):
    method: str
    parameters: Mapping[str, object]
    body: Optional[bytes]


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes


class _CutError(Exception):
    """The body ended before its told length."""


class _SlowError(Exception):
    """The body did not end in time."""


class _Signature:
    """Puts the key into a request at the last moment, so that no variable on the way holds it.

    Without a key it does nothing, where requests by itself would send the credentials that it finds in ~/.netrc.
    """

    def __init__(self, key: Optional[Key], parameter: str) -> None:
        self._key, self._parameter = key, parameter

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None and self._parameter:
            request.prepare_url(request.url, {self._parameter: self._key.value})
        elif self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key.value}"
        return request
