"""Ids of users and movies in tables of ratings: whole numbers, or names that are numbered from 1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Optional

import numpy as np
import pandas as pd

from .cells import whole_number

_NUMBER = re.compile(r"[-+]?[0-9][0-9.,'’\s]*(E[-+]?[0-9]+)?", re.IGNORECASE)  # in any form
# What spreadsheets make of numbers: 1.2E+15, ###, #NAME?; and 1,234, 04.05.2024, 5. Apr, May-04, which may be names.
_SHORTENED = re.compile(r"[-+]?[0-9.,]+E[-+][0-9]+|##+|#N/A|#[A-Z/0]+[?!]", re.IGNORECASE)
_REWRITTEN = re.compile(
    r"[0-9]{1,3}([.,'’\s][0-9]{3})+|[0-9]+([./-][0-9]+){2}|[0-9]+[.\s-]+[^\W\d]{3,}.*|[^\W\d]{3,}[.\s-]+[0-9]+"
)


def are_names(cells: Sequence[str]) -> bool:
    """Return whether most of the different ids are no numbers, not even such as a spreadsheet rewrote."""
    texts = {_as_utf8(text).strip() for text in set(cells)}
    return sum(bool(_NUMBER.fullmatch(text) or _SHORTENED.fullmatch(text)) for text in texts) < len(texts) / 2


def is_rewritten(text: str) -> bool:
    """Return whether a cell looks as if a spreadsheet had rewritten a number.

    >>> [is_rewritten(text) for text in ("1.23457E+15", "1,234", "5. Apr", "4-May", "1234", "4.5")]
    [True, True, True, True, False, False]
    """
    text = _as_utf8(text)
    return bool(_SHORTENED.fullmatch(text) or _REWRITTEN.fullmatch(text))


def read_ids(cells: Sequence[str], names: Optional[dict[str, int]]) -> np.ndarray:
    """Return ids as float64, NaN for an invalid one; `names`, if given, is extended by new names."""
    codes, texts = pd.factorize(np.array(cells, dtype=object))
    numbers = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        text = _as_utf8(text).strip()
        number = whole_number(text)
        if names is not None and text and not _SHORTENED.fullmatch(text):
            numbers[i] = names.setdefault(text, len(names) + 1)
        elif names is None and number is not None:
            numbers[i] = number
    return numbers[codes]


def _as_utf8(text: str) -> str:
    """Decode a text that was read as latin-1 as UTF-8 if possible: JosÃ© is José."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
