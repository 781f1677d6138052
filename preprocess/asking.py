"""Ask a service about movies, one request or two each, and keep every answer as it comes.

Several threads wait for answers; the main thread alone writes. Requests begin at most so often a second. What was
answered is in the file when a run stops, whatever stops it, and is not asked again.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from preprocess import program as common
from preprocess.descriptions import answered, append_to
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import SettingsError
from recommender.data.settings import default_folder
from recommender.net import web
from recommender.net.workers import in_threads

Ask = Callable[[Movie], dict[str, Any]]


class StoppedError(Exception):
    """The run is ending: no further request is to begin."""


class Pace:
    """Lets requests begin at most `per_second` times a second; `stop` ends every wait."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Return when it is the caller's turn; raises `StoppedError` after `stop`."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        self.sleep(turn - now)

    def sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError

    def stop(self) -> None:
        self._stopped.set()


def ask_all(movies: Sequence[Movie], ask: Ask, path: Path, n_threads: int, pace: Pace) -> Iterator[dict[str, Any]]:
    """Append what `ask` returns for each movie that `path` does not have yet, and yield it.

    The first exception ends the work, after the answers that are under way have been written.
    """
    with append_to(path) as (done, write):
        left: queue.SimpleQueue[Optional[Movie]] = queue.SimpleQueue()
        for movie in [*(movie for movie in movies if movie.movie_id not in done), *[None] * n_threads]:
            left.put(movie)
        ended = threading.Event()

        def run(report: Callable[[dict[str, Any]], None]) -> None:
            while (movie := left.get()) is not None and not ended.is_set():
                report({"movieId": movie.movie_id, **ask(movie)})

        try:
            for answer in in_threads(n_threads, run, ended):
                write(answer)
                yield answer
        finally:
            ended.set()
            pace.stop()


def make_parser(module: str, description: str, output: str, base_url: str, rate: float) -> common.Parser:
    """Return the parser with the flags that all programs of this kind have, and these defaults."""
    parser = common.Parser(f"preprocess.{module}", description)
    parser.add_argument(
        "--processed",
        type=Path,
        default=default_folder("processed"),
        metavar="DIR",
        help="the processed data, whose movie_metadata.csv lists the movies (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(output),
        metavar="FILE",
        help="JSON lines; what it holds already is not asked again (default: %(default)s)",
    )
    parser.add_argument("--base-url", default=base_url, metavar="URL", help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="ask about at most N movies in this run")
    parser.add_argument("--threads", type=int, default=4, metavar="N", help="requests under way at once (default: 4)")
    parser.add_argument(
        "--rate", type=float, default=rate, metavar="N", help="requests a second at most (default: %(default)g)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")
    return parser


class Work:
    """What is left to ask about, by the flags of `make_parser`."""

    def __init__(self, arguments: argparse.Namespace, wanted: Callable[[Movie], bool], lacking: str) -> None:
        """Print and count the movies that are `wanted` and not in the output; `lacking` says what the others lack."""
        for flag in ("threads", "rate", "limit"):
            value = getattr(arguments, flag)
            if value is not None and not 0 < value < float("inf"):
                raise SettingsError(f"--{flag} {value:g}: give a number above 0")
        self.arguments = arguments
        catalog = Catalog.load(arguments.processed)
        done = answered(arguments.output)
        movies = [movie for movie in map(catalog.movie, range(len(catalog))) if wanted(movie)]
        self.left = [movie for movie in movies if movie.movie_id not in done][: arguments.limit]
        print(
            f"{len(catalog):,} movies, {len(catalog) - len(movies):,} {lacking}; {len(movies):,} to know, "
            f"{len(self.left):,} to ask for now",
            flush=True,
        )
        self.pace = Pace(arguments.rate)

    def client(self, key: Optional[web.Key], key_parameter: str = "") -> web.Client:
        """Return a client of `--base-url` that tells of repetitions on stderr."""
        threads = self.arguments.threads
        return web.Client(
            self.arguments.base_url,
            key,
            key_parameter=key_parameter,
            connections=threads,
            sleep=self.pace.sleep,
            say=lambda text: print(text, file=sys.stderr),
        )

    def run(self, ask: Ask, nothing: str, what: str) -> None:
        """Ask about every movie left and print how many answers came; those with the key `nothing` hold none."""
        n_empty = 0
        output = self.arguments.output
        for n, entry in enumerate(ask_all(self.left, ask, output, self.arguments.threads, self.pace), 1):
            n_empty += nothing in entry
            if sys.stderr.isatty():
                end = "\n" if n == len(self.left) else ""
                print(f"\r{n:,} of {len(self.left):,}", end=end, file=sys.stderr, flush=True)
        print(f"{len(self.left) - n_empty:,} {what}, {n_empty:,} {nothing}, written to {output}")
        print(f"next: python -m preprocess.build_metadata --descriptions {output}")
