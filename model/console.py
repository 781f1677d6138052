"""A console: lines in and out, with editing and color on a terminal and a readable echo in a pipe."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Optional


class EndOfInput(Exception):
    """The person closed the input."""


class Console:
    """Lines in and out: editing and color on a terminal, an echo of what was read in a pipe."""

    def __init__(self) -> None:
        if sys.stdin is None:  # closed by whoever started us
            sys.stdin = io.StringIO()
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
        self.color = sys.stdout.isatty() and not plain
        for stream in (sys.stdin, sys.stdout):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    def say(self, text: str = "") -> None:
        print(text, flush=True)

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
            found = starting_with(text.casefold())
            return found[index] if index < len(found) else None

        readline.set_completer_delims("")
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
        try:
            yield
        finally:
            readline.set_completer(None)
