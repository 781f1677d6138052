"""Fetch a MovieLens data set by name, in one piece or not at all.

    python -m preprocess.download ml-latest-small
    python -m preprocess.setup --data data/ml-latest-small.zip

The file grows as `NAME.part` beside its place and takes its final name only when its digest is right: the published
MD5 for the data sets that never change, else that of `NAME.zip.md5` beside the archive. A transfer that stops is
continued where it stopped (a Range request, tied by If-Range to the file it began with). Each mirror is tried in turn.
TLS certificates are always verified, plain HTTP is refused.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from recommender.cli import Parser, Progress, run
from recommender.data import artifacts
from recommender.data.errors import ChoiceError, DataError, SettingsError
from recommender.data.files import exclusive
from recommender.net.key import parse_address
from recommender.net.web import Client, WebError, blocks

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


def fetch(urls: Sequence[str], target: Path, md5: Optional[str] = None, say: Callable[[str], object] = print) -> Path:
    """Fetch `target` from the first of `urls` that has it right; return its path.

    md5: what the file must have, in hexadecimal; None asks for it at `URL.md5`. Raises `DataError`, with what each
    server answered, where none gives the right file; `ArtifactError` while another process fetches the same one.
    """
    for url in urls:
        address = parse_address(url)
        if address.scheme != "https" and not address.loopback:
            raise SettingsError(f"{url!r} is not an https address: give one that begins with https://")
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with exclusive(target.with_name(f".{target.stem}.lock"), str(target)):
        for url in urls:
            folder, _, name = url.rpartition("/")
            client = Client(folder, attempts=4, say=say)
            try:
                expected = md5 or _published_md5(client, f"{name}.md5")
                if target.is_file() and file_md5(target) == expected:
                    say(f"{target} is there already, and its MD5 is right")
                    return target
                _fetch_checked(client, name, part, expected)
            except WebError as error:
                failures.append(f"{url}: {error}")
                say(failures[-1])
                continue
            os.replace(part, target)
            _discard(part)
            return target
    kept = f"; {part} is kept to continue from" if part.exists() else ""
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(failures)}): try again, or elsewhere{kept}")


def _published_md5(client: Client, name: str) -> str:
    found = re.search(rb"\b[0-9a-fA-F]{32}\b", client.get(name)[:1000])
    if not found:
        raise WebError(f"{name} holds no MD5")
    return found.group().decode().lower()


def _fetch_checked(client: Client, name: str, part: Path, expected: str) -> None:
    """Make `part` the whole file with the right MD5; a continued file that comes out wrong is begun again."""

    def attempt() -> None:
        continued = part.exists()
        _fetch_rest(client, name, part)
        found = file_md5(part)
        if found != expected:
            _discard(part)
            raise WebError(f"its MD5 is {found}, expected {expected}", retryable=continued)

    client.retry(attempt)


def _fetch_rest(client: Client, name: str, part: Path) -> None:
    """Append to `part` what is missing; what came before a `WebError` stays."""
    note, url = part.with_name(f"{part.name}.json"), f"{client.base_url}/{name}"
    headers, size = {"Accept-Encoding": "identity"}, 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        begun = json.loads(note.read_text(encoding="utf-8"))
        if begun["url"] == url and begun["validator"]:
            size = part.stat().st_size
            headers.update({"Range": f"bytes={size}-", "If-Range": begun["validator"]})
    progress = Progress(name, "kB")

    def append(response: requests.Response) -> None:
        start = size if response.status_code == 206 else 0
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise WebError(f"{client.host} did not send bytes from {start}: try again", retryable=True)
        if not start:
            # A weak ETag promises no equal bytes, so it can't join two halves.
            tag = response.headers.get("ETag", "")
            tag = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
            note.write_text(json.dumps({"url": url, "validator": tag}) + "\n", encoding="utf-8")
        total = start + int(response.headers.get("Content-Length", 0))
        with open(part, "ab" if start else "wb") as file:
            for block in blocks(response):
                file.write(block)
                progress(file.tell() // 1000, total // 1000)

    try:
        client.send("GET", name, append, headers=headers)
    except WebError as error:
        if error.status != 416:
            raise
        _discard(part)
        raise WebError(f"{part} does not fit the file: begun again", retryable=True) from None


def _discard(part: Path) -> None:
    for file in (part, part.with_name(f"{part.name}.json")):
        file.unlink(missing_ok=True)


def file_md5(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    digest = hashlib.new("md5", usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fetch one data set."""
    parser = Parser("preprocess.download", "Fetch a MovieLens data set by name.", {"--to": "--output"})
    parser.add_argument("name", metavar="NAME", help=", ".join(PUBLISHED_MD5))
    parser.add_common("output", default=Path("data"), help="where to put it (default: data)")
    mirrors = f"an https folder that holds NAME.zip; may be repeated; tried before {', '.join(MIRRORS)}"
    parser.add_argument("--mirror", action="append", default=[], metavar="URL", help=mirrors)
    arguments = parser.parse_args(argv)
    name = arguments.name.lower().removesuffix(".zip")
    if name not in PUBLISHED_MD5:
        near = difflib.get_close_matches(name, PUBLISHED_MD5, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PUBLISHED_MD5)}"
        raise ChoiceError(f"no data set called {arguments.name!r}: {hint}")
    artifacts.need_folder(arguments.output, "--output")
    urls = [f"{mirror.rstrip('/')}/{name}.zip" for mirror in (*arguments.mirror, *MIRRORS)]
    path = fetch(urls, arguments.output / f"{name}.zip", PUBLISHED_MD5[name])
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB\nnext: python -m preprocess.setup --data {path}")


if __name__ == "__main__":
    run(main)
