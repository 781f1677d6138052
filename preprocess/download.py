"""Fetch a MovieLens data set by name, in one piece or not at all.

The archive grows as `NAME.zip.part` beside its place and takes its final name only when its MD5 is right. A
download that stops is continued where it stopped (an HTTP Range request, tied by If-Range to the file it began
with). Each mirror is tried in turn. The MD5 is the published one for the data sets that never change; for the others
it is read from `NAME.zip.md5` beside the archive. TLS certificates are always verified, plain HTTP is refused.

    python -m preprocess.download ml-latest-small
    python -m preprocess.setup --data data/ml-latest-small.zip
"""

from __future__ import annotations

import contextlib
import difflib
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

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import program as common
from recommender import artifacts, command
from recommender.errors import ChoiceError, DataError, SettingsError

if TYPE_CHECKING:
    import requests

MIRRORS = ("https://files.grouplens.org/datasets/movielens",)
# As GroupLens publishes them; None: the archive changes from time to time.
PUBLISHED_MD5: dict[str, Optional[str]] = {
    "ml-latest-small": None,
    "ml-latest": None,
    "ml-32m": "d472be332d4daa821edc399621853b57",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "ml-10m": "ce571fd55effeba0271552578f2648bd",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
}
ATTEMPTS = 4
TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
_BLOCK = 1 << 16
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


def download(
    name: str,
    folder: Path,
    mirrors: Sequence[str] = MIRRORS,
    md5: Optional[str] = None,
    pause: float = 1.0,
    say: Say = print,
) -> Path:
    """Fetch `NAME.zip` into `folder` from the first of `mirrors` that has it right; return its path.

    md5: what it must have; None asks the mirror for `NAME.zip.md5`. pause: seconds before the second attempt, doubled
    each time. Raises `DataError`, with what each mirror answered, where none gives the right file; `ArtifactError`
    while another process fetches the same one.
    """
    import requests

    for mirror in mirrors:
        _check_mirror(mirror)
    target, lock = folder / f"{name}.zip", folder / f".{name}.lock"
    part = _Part(folder / f"{name}.zip.part", folder / f"{name}.zip.part.json")
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    with contextlib.ExitStack() as held, requests.Session() as session:
        held.enter_context(artifacts.exclusive(lock, str(target)))
        held.callback(lock.unlink, missing_ok=True)
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{name}.zip"
            try:
                expected = md5 or _fetch_md5(session, url)
                if target.is_file() and _md5(target) == expected:
                    say(f"{target} is there already, and its MD5 is right")
                    return target
                _fetch_checked(session, url, part, expected, pause, say)
            except (_GoneError, _BrokenError) as error:
                failures.append(f"{url}: {error}")
                say(failures[-1])
                continue
            os.replace(part.path, target)
            part.discard()
            return target
    kept = f"; {part.path} is kept to continue from" if part.path.exists() else ""
    raise DataError(f"{name} could not be downloaded ({'; '.join(failures)}): try again, or give a --mirror{kept}")


def _check_mirror(mirror: str) -> None:
    parts = urlsplit(mirror)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise SettingsError(f"--mirror {mirror!r} is not an https address: give one like {MIRRORS[0]}")


def _fetch_md5(session: requests.Session, url: str) -> str:
    """Return the MD5 that the mirror publishes beside the archive."""
    import requests

    try:
        with _get(session, url + ".md5", {}) as response:
            if response.status_code != 200:
                raise _GoneError(f"no checksum, HTTP {response.status_code} for {url}.md5")
            found = re.search(r"\b[0-9a-fA-F]{32}\b", response.text[:1000])
    except requests.RequestException as error:
        raise _GoneError(_reason(error)) from None
    if not found:
        raise _GoneError(f"{url}.md5 holds no MD5")
    return found.group().lower()


def _fetch_checked(session: requests.Session, url: str, part: _Part, expected: str, pause: float, say: Say) -> None:
    """Make `part` the whole file with the MD5 `expected`; a continued file that comes out wrong is begun anew."""
    for _ in range(2):
        continued = part.path.exists()
        _fetch_whole(session, url, part, pause, say)
        if _md5(part.path) == expected:
            return
        found = _md5(part.path)
        part.discard()
        if not continued:
            break
    raise _GoneError(f"its MD5 is {found}, expected {expected}")


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
                for block in response.iter_content(_BLOCK):
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


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
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


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fetch one data set."""
    parser = common.Parser(prog="python -m preprocess.download", description="Fetch a MovieLens data set by name.")
    parser.add_argument("name", metavar="NAME", help=", ".join(PUBLISHED_MD5))
    parser.add_argument("--to", type=Path, default=Path("data"), metavar="DIR", help="where to put it (default: data)")
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help=f"an https folder that holds NAME.zip; may be repeated; tried before {', '.join(MIRRORS)}",
    )
    arguments = parser.parse_args(argv)
    name = arguments.name.lower().removesuffix(".zip")
    if name not in PUBLISHED_MD5:
        near = difflib.get_close_matches(name, PUBLISHED_MD5, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PUBLISHED_MD5)}"
        raise ChoiceError(f"no data set called {arguments.name!r}: {hint}")
    artifacts.need_folder(arguments.to, "--to")
    path = download(name, arguments.to, (*arguments.mirror, *MIRRORS), PUBLISHED_MD5[name])
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB\nnext: python -m preprocess.setup --data {path}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
