"""Fetch a file over HTTP in one piece or not at all.

The file grows as `NAME.part` beside its place and takes its final name only when its digest is right. A transfer that
stops is continued where it stopped (an HTTP Range request, tied by If-Range to the file it began with). Each address
is tried in turn. TLS certificates are always verified, plain HTTP is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional
from urllib.parse import urlsplit

from recommender.data.errors import DataError, SettingsError
from recommender.data.files import exclusive

if TYPE_CHECKING:
    import requests

ATTEMPTS = 4
TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
N_DIGITS = {"md5": 32, "sha256": 64}
BLOCK = 1 << 16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Say = Callable[[str], None]


class _GoneError(Exception):
    """This mirror can't give the file; the text says why."""


class _BrokenError(Exception):
    """The transfer stopped; the part that came stays and may be continued."""


class _Part(NamedTuple):
    """The file that grows, and the note of what it is a part of (URL and validator)."""

    path: Path
    note: Path

    def discard(self) -> None:
        for file in self:
            file.unlink(missing_ok=True)


def fetch(
    urls: Sequence[str],
    target: Path,
    algorithm: str,
    digest: Optional[str] = None,
    pause: float = 1.0,
    say: Say = print,
) -> Path:
    """Fetch `target` from the first of `urls` that has it right; return its path.

    digest: what the file must have, in hexadecimal by `algorithm` ("md5", "sha256"); None asks for it at
    `URL.algorithm`. pause: seconds before the second attempt, doubled each time. Raises `DataError`, with what each
    server answered, where none gives the right file; `ArtifactError` while another process fetches the same one.
    """
    import requests

    for url in urls:
        check_address(url)
    part = _Part(target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json"))
    lock = target.with_name(f".{target.stem}.lock")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with contextlib.ExitStack() as held, requests.Session() as session:
        held.enter_context(exclusive(lock, str(target)))
        for url in urls:
            try:
                expected = digest or _fetch_digest(session, url, algorithm)
                if target.is_file() and file_digest(target, algorithm) == expected:
                    say(f"{target} is there already, and its {algorithm.upper()} is right")
                    return target
                _fetch_checked(session, url, part, expected, algorithm, pause, say)
            except (_GoneError, _BrokenError) as error:
                failures.append(f"{url}: {error}")
                say(failures[-1])
                continue
            os.replace(part.path, target)
            part.discard()
            return target
    kept = f"; {part.path} is kept to continue from" if part.path.exists() else ""
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(failures)}): try again, or elsewhere{kept}")


def check_address(url: str) -> None:
    """Raise `SettingsError` for an address without TLS, unless it is on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise SettingsError(f"{url!r} is not an https address: give one that begins with https://")


def _fetch_digest(session: requests.Session, url: str, algorithm: str) -> str:
    """Return the digest that the server publishes beside the file."""
    import requests

    beside = f"{url}.{algorithm}"
    try:
        with _get(session, beside, {}) as response:
            if response.status_code != 200:
                raise _GoneError(f"no checksum, HTTP {response.status_code} for {beside}")
            found = re.search(rf"\b[0-9a-fA-F]{{{N_DIGITS[algorithm]}}}\b", response.text[:1000])
    except requests.RequestException as error:
        raise _GoneError(_reason(error)) from None
    if not found:
        raise _GoneError(f"{beside} holds no {algorithm.upper()}")
    return found.group().lower()


def _fetch_checked(
    session: requests.Session, url: str, part: _Part, expected: str, algorithm: str, pause: float, say: Say
) -> None:
    """Make `part` the whole file with the digest `expected`; a continued file that comes out wrong is begun anew."""
    for _ in range(2):
        continued = part.path.exists()
        _fetch_whole(session, url, part, pause, say)
        found = file_digest(part.path, algorithm)
        if found == expected:
            return
        part.discard()
        if not continued:
            break
    raise _GoneError(f"its {algorithm.upper()} is {found}, expected {expected}")


def _fetch_whole(session: requests.Session, url: str, part: _Part, pause: float, say: Say) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _fetch_rest(session, url, part)
            return
        except _BrokenError as error:
            if attempt == ATTEMPTS - 1:
                raise
            say(f"{url}: {error}; trying again")


def _fetch_rest(session: requests.Session, url: str, part: _Part) -> None:
    """Append to `part` what is missing; raises `_BrokenError` where the connection ends too early."""
    import requests

    size, validator = _resume_point(part, url)
    headers = {"Range": f"bytes={size}-", "If-Range": validator} if size else {}
    try:
        with _get(session, url, headers) as response:
            status = response.status_code
            if status == 416:
                part.discard()
                raise _BrokenError("the part that was there does not fit the file")
            if status == 429 or status >= 500:
                raise _BrokenError(f"HTTP {status}")
            if status not in (200, 206):
                raise _GoneError(f"HTTP {status}")
            start, total = _extent(response)
            if start not in (0, size):
                raise _BrokenError(f"bytes from {start} instead of {size}")
            if start == 0:
                _note(part, url, response)
            with open(part.path, "ab" if start else "wb") as file:
                for block in response.iter_content(BLOCK):
                    file.write(block)
                    _show_progress(file.tell(), total)
    except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
        raise _GoneError(_reason(error)) from None
    except requests.RequestException as error:
        raise _BrokenError(_reason(error)) from None
    # urllib3 before version 2 ends a body that was cut without a word.
    have = part.path.stat().st_size
    if total is not None and have != total:
        raise _BrokenError(f"only {have:,} of {total:,} bytes came")


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Send a GET whose body is still to be read; a redirect away from https is refused."""
    import requests

    plain = {"Accept-Encoding": "identity", "User-Agent": "tastevec", **headers}
    response = session.get(url, headers=plain, stream=True, timeout=TIMEOUT, verify=True)
    for step in (*response.history, response):
        if urlsplit(url).scheme == "https" and urlsplit(step.url).scheme != "https":
            response.close()
            raise requests.exceptions.InvalidURL("it redirects to an address without TLS")
    return response


def _extent(response: requests.Response) -> tuple[int, Optional[int]]:
    """Return where the body begins in the file, and the size of the whole file where it is told."""
    if response.status_code == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match:
            raise _BrokenError("a partial answer without its range")
        return int(match.group(1)), None if match.group(2) == "*" else int(match.group(2))
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _resume_point(part: _Part, url: str) -> tuple[int, str]:
    """Return the size and the validator of the part to continue; 0 where there is none, or it is of something else."""
    try:
        note = json.loads(part.note.read_text(encoding="utf-8"))
        if note["url"] == url and note["validator"]:
            return part.path.stat().st_size, note["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _note(part: _Part, url: str, response: requests.Response) -> None:
    etag = response.headers.get("ETag", "")
    # A weak ETag promises no equal bytes, so it can't join two halves.
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    part.note.write_text(json.dumps({"url": url, "validator": validator}) + "\n", encoding="utf-8")


def file_digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file in hexadecimal; `algorithm`: "md5" or "sha256"."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """Return the innermost words of an error of requests, which wrap several."""
    text = str(error)
    return "the TLS certificate is not valid" if "CERTIFICATE_VERIFY_FAILED" in text else text.splitlines()[0][:200]


def _show_progress(have: int, total: Optional[int]) -> None:
    if sys.stderr.isatty():
        whole = f" of {total / 1e6:,.1f}" if total else ""
        end = "\n" if have == total else ""
        print(f"\r{have / 1e6:,.1f}{whole} MB", end=end, file=sys.stderr, flush=True)
