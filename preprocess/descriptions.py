"""Movie descriptions as JSON lines: read, merged, and requested from services.

    {"movieId": 2571, "director": "...", "cast": "...; ...", "keywords": "...; ...", "overview": "...",
     "original_language": "en", "tone": "...; ...", "overview_source": ""}

Every field but `movieId` is optional; texts, or lists, which are joined by `; `. Other fields are ignored.
`overview_source` names the language model that wrote the overview, "" otherwise.

A program that queries a service uses several threads for requests; only the main thread writes. Every answer is written
at once, so an interrupted run resumes without repeating requests. A movie without an answer is passed over: the next
run asks again. One whose answer says nothing has {"missing": true} or {"unknown": true} and a reason: it is asked again
with --again.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from recommender.cli import Parser, Progress
from recommender.data.artifacts import need_file
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import DataError, SettingsError, printable
from recommender.data.files import exclusive
from recommender.net.key import Key
from recommender.net.web import FOR_ALL, Client, WebError, at_once

MOST_FAILURES = 5  # one after another
_FAILED = "without an answer"
FIELDS = ("year", "director", "cast", "keywords", "overview", "original_language", "tone", "overview_source")


def read_all(paths: Sequence[Path]) -> dict[int, dict[str, str]]:
    """Return all of `FIELDS` by movie id, "" if unknown; the first file with a value wins.

    Raises `DataError`, naming the line, for an invalid object or a movie that occurs twice in a file.
    """
    joined: dict[int, dict[str, str]] = {}
    for path in paths:
        seen = set()
        for where, entry in _entries(path):
            movie_id = entry["movieId"]
            if _says_nothing(entry):
                continue
            if movie_id in seen:
                raise DataError(f"{where}: movieId {movie_id} is described twice: remove one line")
            seen.add(movie_id)
            fields = {name: _text(entry.get(name), name, where) for name in FIELDS}
            known = joined.setdefault(movie_id, fields)
            if not known["overview"]:  # the source belongs to the overview
                known["overview_source"] = fields["overview_source"]
            known.update({name: fields[name] for name in FIELDS[:-1] if not known[name]})
    return joined


def _entries(path: Path, ended: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of each object, for messages, and the object; its movieId is checked.

    ended: ignore a last line that a crash cut short.
    """
    try:
        content = path.read_bytes()
        text = content[: _end(content) if ended else None].decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no descriptions at {path}: give a file of JSON lines with --descriptions") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not valid UTF-8: convert the file") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = getattr(error, "msg", error)
            raise DataError(f"{where} is not JSON ({problem}): correct or remove the line") from None
        movie_id = entry.get("movieId") if isinstance(entry, dict) else None
        if not isinstance(movie_id, int) or isinstance(movie_id, bool):
            raise DataError(f'{where} needs a whole number as movieId: write {{"movieId": 1, ...}}')
        yield where, entry


def _says_nothing(entry: dict[str, Any]) -> bool:
    return entry.get("missing") is True or entry.get("unknown") is True


def _end(content: bytes) -> int:
    """Return where `content` ends without a last line that is the beginning of an object of ours."""
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
    except (ValueError, RecursionError):
        line, ours = content[start:], b'{"movieId": '
        return start if line[: len(ours)] == ours[: len(line)] else len(content)
    return len(content)


def _text(value: object, name: str, where: str) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "; ".join(value)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {name} {value!r} is not a string: put it in quotes")
    return " ".join((value or "").split())


def make_parser(module: str, description: str, output: str, base_url: str, rate: float) -> Parser:
    """Return the parser with the flags that these programs share."""
    parser = Parser(f"preprocess.{module}", description, {"--concurrency": "--threads"})
    parser.add_common("processed", help="processed folder, whose movie_metadata.csv lists the movies")
    keeps = "JSON lines; movies that it contains are not requested again"
    parser.add_common("output", default=Path(output), metavar="FILE", help=f"{keeps} (default: {output})")
    parser.add_common("base-url", default=base_url, help=f"address of the service (default: {base_url})")
    parser.add_argument("--limit", type=int, metavar="N", help="request at most N movies in this run")
    parser.add_common("threads", default=4, help="number of parallel requests (default: 4)")
    parser.add_argument(
        "--rate", type=float, default=rate, metavar="N", help=f"requests per second (default: {rate:g})"
    )
    parser.add_argument("--again", action="store_true", help="request again what was missing or unknown")
    parser.add_argument("--dry-run", action="store_true", help="print what would be requested, without requests")
    return parser


def movies_left(arguments: argparse.Namespace, wanted: Callable[[Movie], bool], others: str) -> list[Movie]:
    """Return the movies that are `wanted` and not in the output; print the counts. others: what the rest is called."""
    for flag in ("threads", "rate", "limit"):
        value = getattr(arguments, flag)
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"--{flag} {value:g}: give a number above 0")
    path = arguments.output
    need_file(path, "--output")
    catalog = Catalog.load(arguments.processed)
    entries = [entry for _, entry in _entries(path, ended=True)] if path.exists() else []
    done = {entry["movieId"] for entry in entries if not (arguments.again and _says_nothing(entry))}
    movies = [movie for movie in map(catalog.movie, range(len(catalog))) if wanted(movie)]
    left = [movie for movie in movies if movie.movie_id not in done][: arguments.limit]
    numbers = f"{len(catalog):,} movies, {len(catalog) - len(movies):,} {others}; {len(movies):,} in all"
    print(f"{numbers}, {len(left):,} to request now", flush=True)
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
    """Write what `ask` returns for each movie left, as it arrives, and print the counts.

    what: the verb for the report, such as "fetched".  nothing: the key that marks an answer that says nothing, counted
    by its "reason".  A `WebError` passes its movie over, unless it concerns all, is the fifth in a row, or nothing was
    ever answered: then it ends the run after the pending answers, as other exceptions do.
    Raises `ArtifactError` while another process writes the file.
    """
    say = functools.partial(print, file=sys.stderr, flush=True)
    client = Client(arguments.base_url, key, key_parameter, rate=arguments.rate, say=say)
    path, progress = arguments.output, Progress("", "movies")
    in_a_row: list[WebError] = []
    titles: dict[str, list[str]] = {}  # by what came of them
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), str(path)):
        content = path.read_bytes() if path.exists() else b""
        content = content[: _end(content)]
        answered = bool(content)

        def answer_for(movie: Movie) -> list[tuple[Movie, dict[str, Any], str]]:
            nonlocal answered
            try:
                answer = ask(client, movie)
            except WebError as error:
                in_a_row.append(error)
                for_all = not error.filtered and (error.status in FOR_ALL or not (error.status or answered))
                if for_all or len(in_a_row) >= MOST_FAILURES or client.stop.is_set():
                    raise
                if not error.filtered:
                    say(f"tastevec: {printable(str(movie))}: {error}")
                    return [(movie, {}, _FAILED)]
                answer = {nothing: True, "reason": "filtered by the service"}
            else:
                answered = True
                in_a_row.clear()
            return [(movie, answer, answer.get("reason", nothing) if nothing in answer else what)]

        # JSON from a server may contain half of a surrogate pair, which cannot be encoded: it is replaced.
        with open(path, "a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.truncate(len(content))
            file.write("\n" if content and not content.endswith(b"\n") else "")
            answers = at_once(arguments.threads, left, answer_for, client.stop)
            for n_done, (movie, answer, outcome) in enumerate(answers, 1):
                if answer:
                    file.write(json.dumps({"movieId": movie.movie_id, **answer}, ensure_ascii=False) + "\n")
                    file.flush()
                titles.setdefault(outcome, []).append(printable(str(movie)))
                progress(n_done, len(left))
    if not answered:
        raise in_a_row[-1]
    n_described, n_failed = len(titles.pop(what, ())), len(titles.get(_FAILED, ()))
    n_empty = len(left) - n_described - n_failed
    print(f"{n_described:,} {what}, {n_empty:,} {nothing}, {n_failed:,} {_FAILED}, written to {path}")
    for outcome, some in sorted(titles.items()):
        print(f"  {outcome}: {len(some):,} ({', '.join(some[:5])}{', ...' * (len(some) > 5)})")
    print(f"next: python -m preprocess.build_metadata --descriptions {path}")
