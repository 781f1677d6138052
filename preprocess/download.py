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
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

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


def fetch(
    urls: Sequence[str],
    target: Path,
    algorithm: str,
    digest: Optional[str] = None,
    say: Callable[[str], object] = print,
) -> Path:
    """Fetch `target` from the first of `urls` that has it right; return its path.

    digest: what the file must have, in hexadecimal by `algorithm` ("md5", "sha256"); None asks for it at
    `URL.algorithm`. Raises `DataError`, with what each server answered, where none gives the right file;
    `ArtifactError` while another process fetches the same one.
    """
    for url in urls:
        address = parse_address(url)
        if address.scheme != "https" and not address.loopback:
            raise SettingsError(f"{url!r} is not an https address: give one that begins with https://")
    part, note = (target.with_name(f"{target.name}.part{ending}") for ending in ("", ".json"))
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.stem}.lock")
    failures = []
    with contextlib.ExitStack() as held:
        held.enter_context(exclusive(lock, str(target)))
        for url in urls:
            client = Client(url.rpartition("/")[0], attempts=4, say=say)
            held.callback(client.close)
            try:
                expected = digest or _published_digest(client, f"{url.rpartition('/')[2]}.{algorithm}", algorithm)
                if target.is_file() and file_digest(target, algorithm) == expected:
                    say(f"{target} is there already, and its {algorithm.upper()} is right")
                    return target
                _fetch_checked(client, url, part, note, expected, algorithm)
            except WebError as error:
                failures.append(f"{url}: {error}")
                say(failures[-1])
                continue
            os.replace(part, target)
            note.unlink(missing_ok=True)
            return target
    kept = f"; {part} is kept to continue from" if part.exists() else ""
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(failures)}): try again, or elsewhere{kept}")


def _published_digest(client: Client, name: str, algorithm: str) -> str:
    """Return the digest that the server publishes beside the file."""
    content = client.retry(lambda: client.send("GET", name, client.read))[:1000].decode("latin-1")
    found = re.search(rf"\b[0-9a-fA-F]{{{2 * hashlib.new(algorithm).digest_size}}}\b", content)
    if not found:
        raise WebError(f"{name} holds no {algorithm.upper()}")
    return found.group().lower()


def _fetch_checked(client: Client, url: str, part: Path, note: Path, expected: str, algorithm: str) -> None:
    """Make `part` the whole file with the digest `expected`; a continued file that comes out wrong is begun again."""
    for _ in range(2):
        continued = part.exists()
        client.retry(lambda: _fetch_rest(client, url, part, note))
        found = file_digest(part, algorithm)
        if found == expected:
            return
        part.unlink()
        note.unlink()
        if not continued:
            break
    raise WebError(f"its {algorithm.upper()} is {found}, expected {expected}")


def _fetch_rest(client: Client, url: str, part: Path, note: Path) -> None:
    """Append to `part` what is missing; raises a retryable `WebError` where the connection ends too early."""
    size, validator = 0, ""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        begun = json.loads(note.read_text(encoding="utf-8"))
        if begun["url"] == url and begun["validator"]:
            size, validator = part.stat().st_size, begun["validator"]
    progress = Progress(url.rpartition("/")[2], "kB")

    def append(response: requests.Response) -> None:
        extent = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        start = int(extent.group(1)) if response.status_code == 206 and extent else 0
        if response.status_code == 206 and start != size:
            raise WebError(f"{client.host} sent bytes from {start} instead of {size}: try again", retryable=True)
        if start == 0:
            # A weak ETag promises no equal bytes, so it can't join two halves.
            tag = response.headers.get("ETag", "")
            tag = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
            note.write_text(json.dumps({"url": url, "validator": tag}) + "\n", encoding="utf-8")
        total = start + int(response.headers.get("Content-Length", 0))
        with open(part, "ab" if start else "wb") as file:
            for block in blocks(response):
                file.write(block)
                progress(file.tell() // 1000, total // 1000)

    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={size}-", "If-Range": validator} if size else {})}
    try:
        client.send("GET", url.rpartition("/")[2], append, headers)
    except WebError as error:
        if error.status == 416:
            part.unlink()
            raise WebError(f"{part} does not fit the file: begun again", retryable=True) from None
        raise


def file_digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file in hexadecimal; `algorithm`: "md5" or "sha256"."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
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
    path = fetch(urls, arguments.output / f"{name}.zip", "md5", PUBLISHED_MD5[name])
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB\nnext: python -m preprocess.setup --data {path}")


if __name__ == "__main__":
    run(main)
