"""Command line of the session programs, terminal input and output, and questions for movies."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from model.terminal.answers import AT_THE_START, too_early
from recommender.cli import Parser
from recommender.data.catalog import SPOKEN, Movie
from recommender.data.errors import SettingsError, TastevecError, one_line
from recommender.data.settings import default_folder, override, read_settings
from recommender.data.title_words import FUZZY
from recommender.facade import Recommender
from recommender.session.group import STRATEGIES
from recommender.session.policy import MOVING_AVERAGE, PolicySettings
from recommender.session.profiles import default_profiles_folder
from recommender.text import registry


def build_parser(program: str, description: str, answers: str, without: Sequence[str] = ()) -> Parser:
    """Return the flags of a session program; without: policy settings that do not apply."""
    parser = Parser(f"model.{program}", description.partition("\n\n")[0], epilog=answers)
    several = {"action": "append", "default": [], "metavar": "NAME"}
    words = "what you want, in your own words, instead of favorites or in addition; repeatable"
    backend = "embedding backend for words, of which movie vectors are stored (default: minilm; if it has none, local)"
    lists = "at the end, write FILE-likes.csv and FILE-watchlist.csv, which Letterboxd imports"
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    parser.add_common("config", help="policy file (default: config/recommender_policy.yaml)")
    parser.add_argument("--genre", **several, help="only movies with this genre; repeatable, any of them")
    parser.add_argument("--exclude-genre", **several, help="no movie with this genre; repeatable")
    span = "only movies of 1994, 1990s, 1990-1999, 1990- or -1970"
    parser.add_argument("--year", metavar="YEAR", help=span)
    parser.add_argument("--like", **{**several, "metavar": "WORDS"}, help=words)
    parser.add_argument("--backend", choices=registry.names(), help=backend)
    parser.add_common("base-url", help="--backend http: address of the service, up to /v1")
    parser.add_common("model", help="--backend http: name of the model there")
    parser.add_common("seed", default=None, help="random seed of the exploration (default: 0)")
    parser.add_argument("--save", metavar="NAME", help="save this session as a new profile")
    resume = "resume a profile, or start from an imported one, and keep it up to date"
    parser.add_argument("--resume", "--profile", metavar="NAME", help=resume)
    parser.add_argument("--group", **several, help="a session for several people: their profiles; 2 to 8 times")
    parser.add_argument("--strategy", choices=STRATEGIES, help=f"of a group (default: {STRATEGIES[0]})")
    parser.add_argument("--export", type=Path, metavar="FILE.csv", help=lists)
    parser.add_argument("--profiles", type=Path, metavar="DIR", help=f"default: {default_profiles_folder()}")
    names = [field.name for field in dataclasses.fields(PolicySettings) if field.name not in without]
    parser.add_settings(PolicySettings, names, "settings, override the file")
    return parser


def open_policy(given: argparse.Namespace) -> PolicySettings:
    """Return the policy of the file, overridden by flags."""
    path = given.config or default_folder("config") / "recommender_policy.yaml"
    policy = override(read_settings(PolicySettings, path), given)
    if policy.learning_rule != MOVING_AVERAGE and (given.learning_rate, given.negative_weight) != (None, None):
        flags = "--learning-rate and --negative-weight belong"
        raise SettingsError(f"{flags} to the moving average: add --learning-rule {MOVING_AVERAGE}")
    return policy


MOST_CANDIDATES = 6
Completion = Callable[[str], Sequence[str]]
_COLOR = re.compile(r"\033\[\dm")


class EndOfInput(Exception):
    """The input was closed."""


class Console:
    """Input and output lines: editing, Tab and color on a terminal, an echo of the input in a pipe."""

    def __init__(self) -> None:
        if sys.stdin is None:  # closed by the parent process
            sys.stdin = io.StringIO()
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
        self.color = sys.stdout.isatty() and not plain
        self.out = getattr(sys.stdout, "stream", sys.stdout)  # which prints colors, too
        self.complete: Completion = lambda text: ()
        self.completions: Sequence[str] = ()
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="replace")
        with contextlib.suppress(ImportError):
            if self.interactive:
                import readline

                readline.set_completer_delims("")
                readline.set_completer(self._complete)
                readline.parse_and_bind("tab: complete")

    def _complete(self, text: str, index: int) -> Optional[str]:
        if index == 0:
            self.completions = self.complete(text)
        return self.completions[index] if index < len(self.completions) else None

    def say(self, text: str = "") -> None:
        """Print text; on a terminal within its width, where a line that goes on is indented a little more."""
        for line in text.split("\n"):
            plain = _COLOR.sub("", line)
            if self.interactive and len(plain) >= (width := max(20, shutil.get_terminal_size().columns)):
                indent = " " * (len(plain) - len(plain.lstrip()) + 2)
                line = "\n".join(textwrap.wrap(plain, width - 1, drop_whitespace=True, subsequent_indent=indent))
            print(line, file=self.out, flush=True)

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.color else text

    def dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self.color else text

    def ask(self, prompt: str, complete: Completion) -> str:
        """Return one line without its end; raises `EndOfInput`.  complete: text -> what Tab can make of it."""
        if self.interactive:
            self.complete = complete
            with contextlib.suppress(EOFError):
                return input(prompt).strip()
            print()
            raise EndOfInput
        print(prompt, end="", flush=True)
        line = sys.stdin.readline()
        print(line.rstrip("\n"), flush=True)
        if not line:
            raise EndOfInput
        return line.strip()


class MovieConsole(Console):
    """A console that asks for movies of `recommender`."""

    def __init__(self, recommender: Recommender) -> None:
        super().__init__()
        self.recommender, self.catalog = recommender, recommender.catalog

    def ask_favorites(self, n: int, words: list[str]) -> list[int]:
        """Ask for n movies; an empty line starts with fewer. Returns rows; what is told with t is added to `words`."""
        rows: list[int] = []
        while len(rows) < n:
            text = self.ask(f"Favorite {len(rows) + 1} of {n}: ", self.starting_with)
            first, _, rest = text.partition(" ")
            command = first.casefold()
            if not rest and command in ("q", "quit"):
                raise EndOfInput
            if not text and (rows or words):
                break
            if not text:
                self.say("  Name at least one movie, or q to quit.")
            elif too_early(text):
                self.say(AT_THE_START)
            elif command == "t" and rest:
                try:
                    self.recommender.encode(rest)  # rejects meaningless words
                    words.append(rest)
                    self.say("  Heard; Enter starts.")
                except TastevecError as error:
                    self.say(f"  {error}")
            elif not rest and command in ("u", "undo"):
                taken = f"{self.catalog.movie(rows.pop())} is taken back" if rows else "No favorite to take back"
                self.say(f"  {taken}.")
            else:
                self.name(rest if command == "fav" and rest else text, rows)
        return rows

    def name(self, text: str, rows: list[int]) -> list[int]:
        """Add the movies of a line to the favorites `rows`; return those added."""
        before = len(rows)
        for title in self.recommender.titles.split(text):
            if (row := self.find(title)) in rows:
                self.say(f"  {self.catalog.movie(row)} is already named.")
            elif row is not None:
                rows.append(row)
                self.say(f"  {self.line(self.catalog.movie(row))}")
        return rows[before:]

    def named_favorite(self, text: str, rows: Sequence[int]) -> Optional[int]:
        """Return which of the favorites `rows` a number from 1 or a title means."""
        if text.isdecimal() and 0 < int(text[:9]) <= len(rows):
            return rows[int(text) - 1]
        found = self.recommender.titles.search(text, len(self.catalog))
        return next((match.row for match in found if match.row in rows), None)

    @functools.cached_property
    def names(self) -> list[str]:
        """What Tab completes: every movie with and without the article in front of its title."""
        movies = [str(self.catalog.movie(row)) for row in range(len(self.catalog))]
        return sorted({*movies, *(re.sub("^(?:the|an?) ", "", movie, flags=re.IGNORECASE) for movie in movies)})

    def starting_with(self, start: str) -> list[str]:
        return [name for name in self.names if start and name.casefold().startswith(start.casefold())]

    def completed(self, text: str) -> list[str]:
        """Return what Tab makes of an answer: titles after fav, otherwise nothing."""
        first, _, start = text.partition(" ")
        return [f"{first} {name}" for name in self.starting_with(start)] if first.casefold() == "fav" else []

    def find(self, text: str) -> Optional[int]:
        """Return the row of the movie that `text` names, asking where it could be several."""
        while text:
            row, candidates = self.recommender.titles.resolve(text)
            if row is not None:
                return row
            if reason := self.recommender.titles.too_new(text):
                self.say(f"  {text[:60]!r} {reason}.")
            elif not candidates:
                here = f"of {len(self.catalog):,} here, up to {self.catalog.years.max(initial=0)}"
                self.say(f"  No movie like {text[:60]!r} {here}: try another title, or t and what you want.")
            if not candidates:
                return None
            shown = candidates[:MOST_CANDIDATES]
            near = candidates[0].kind == FUZZY
            self.say(f"  No movie here is called {text[:60]!r}. One of these?" if near else "  Which one?")
            for number, match in enumerate(shown, 1):
                self.say(f"  {number}  {self.line(self.catalog.movie(match.row))}")
            question = "  Its number, another title, or Enter for none of these: "
            text = self.ask(question, self.starting_with)
            if text.casefold() in ("q", "quit"):
                raise EndOfInput
            if text.casefold() in ("u", "undo"):
                return None
            if text in map(str, range(1, len(shown) + 1)):
                return shown[int(text) - 1].row
        return None

    def line(self, movie: Movie) -> str:
        return f"{self.bold(str(movie))}  {self.dim(', '.join(movie.genres))}".rstrip()

    def show_info(self, movie: Movie) -> None:
        facts = {
            "written by a language model": movie.overview_source,
            "also called": ", ".join(movie.alternatives),
            "director": movie.director,
            "cast": ", ".join(movie.cast),
            "genres": ", ".join(movie.genres),
            "keywords": ", ".join(movie.keywords),
            "language": {"en": "English", **SPOKEN}.get(code := movie.original_language, code).partition(",")[0],
            "ratings": self.ratings(movie),
        }
        self.say("   " + (movie.overview or "No description of this movie here."))
        for name, fact in facts.items():
            if fact:
                self.say(f"   {name}: {fact}")

    def ratings(self, movie: Movie) -> str:
        if not movie.mean_rating:
            return f"{movie.n_ratings:,} people rated it"
        rank = self.catalog.decade_rank(self.catalog.row_of(movie.movie_id))
        place = f"{f'{ordinal(rank)} ' if rank > 1 else ''}most rated of the {movie.year // 10}0s"
        return f"{movie.mean_rating:.1f} from {movie.n_ratings:,} people" + (f"; {place}" if movie.year else "")


def ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def shortened(text: str, most: int = 60) -> str:
    """Return words as one printable line of at most `most` characters."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 3]}..."
