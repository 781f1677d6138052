"""Download a MovieLens data set by name.

    python -m preprocess.download ml-latest-small
    python -m preprocess.setup --data data/ml-latest-small.zip

The file is written as `NAME.part` and gets its final name only if its MD5 is right: the published one for data sets
that never change, else the one in `NAME.zip.md5` beside the archive. An interrupted download resumes (Range request);
if the MD5 is wrong then, it starts over. Mirrors are tried in order. TLS certificates are verified, plain HTTP is
refused.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from recommender.cli import Parser, Progress, run
from recommender.data import artifacts
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.files import checksum, exclusive
from recommender.net.key import parse_address
from recommender.net.web import Client, WebError, blocks

if TYPE_CHECKING:
    import requests

MIRRORS = ("https://files.grouplens.org/datasets/movielens",)
# As published by GroupLens; None: the archive changes from time to time.
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
    """Download `target` from the first of `urls` with the right MD5; return its path.

    md5: the expected one, hexadecimal; None reads it from `URL.md5`. Raises `DataError`, with the error of each server,
    if all fail; `ArtifactError` while another process downloads the same file, and where `target` is another one.
    """
    for url in urls:
        address = parse_address(url)
        if address.scheme != "https" and not address.loopback:
            raise SettingsError(f"{url!r} is not an https address: use https://")
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with exclusive(target.with_name(f".{target.stem}.lock"), str(target)):
        for url in urls:
            folder, _, name = url.rpartition("/")
            client = Client(folder, attempts=4, say=say)
            try:
                expected = md5 or _published_md5(client, f"{name}.md5")
                if target.exists():
                    if checksum(target, "md5") != expected:
                        raise ArtifactError(f"{target} is not the file at {url}: move it, or give another --output")
                    say(f"{target} exists already and its MD5 is right")
                    return target
                client.retry(functools.partial(_fetch_rest, client, name, part, expected))
                os.replace(part, target)
                return target
            except WebError as error:
                failures.append(f"{url}: {error}")
                say(failures[-1])
    kept = f"; {part} is kept, to resume" if part.exists() else ""
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(failures)}): try again, or give --mirror{kept}")


def _published_md5(client: Client, name: str) -> str:
    found = re.search(rb"\b[0-9a-fA-F]{32}\b", client.get(name)[:1000])
    if not found:
        raise WebError(f"{name} has no MD5")
    return found.group().decode().lower()


def _fetch_rest(client: Client, name: str, part: Path, expected: str) -> None:
    """Append the missing bytes to `part`; delete it if the MD5 is wrong."""
    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={size}-"} if size else {})}
    progress = Progress(name, "kB")

    def append(response: requests.Response) -> None:
        start = size if response.status_code == 206 else 0  # a server may not support ranges
        total = start + int(response.headers.get("Content-Length", 0))
        with open(part, "ab" if start else "wb") as file:
            for block in blocks(response):
                file.write(block)
                progress(file.tell() // 1000, total // 1000)

    try:
        client.send("GET", name, append, headers=headers)
    except WebError as error:
        if error.status != 416:  # `part` is not shorter than the file: it may be all of it
            raise
    if (found := checksum(part, "md5")) != expected:
        part.unlink()
        raise WebError(f"its MD5 is {found}, expected {expected}", retryable=size > 0)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Download one data set."""
    parser = Parser("preprocess.download", "Download a MovieLens data set by name.", {"--to": "--output"})
    parser.add_argument("name", metavar="NAME", help=", ".join(PUBLISHED_MD5))
    parser.add_common("output", default=Path("data"), help="output folder (default: data)")
    mirrors = f"https folder with NAME.zip; repeatable; tried before {', '.join(MIRRORS)}"
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
