"""One client for all services on the network: it repeats a request where that can help, and fails in one line.

    client = Client("https://api.themoviedb.org/3", key)              # Authorization: Bearer KEY
    client.get_json("movie/603", {"language": "en"})

Repeated are: a connection that failed or was cut, a timeout, 408, 429 and 5xx. The k-th pause is

    Retry-After (seconds or a date), up to a tenth longer, where the server sends it;
    else 2^(k-1) seconds, shortened at random by up to a half;          never above 60 seconds.

Not repeated: a 429 for a used-up quota, and every other 4xx. Requests with a key or a body follow no redirect. TLS
certificates are always verified. (urllib3's `Retry` does not read why a 429 was sent, and can't be stopped.)
"""

from __future__ import annotations

import contextlib
import json
import queue
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from ..data.errors import ServiceError, SettingsError
from .key import Key, hide, parse_address

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
Job = TypeVar("Job")
LONGEST_PAUSE = 60.0  # seconds
_QUOTA = re.compile(rb"insufficient_quota|billing_hard_limit_reached|billing_not_active|access_terminated")
_FILTER = re.compile(rb"(?i)filter|moderation|flagged|content[ _](?:management|policy)|safety[ _]system|ResponsibleAI")
_REMEDIES = {
    401: "check the key in {}",
    403: "check the key in {}",
    404: "check the address, and the model's name where there is one",
    413: "send less at once",
    429: "the quota is used up, add credit or use another key",
}
FOR_ALL = (401, 402, 403, 404, 407, 429)  # with these it would refuse other requests too


class WebError(ServiceError):
    """A request that failed for good.

    status: of HTTP; 0 where no whole answer came.  detail: the server's own words, cut short, without the key.
    retryable: a later attempt may succeed.  retry_after: seconds that the server asks to wait.  filtered: what was sent
    is refused for what it says.
    """

    def __init__(self, message: str, status: int = 0, detail: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.status, self.detail, self.retryable = status, detail, retryable
        self.retry_after: Optional[float] = None
        self.filtered = False


@dataclass(eq=False)
class Client:
    """One service and its key; may be used by several threads.

    base_url: https; plain http is allowed without a key, or within the machine and private networks.
    key_parameter: the parameter of addresses that holds the key, in place of a header.  timeout: seconds to wait for
    an answer to begin, and again for the rest of it.  attempts: of each request.  rate: requests a second at most, 0:
    no limit.  say: gets a line for each repetition.  stop: once set, nothing is repeated or waited for.
    """

    base_url: str
    key: Optional[Key] = None
    key_parameter: str = ""
    timeout: float = 60.0
    attempts: int = 5
    max_bytes: int = 256 << 20
    rate: float = 0.0
    say: Callable[[str], object] = str
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        address = parse_address(self.base_url)
        if set("?#") & set(self.base_url):
            raise SettingsError(f"{self.base_url!r} has more than a path: give the address up to /v1, without ? and #")
        if self.key is not None and address.scheme != "https" and not address.private:
            raise SettingsError(f"a key would go to {address.host} unencrypted: give an https address")
        self.base_url, self.host = self.base_url.rstrip("/"), address.host
        self._connected, self._next_turn, self._lock = False, 0.0, threading.Lock()
        self._session = requests.Session()
        self._session.trust_env = not address.loopback  # no proxy for this machine
        self._session.auth = lambda request: request  # in place of what stands in ~/.netrc
        self._session.headers["User-Agent"] = "tastevec"
        if self.key is not None and self.key_parameter:
            self._session.params = {self.key_parameter: self.key.value}
        elif self.key is not None:
            self._session.headers["Authorization"] = f"Bearer {self.key.value}"
        self._session.max_redirects = 5
        self._session.mount(f"{address.scheme}://", HTTPAdapter(pool_maxsize=64))

    def get(self, path: str, parameters: Optional[Mapping[str, str]] = None) -> bytes:
        """GET `path` behind the base URL; return the answer as it is."""
        return self.retry(lambda: self.send("GET", path, self._read, params=parameters))

    def get_json(self, path: str, parameters: Optional[Mapping[str, str]] = None) -> Any:
        """Return what GET answers, read as JSON."""
        return self.read_json(self.get(path, parameters))

    def post(self, path: str, body: object, **form: Any) -> bytes:
        """POST `body` as JSON, or None and a form with `data` and `files`; return the answer as it is."""
        return self.retry(lambda: self.send("POST", path, self._read, json=body, **form))

    def read_json(self, content: bytes) -> Any:
        """Return an answer read as JSON; raises `WebError` for a page of HTML and all else that is none."""
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(content)
        what = hide(words_of(content), self.key, 60)
        raise WebError(f"{self.host} answered with no JSON ({what}): check the address {self.base_url}", 200)

    def unexpected(self, answer: Any, what: str) -> WebError:
        """Return the error for an answer of another form; some proxies pass errors on as success."""
        words = hide(words_of(json.dumps(answer).encode()), self.key) if answer else ""
        what += f" ({words})" if words else ""
        return WebError(f"{self.host} answered with {what}: check the address {self.base_url} and the model", 200)

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return `attempt()`, called again after pauses while it raises a retryable `WebError`."""
        for number in range(1, self.attempts + 1):
            with self._lock:
                delay = max(0.0, self._next_turn - time.monotonic())
                self._next_turn = time.monotonic() + delay + (1 / self.rate if self.rate else 0.0)
            if self.stop.wait(delay):
                break
            try:
                return attempt()
            except WebError as error:
                if not error.retryable or number == self.attempts or self.stop.is_set():
                    raise
                pause = 2.0 ** (number - 1) * random.uniform(0.5, 1)
                if error.retry_after is not None:
                    pause = error.retry_after * random.uniform(1, 1.1)
                pause, what = min(LONGEST_PAUSE, pause), str(error).rsplit(": ", 1)[0]
            self.say(f"{what}; attempt {number + 1} of {self.attempts} in {pause:.1f} s")
            self.stop.wait(pause)
        raise WebError(f"{self.host}: stopped: run it again to go on")

    def send(self, method: str, path: str, read: Callable[[requests.Response], T], **content: Any) -> T:
        """Make one attempt and return `read(response)` of an answer with status 2xx; content: params, json, headers.

        Raises `WebError` for every other status and for failures of the connection, those inside `read` included.
        """
        import requests
        from urllib3.exceptions import HTTPError

        url, times = f"{self.base_url}/{path}".rstrip("/"), (min(10.0, self.timeout), self.timeout)
        content.update(timeout=times, stream=True, verify=True, allow_redirects=method == "GET" and self.key is None)
        try:
            with self._session.request(method, url, **content) as response:
                self._connected = True
                if url.startswith("https:") and any(step.url[:5] == "http:" for step in (*response.history, response)):
                    raise WebError(f"{self.host} redirects to an address without TLS: refused")
                if 200 <= response.status_code < 300:
                    return read(response)
                failure = self._refusal(response)
        except (requests.RequestException, HTTPError, ValueError, ConnectionError, TimeoutError) as error:
            failure = self._broken(error)
        # Raised out here: an exception of requests holds the address, with the key, and must not stay attached.
        raise failure

    def _read(self, response: requests.Response) -> bytes:
        """Return the body, which may be neither too large nor too slow."""
        content, end = bytearray(), time.monotonic() + self.timeout
        for block in blocks(response):
            content += block
            if len(content) > self.max_bytes:
                raise WebError(f"{self.host} sent more than {self.max_bytes / 1e6:,.0f} MB: ask for less at once")
            if time.monotonic() > end:
                raise TimeoutError
        return bytes(content)

    def _refusal(self, response: requests.Response) -> WebError:
        """Return the error for an answer whose status is not success."""
        from urllib3 import Retry
        from urllib3.exceptions import InvalidHeader

        status, body = response.status_code, self._read(response)
        detail = hide(words_of(body), self.key)
        # llama.cpp says with a 500 that a text is "too large to process", which it is next time too.
        too_large = status == 500 and re.search("(?i)too (large|long)", detail)
        retryable = (status in (408, 429) or status >= 500) and not too_large
        retryable &= not (status == 429 and _QUOTA.search(body))
        variable = (self.key and self.key.variable) or "the variable that --key-variable names"
        place = hide(response.headers.get("Location", "").split("?")[0], self.key)
        remedy = _REMEDIES.get(status, "change the request").format(variable)
        if retryable or place:
            remedy = "try again later" if retryable else f"give the address it moved to, {place}"
        what = f"{self.host} refused with HTTP {status}" + (f" ({detail})" if detail else "")
        error = WebError(f"{what}: {remedy}", status, detail, retryable)
        error.filtered = not retryable and bool(_FILTER.search(body))
        with contextlib.suppress(InvalidHeader, ValueError, OverflowError):  # what is neither seconds nor a date
            error.retry_after = Retry().get_retry_after(response.raw)
        return error

    def _broken(self, error: BaseException) -> WebError:
        """Return the error for a connection that failed; requests and urllib3 wrap its cause several times."""
        import requests
        from urllib3.exceptions import NewConnectionError

        if isinstance(error, (requests.Timeout, TimeoutError)):
            return WebError(f"{self.host}: no answer within {self.timeout:g} s: try again later", retryable=True)
        while inner := [e for e in (getattr(error, "reason", None), *error.args) if isinstance(e, BaseException)]:
            error = inner[0]
        lasting = isinstance(error, (ValueError, requests.TooManyRedirects)) or "CERTIFICATE" in str(error)
        # An address where nobody ever answered is more likely wrong than busy.
        retryable = not lasting and (self._connected or not isinstance(error, NewConnectionError))
        reason = hide(str(error).split(": ", 1)[-1] or type(error).__name__, self.key)
        remedy = "try again later" if retryable else "check the address"
        return WebError(f"{self.host}: the connection failed, {reason}: {remedy}", retryable=retryable)


def blocks(response: requests.Response) -> Iterator[bytes]:
    """Yield the body in blocks as they come; raises `ConnectionError` where it ends too early."""
    # `iter_content` waits until a block is full, for hours where little comes; urllib3 before 2.2 can do no better.
    read = getattr(response.raw, "read1", None)
    yield from iter(lambda: read(1 << 16, True), b"") if read else response.iter_content(1 << 14)
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and response.raw.tell() < int(length):  # urllib3 before 2 says nothing
        raise ConnectionError(f"only {response.raw.tell():,} of {length} bytes came")


def words_of(body: bytes) -> str:
    """Return what a server says about its refusal.

    OpenAI, vLLM and llama.cpp say {"error": {"message": ...}}, Ollama {"error": ...}, servers made with FastAPI
    {"detail": [{"msg": ...}]}, TMDB {"status_message": ...}, and what stands in between sends a page of HTML.
    """
    text = body[:100_000].decode("utf-8", "replace")
    if re.match(r"(?i)\s*<(!doctype html|html|head|body)", text):
        title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text)
        return f"an HTML page, {' '.join(title.group(1).split())!r}" if title else "an HTML page"
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    while isinstance(content, (dict, list)) and content:
        fields = content if isinstance(content, dict) else {"error": content[0]}
        names = ("error", "message", "detail", "msg", "status_message")
        content = next((fields[name] for name in names if fields.get(name)), "")
    return content if isinstance(content, str) else json.dumps(content)


def at_once(n: int, jobs: Sequence[Job], call: Callable[[Job], Iterable[T]], stop: threading.Event) -> Iterator[T]:
    """Yield what `call(job)` yields for all `jobs`, n of them at a time, in the order of arrival.

    At most 2n results wait to be taken. After an exception no call begins; the results of those under way are still
    yielded, then it is raised. The threads are daemons: those of a ThreadPoolExecutor would keep Ctrl-C waiting for
    slow servers.
    """
    left = iter(jobs)
    arrived: queue.Queue[Any] = queue.Queue(2 * n)

    def work() -> None:
        failure = None
        try:
            for job in left:  # shared by all threads
                for result in call(job):
                    arrived.put((True, result))
                if stop.is_set():
                    break
        except BaseException as error:
            stop.set()
            failure = error
        arrived.put((False, failure))

    for _ in range(n):
        threading.Thread(target=work, daemon=True).start()
    n_running, failures = n, []
    try:
        while n_running:
            runs, result = arrived.get()
            if runs:
                yield result
            else:
                n_running -= 1
                failures += [result] if result else []
    finally:
        stop.set()
        with contextlib.suppress(queue.Empty):  # threads that wait for room go on, and end
            while True:
                arrived.get_nowait()
    if failures:
        raise failures[0]
