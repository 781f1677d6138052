"""Errors that a person can act on, and texts that a terminal can show.

Every message has three parts in one line: what was wrong, the value that was received, and what to do next.
The programs print it and leave with exit code 2; library callers catch `TastevecError`.
"""

from __future__ import annotations

import re

# Controls, which color, clear or rename a terminal, and marks that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PLAIN = bytes(range(32, 127)) + b"\t\n\r"


class TastevecError(Exception):
    """Base of all errors that tastevec raises on purpose."""


class DataError(TastevecError):
    """Raw or processed data cannot be used as it is: a file, a column or a value."""


class SettingsError(TastevecError):
    """A configuration file or a flag holds an unknown key or a value out of range."""


class ArtifactError(TastevecError):
    """A stored artifact is missing, damaged, or belongs to other data."""


class ServiceError(TastevecError):
    """A service on the network can't be reached, refused, or answered something else than was asked."""


class ChoiceError(TastevecError, ValueError):
    """A caller named a movie, an answer or an option that does not exist."""


def printable(text: str) -> str:
    r"""Return `text` without what a terminal would take as a command; tabs and line ends stay.

    >>> printable("\x1b[31mHeat")
    '[31mHeat'
    """
    rare = text.encode("utf-8", "surrogatepass").translate(None, _PLAIN)  # short: a catalogue costs 1 ms, not 6
    return _CONTROL.sub("", text) if _CONTROL.search(rare.decode("utf-8", "surrogatepass")) else text
