"""Ask a service about movies, a request or two for each, and keep every answer as it comes.

Several threads wait for answers; the main thread alone writes. What was answered is in the file when a run stops,
whatever stops it, and is not asked again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Callable, Optional

from preprocess.descriptions import answered, append_to
from recommender.cli import Parser, Progress
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import SettingsError
from recommender.net.key import Key
from recommender.net.web import Client, at_once


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
    done = answered(arguments.output)
    movies = [movie for movie in map(catalog.movie, range(len(catalog))) if wanted(movie)]
    left = [movie for movie in movies if movie.movie_id not in done][: arguments.limit]
    numbers = f"{len(catalog):,} movies, {len(catalog) - len(movies):,} {others}; {len(movies):,} to know"
    print(f"{numbers}, {len(left):,} to ask for now", flush=True)
    return left


def make_client(arguments: argparse.Namespace, key: Optional[Key], key_parameter: str = "") -> Client:
    """Return the client for the flags of `make_parser`; repetitions are printed on stderr."""
    return Client(
        arguments.base_url,
        key,
        key_parameter,
        connections=arguments.threads,
        rate=arguments.rate,
        say=lambda line: print(line, file=sys.stderr),
    )


def ask_all(
    arguments: argparse.Namespace,
    client: Client,
    left: list[Movie],
    ask: Callable[[Movie], dict[str, Any]],
    nothing: str,
    what: str,
) -> None:
    """Write what `ask` returns for each movie left, and print how many answers came.

    Those with the key `nothing` hold none. The first exception ends the work, after the answers that are under way.
    """
    n_empty, progress = 0, Progress("", "movies")
    with append_to(arguments.output) as (done, write):
        movies = iter([movie for movie in left if movie.movie_id not in done])
        answers = at_once(
            arguments.threads,
            lambda: next(movies, None),
            lambda movie: {"movieId": movie.movie_id, **ask(movie)},
            client.stop,
        )
        for n_done, answer in enumerate(answers, 1):
            write(answer)
            n_empty += nothing in answer
            progress(n_done, len(left))
    print(f"{len(left) - n_empty:,} {what}, {n_empty:,} {nothing}, written to {arguments.output}")
    print(f"next: python -m preprocess.build_metadata --descriptions {arguments.output}")
