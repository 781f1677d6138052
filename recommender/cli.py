"""Shared by all programs: flags, a progress line, and errors as one line and an exit code.

Exit codes: 0 done; 2 bad input or a file that cannot be used; 130 stopped with Ctrl-C; 141 the reader of the
output has closed it (as a shell reports SIGPIPE).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional

from .data.artifacts import need_folder
from .data.errors import ChoiceError, SettingsError, TastevecError, one_line, printable, shown
from .data.settings import default_folder
from .linalg.engine import DaskEngine, Engine

FULL = "the disk is full: free some space, then run it again; nothing was changed"


def whole_number(text: str) -> int:
    """Read a seed or a count: a whole number from 0, below 10^18."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number from 0, below 10^18")
    return int(text)


def address(text: str) -> str:
    """Read an address; an empty one comes from a shell variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the address is empty: give one, or leave the flag out")
    return text


# The flags that mean the same in every program: keywords of add_argument.
_COMMON: dict[str, dict[str, Any]] = {
    "data": {"type": Path, "default": Path("data"), "metavar": "PATH", "help": "raw data: a folder or an archive"},
    "processed": {
        "type": Path,
        "default": default_folder("processed"),
        "metavar": "DIR",
        "help": "processed folder, written by python -m preprocess.setup (default: the shipped data)",
    },
    "output": {"type": Path, "metavar": "DIR", "help": "output folder"},
    "config": {"type": Path, "metavar": "FILE", "help": "settings file"},
    "seed": {"type": whole_number, "default": 0, "metavar": "N", "help": "random seed (default: 0)"},
    "threads": {"type": int, "metavar": "N", "help": "number of threads"},
    "base-url": {"metavar": "URL", "help": "address of the service, up to /v1"},
    "model": {"metavar": "NAME", "help": "name of the model at the service"},
    "method": {"metavar": "NAME", "help": "name of the ranking model"},
    "all-ratings": {"action": "store_true", "help": "fit on all ratings, not only on train"},
}


class Parser(argparse.ArgumentParser):
    """The parser of one program: `--help` fits one screen, `--help-all` shows every setting, errors are one line.

    program: as after `python -m`.  renamed: old flag -> new flag; accepted, but not shown.
    """

    def __init__(
        self, program: str, description: str, renamed: Optional[Mapping[str, str]] = None, **more: Any
    ) -> None:
        super().__init__(prog=f"python -m {program}", description=description, add_help=False, **more)
        self.renamed = dict(renamed or {})
        self._settings_groups: list[Any] = []
        self.add_argument("-h", "--help", action=_Help, help="show this help")
        self.add_argument("--help-all", action=_Help, help="show every setting")

    def add_common(self, *names: str, **changes: Any) -> None:
        """Add shared flags; `changes` replace keywords: add_common("output", help="a CSV")."""
        for name in names:
            self.add_argument(f"--{name}", **{**_COMMON[name], **changes})

    def add_folders(self, stored: str) -> None:
        """Add --processed and --output of a program that stores a model in artifacts/`stored`: see `output_folder`."""
        self.add_common("processed")
        self.add_common("output", help=f"folder of the model (default: artifacts/{stored} in --processed)")

    def add_engine(self) -> None:
        """Add the flags that `open_engine` reads."""
        group = self.add_more("more than one process, pip install 'tastevec[scale]'")
        what = "numpy: work on blocks of people in this process; dask: in others, here or elsewhere (default: numpy)"
        group.add_argument("--engine", choices=("numpy", "dask"), default="numpy", help=what)
        where = "with --engine dask: address of its scheduler (default: a worker for each core here)"
        group.add_argument("--scheduler", type=address, metavar="ADDRESS", help=where)

    def add_settings(self, cls: type[Any], names: Optional[Sequence[str]] = None, title: str = "settings") -> None:
        """Add one flag for each field of a settings dataclass (or those named); the default of a flag is None."""
        group = self.add_argument_group(title)
        self._settings_groups.append(group)
        for field in dataclasses.fields(cls):
            if names is not None and field.name not in names:
                continue
            flag = "--" + field.name.replace("_", "-")
            kind, choices = type(field.default), field.metadata["choices"]
            meaning = f"{field.metadata['meaning']} (default: {field.default})".replace("%", "%%")
            if kind is bool:
                group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=meaning)
            else:
                metavar = f"{{{','.join(choices)}}}" if choices else {int: "N", float: "X"}.get(kind, "NAME")
                group.add_argument(flag, type=kind, default=None, metavar=metavar, help=meaning)

    def add_more(self, title: str) -> Any:
        """Return a group of flags that only `--help-all` shows; call its `add_argument`."""
        group = self.add_argument_group(title)
        self._settings_groups.append(group)
        return group

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        for place, word in enumerate(given):
            flag, equals, value = word.partition("=")
            if word == "--":
                break
            given[place] = self.renamed.get(flag, flag) + equals + value
        return super().parse_known_args(given, namespace)

    def help_text(self, every_setting: bool) -> str:
        """Return what `--help` or `--help-all` prints."""
        formatter = self._get_formatter()
        formatter.add_text(f"usage: {self.prog} [flags]")
        formatter.add_text(self.description)
        for group in self._action_groups:
            if every_setting or group not in self._settings_groups:
                formatter.start_section(group.title)
                formatter.add_text(group.description)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        formatter.add_text(self.epilog if every_setting else None)
        return formatter.format_help()

    def error(self, message: str) -> NoReturn:
        raise SettingsError(re.sub(r"\S{300,}", lambda found: f"{found[0][:60]}...", message) + ": see --help")


class _Help(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: Optional[str] = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Optional[str] = None) -> None:
        print(parser.help_text(option_string == "--help-all"), end="")
        parser.exit()


class Progress:
    """A progress line on stderr: `label: 1,200 of 3,650 movies`; silent if stderr is not a terminal."""

    def __init__(self, label: str = "", unit: str = "") -> None:
        self.label, self.unit = label, unit
        self.live = sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Show how many of `total` are done; the line is cleared at the end."""
        if not self.live:
            return
        parts = [part for part in (self.label, what, f"{done:,} of {total:,} {self.unit}".strip()) if part]
        line = ": ".join(parts) if done < total else ""
        print(f"\r{line.ljust(self._width)}" + ("\r" if not line else ""), end="", file=sys.stderr, flush=True)
        self._width = len(line)


class _Printed:
    """A stream that prints texts, whoever wrote them, without what commands a terminal; `stream` prints all."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        first, last = ("\r" * test("\r") for test in (text.startswith, text.endswith))  # of a progress line
        return int(self.stream.write(first + printable(text.strip("\r")) + last))


def output_folder(arguments: argparse.Namespace, stored: str, kind: str = "") -> Path:
    """Return where to store the model; raises `ArtifactError` if that is impossible.

    stored: name of the default folder.  kind: of the artifact, if it differs from `stored`.
    """
    folder: Path = arguments.output or arguments.processed / "artifacts" / stored
    if arguments.output or not arguments.processed.is_file():  # reading --processed reports what is wrong with it
        names = [path.name for path in folder.glob("*.np[yz]")] if folder.is_dir() else []
        need_folder(folder, kind=kind or stored, names=[*names, "user_map.json", "movie_map.json"])
    return folder


@contextlib.contextmanager
def open_engine(given: argparse.Namespace) -> Iterator[Engine]:
    """Give the engine that the flags of `add_engine` ask for; at the end it says what its workers needed."""
    if given.scheduler and given.engine != "dask":
        raise SettingsError(f"--scheduler {shown(given.scheduler)} goes with --engine dask: add it")
    with DaskEngine(given.scheduler) if given.engine == "dask" else Engine() as engine:
        yield engine
        if memory := engine.memory():
            print(memory)


def check_cost(what: str, data: Any, takes: tuple[float, float], instead: str, engine: str = "numpy") -> None:
    """Print the rows of `data`, and the time and memory that a fit on them is expected to take, before it starts.

    takes: seconds and bytes.  Raises `ChoiceError`, which says `instead`, for more than the free memory; not for the
    `engine` of Dask, whose workers have memory of their own.
    """
    from .models import free_memory

    (seconds, size), free = takes, free_memory()
    time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    rows = f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies"
    about = f"{what}: {rows}; about {time} and {size / 1e9:.1f} GB"
    if engine == "numpy" and free is not None and size > free:
        raise ChoiceError(f"{about}, but {free / 1e9:.1f} GB are free: {instead}, or use a larger machine")
    print(about, flush=True)


def run(main: Callable[[Optional[Sequence[str]]], Optional[int]]) -> NoReturn:
    """Run `main(None)` as a whole program and exit with its code."""
    if sys.stdout is None:
        sys.exit(_fail("standard output is closed: redirect it to a terminal or a file"))
    try:
        errors = sys.stderr and _Printed(sys.stderr)
        with contextlib.redirect_stdout(_Printed(sys.stdout)), contextlib.redirect_stderr(errors):
            code = main(None) or 0
        sys.stdout.flush()
    except TastevecError as error:
        code = _fail(str(error))
    except KeyboardInterrupt as stopped:
        print(f"\ntastevec: {one_line(str(stopped))}" if stopped.args else "", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except MemoryError:
        code = _fail("not enough memory for this data: use a smaller data set or a larger machine")
    except OSError as error:
        # numpy reports a full disk without its number: "3691520 requested and 184192 written".
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error)
        what = FULL if is_full else f"{error.strerror or error}: check the path and its permissions, and try again"
        code = _fail(f"{error.filename}: {what}" if error.filename else what)
    sys.exit(code)


def _fail(message: str) -> int:
    print("tastevec: " + one_line(message), file=sys.stderr)
    return 2
