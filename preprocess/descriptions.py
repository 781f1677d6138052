"""What is known about movies beside their ratings, one JSON object a line: read, joined, and asked of services.

    {"movieId": 2571, "director": "...", "cast": "...; ...", "keywords": "...; ...", "overview": "...",
     "original_language": "en", "overview_source": ""}

Every field but `movieId` may be missing; texts, or lists, which are joined by `; `. Other fields are left to whoever
wrote them. `overview_source` says who wrote an overview that no person vouches for, "" otherwise.

A program that asks a service has several threads wait for answers; the main thread alone writes. What was answered is
in the file when a run stops, whatever stops it, and is not asked again.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from recommender.cli import Parser, Progress
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import DataError, SettingsError
from recommender.data.files import exclusive
from recommender.net.key import Key
from recommender.net.web import Client, at_once

FIELDS = ("director", "cast", "keywords", "overview", "original_language", "overview_source")


def read_all(paths: Sequence[Path]) -> dict[int, dict[str, str]]:
    """Return all of `FIELDS` by movie id, "" where not known; what the first file leaves empty comes from the next.

    Raises `DataError`, naming the line, for one that is not such an object or a movie that comes twice in a file.
    """
    joined: dict[int, dict[str, str]] = {}
    for path in paths:
        seen = set()
        for where, entry in _entries(path):
            movie_id = entry["movieId"]
            if movie_id in seen:
                raise DataError(f"{where}: movieId {movie_id} is described twice: keep one line")
            seen.add(movie_id)
            fields = {name: _text(entry.get(name), name, where) for name in FIELDS}
            known = joined.setdefault(movie_id, fields)
            if not known["overview"]:  # who wrote it goes with what was written
                known["overview_source"] = fields["overview_source"]
            known.update({name: fields[name] for name in FIELDS[:-1] if not known[name]})
    return joined


def _entries(path: Path, ended: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each object stands, for messages, and the object, its movieId checked.

    ended: leave out what comes after the last end of a line.
    """
    try:
        content = path.read_bytes()
        text = content[: content.rfind(b"\n") + 1 if ended else None].decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no descriptions at {path}: give a file of JSON lines with --descriptions") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8: save the descriptions as UTF-8") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = getattr(error, "msg", error)
            raise DataError(f"{where} is not JSON ({problem}): repair or remove the line") from None
        movie_id = entry.get("movieId") if isinstance(entry, dict) else None
        if not isinstance(movie_id, int) or isinstance(movie_id, bool):
            raise DataError(f'{where} has no whole number as its movieId: write {{"movieId": 1, ...}}')
        yield where, entry


def _text(value: object, name: str, where: str) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "; ".join(value)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {name} {value!r} is not a text: write it in quotes")
    return " ".join((value or "").split())


def make_parser(module: str, description: str, output: str, base_url: str, rate: float) -> Parser:
    """Return the parser with the flags that all programs of this kind have, and these defaults."""
    parser = Parser(f"preprocess.{module}", description, {"--concurrency": "--threads"})
    parser.add_common("processed", help="the processed data, whose movie_metadata.csv lists the movies")
    keeps = "JSON lines; what it holds already is not asked again"
    parser.add_common("output", default=Path(output), metavar="FILE", help=f"{keeps} (default: {output})")
    parser.add_common("base-url", default=base_url, help=f"address of the service (default: {base_url})")
    parser.add_argument("--limit", type=int, metavar="N", help="ask about at most N movies in this run")
    parser.add_common("threads", default=4, help="requests at the same time (default: 4)")
    parser.add_argument(
        "--rate", type=float, default=rate, metavar="N", help="requests a second (default: %(default)g)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")
    return parser


def movies_left(arguments: argparse.Namespace, wanted: Callable[[Movie], bool], others: str) -> list[Movie]:
    """Return the movies that are `wanted` and not in the output, and print their numbers; `others`: those unwanted."""
    for flag in ("threads", "rate", "limit"):
        value = getattr(arguments, flag)
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"--{flag} {value:g}: give a number above 0")
    catalog = Catalog.load(arguments.processed)
    path = arguments.output
    done = {entry["movieId"] for _, entry in _entries(path, ended=True)} if path.exists() else set()
    movies = [movie for movie in map(catalog.movie, range(len(catalog))) if wanted(movie)]
    left = [movie for movie in movies if movie.movie_id not in done][: arguments.limit]
    numbers = f"{len(catalog):,} movies, {len(catalog) - len(movies):,} {others}; {len(movies):,} to know"
    print(f"{numbers}, {len(left):,} to ask for now", flush=True)
    return left


def ask_all(
    arguments: argparse.Namespace,
    left: list[Movie],
    key: Optional[Key],
    ask: Callable[[Client, Movie], dict[str, Any]],
    nothing: str,
    what: str,
    key_parameter: str = "",
) -> None:
    """Write what `ask` returns for each movie left, as it comes, and print how many answers came.

    what: they were "fetched".  nothing: the key of those that hold none.  The first exception ends the work, after the
    answers that are under way. Raises `ArtifactError` while another process writes the file.
    """
    client = Client(
        arguments.base_url, key, key_parameter, rate=arguments.rate, say=functools.partial(print, file=sys.stderr)
    )
    path, n_empty, progress = arguments.output, 0, Progress("", "movies")
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), str(path)):
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # less a last line that a crash cut short
        # Half of a surrogate pair, which JSON from a server may hold, is no text: it is replaced.
        with open(path, "a", encoding="utf-8", errors="replace", newline="\n") as file:
            answers = at_once(
                arguments.threads, left, lambda movie: [{"movieId": movie.movie_id, **ask(client, movie)}], client.stop
            )
            for n_done, answer in enumerate(answers, 1):
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                file.flush()
                n_empty += nothing in answer
                progress(n_done, len(left))
    print(f"{len(left) - n_empty:,} {what}, {n_empty:,} {nothing}, written to {path}")
    print(f"next: python -m preprocess.build_metadata --descriptions {path}")
