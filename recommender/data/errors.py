"""Exceptions with messages for users, and text that is safe to print.

Every message is one line: what was wrong, the value, and what to do next.
Programs print it and exit with code 2; library callers catch `TastevecError`.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable
from typing import Any, Optional

# Control characters, which a terminal interprets, marks that change the text direction, signs of no width that no
# script needs, halves of surrogate pairs.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


class TastevecError(Exception):
    """Base class of all exceptions of tastevec; the message is one printable line of at most 1,000 characters."""

    def __init__(self, message: object = "") -> None:
        text = one_line(str(message))
        super().__init__(text if len(text) <= 1000 else f"{text[:700]} ... {text[-295:]}")


class DataError(TastevecError):
    """Raw or processed data are invalid: a file, a column or a value."""


class SettingsError(TastevecError):
    """A configuration file or a flag has an unknown key or a value out of range."""


class ArtifactError(TastevecError):
    """A stored artifact is missing, damaged, or belongs to other data."""


class ServiceError(TastevecError):
    """A network service is unreachable, refused the request, or sent an unexpected response."""


class ChoiceError(TastevecError, ValueError):
    """A caller named a movie, an answer or an option that does not exist."""


def printable(text: str) -> str:
    r"""Return `text` without what commands a terminal; line ends are kept, tabs and carriage returns are spaces.

    >>> printable("\x1b[31mHeat")
    '[31mHeat'
    """
    return text if text.isprintable() else re.sub("[\t\r]", " ", _CONTROL.sub("", text))


def one_line(text: str) -> str:
    """Return `text` as one printable line."""
    return text if text.isprintable() else " ".join(printable(text).split())


def whole(name: str, value: object, least: Optional[int] = 1) -> int:
    """Return `value` as an int, or raise `ChoiceError` for anything but a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or (least is not None and value < least):
        raise ChoiceError(f"{name} = {shown(value)}: give a whole number" + ("" if least is None else f" from {least}"))
    return int(value)


def listed(name: str, values: Any, of: str) -> list[Any]:
    """Return `values` as a list, or raise `ChoiceError` for a string and for what is no list."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ChoiceError(f"{name} {shown(values)}: give a list of {of}")
    return list(values)


def shown(value: object, most: int = 60) -> str:
    """Return `repr(value)` for a message, cut to `most` characters."""
    try:
        text = re.sub("b'(-?[0-9]{100,})'", r"\1", repr(value))  # as `parse_json` keeps long numbers
    except ValueError:  # Python prints no number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."
