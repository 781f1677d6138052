"""Command line of the session programs, and terminal input and output."""

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Optional

from recommender.cli import Parser
from recommender.data.errors import ChoiceError, SettingsError, shown
from recommender.data.settings import default_folder, override, read_settings
from recommender.session.policy import MOVING_AVERAGE, PolicySettings
from recommender.session.profiles import default_profiles_folder
from recommender.text import registry


def build_parser(program: str, description: str, answers: str, without: Sequence[str] = ()) -> Parser:
    """Return the flags of a session program; without: policy settings that do not apply."""
    parser = Parser(f"model.{program}", description.partition("\n\n")[0], epilog=answers)
    several = {"action": "append", "default": [], "metavar": "NAME"}
    words = "what you want, in your own words, instead of favorites or in addition; repeatable"
    backend = "embedding backend for words; movie vectors of it must be stored (default: %(default)s)"
    where = f"folder of the profiles (default: {default_profiles_folder()})"
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    parser.add_common("config", help="policy file (default: config/recommender_policy.yaml)")
    parser.add_argument("--genre", **several, help="only movies with this genre; repeatable, any of them")
    parser.add_argument("--exclude-genre", **several, help="no movie with this genre; repeatable")
    parser.add_argument("--year", type=years, metavar="YEAR", help="only movies of 1994, 1990-1999, 1990- or -1970")
    parser.add_argument("--like", **{**several, "metavar": "WORDS"}, help=words)
    parser.add_argument("--backend", choices=registry.names(), default=registry.DEFAULT_BACKEND, help=backend)
    parser.add_common("base-url", help="--backend http: address of the service, up to /v1")
    parser.add_common("model", help="--backend http: name of the model there")
    parser.add_common("seed", default=None, help="random seed of the exploration (default: 0)")
    parser.add_argument("--save", metavar="NAME", help="save this session as a new profile")
    parser.add_argument("--resume", metavar="NAME", help="resume a profile and keep it up to date")
    parser.add_argument("--profiles", type=Path, metavar="DIR", help=where)
    names = [field.name for field in dataclasses.fields(PolicySettings) if field.name not in without]
    parser.add_settings(PolicySettings, names, "settings, override the file")
    return parser


def years(text: str) -> tuple[Optional[int], Optional[int]]:
    """Read 1994, 1990-1999, 1990- or -1970."""
    if match := re.fullmatch(r"(\d{0,4})(-?)(\d{0,4})", text.strip()):
        first, last = (int(year) if year else None for year in match.group(1, 3))
        last = last if match[2] else first
        if (first, last) != (None, None) and (first is None or last is None or first <= last):
            return first, last
    raise argparse.ArgumentTypeError(f"{shown(text)} is not a year or a range: write 1994, 1990-1999, 1990- or -1970")


def open_policy(given: argparse.Namespace) -> PolicySettings:
    """Return the policy of the file, overridden by flags."""
    path = given.config or default_folder("config") / "recommender_policy.yaml"
    policy = override(read_settings(PolicySettings, path), given)
    for name in ("learning_rate", "negative_weight"):
        if getattr(given, name) is not None and policy.learning_rule != MOVING_AVERAGE:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(f"{flag} belongs to the moving average: add --learning-rule {MOVING_AVERAGE}")
    return policy


def backend_settings(given: argparse.Namespace) -> dict[str, str]:
    """Return the flags that set the backend; raises `ChoiceError` for flags of another backend."""
    settings = {name: value for name in ("base_url", "model") if (value := getattr(given, name)) is not None}
    if given.backend == "http":
        return {**settings, "cache": ""}  # a person's words are stored only on request, so not in the cache either
    if settings:
        flag = "--" + min(settings).replace("_", "-")
        raise ChoiceError(f"{flag} belongs to the backend http: add --backend http, or omit {flag}")
    return {}


class EndOfInput(Exception):
    """The input was closed."""


class Console:
    """Input and output lines: editing and color on a terminal, an echo of the input in a pipe."""

    def __init__(self) -> None:
        if sys.stdin is None:  # closed by the parent process
            sys.stdin = io.StringIO()
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
        self.color = sys.stdout.isatty() and not plain
        self.out = getattr(sys.stdout, "stream", sys.stdout)  # which prints colors, too
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="replace")

    def say(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)

    def say_wrapped(self, text: str) -> None:
        """Print a paragraph, indented, within the width of the terminal."""
        width = shutil.get_terminal_size().columns if self.interactive else 92
        for line in textwrap.wrap(text, max(20, width - 1), initial_indent="   ", subsequent_indent="   "):
            self.say(line)

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.color else text

    def dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self.color else text

    def ask(self, prompt: str) -> str:
        """Return one line without its end; raises `EndOfInput`."""
        if self.interactive:
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

    @contextlib.contextmanager
    def completing(self, titles: Callable[[], Sequence[str]]) -> Iterator[None]:
        """Complete movie titles with Tab, on a terminal that has readline; `titles` is called at the first Tab."""
        try:
            import readline
        except ImportError:
            readline = None
        if readline is None or not self.interactive:
            yield
            return
        names = functools.lru_cache(maxsize=1)(titles)

        @functools.lru_cache(maxsize=1)
        def starting_with(start: str) -> list[str]:
            return [name for name in names() if start and name.casefold().startswith(start)]

        def complete(text: str, index: int) -> Optional[str]:
            return dict(enumerate(starting_with(text.casefold()))).get(index)

        readline.set_completer_delims("")
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
        try:
            yield
        finally:
            readline.set_completer(None)
