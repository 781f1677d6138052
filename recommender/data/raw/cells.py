"""What cells of tables mean, as tools and people write them: nothing, whole numbers, ids, years, genres, times."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import math
import re
import time
from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..catalog import NO_GENRES

MAX_ID = 2**53
_NOTHING = {"", "nan", "none", "null", "\\n", "na", "n/a", "#n/a", "<na>", "nat", "-", "?", "-1", "-1.0"}
# pandas writes .0 after ids in columns with missing values; 1.000 is a thousand in some countries.
_WHOLE = re.compile(r"0*([0-9]{1,16})(?:\.(?!000$)0*)?")
_IDS = {  # alone, or in an address, where words may follow
    "imdbId": re.compile(r"(?:.*\bimdb\.com/.*title/)?(?:tt)?0*([0-9]{1,9})(?:\.0*|[/?#].*)?", re.IGNORECASE),
    "tmdbId": re.compile(r"(?:.*\bthemoviedb\.org/.*movie/)?0*([0-9]{1,9})(?:\.0*|[/?#-].*)?", re.IGNORECASE),
}
_LIST = re.compile(r"""[\[{]|\(['"]""")
_NAMED = re.compile(r"""['"]name['"]\s*:\s*(?:"([^"]*)"|'([^']*)')""")
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')(\s*:)?""")  # with a colon it is the key of a mapping
_BETWEEN = re.compile(r"\s*[,;/·•]\s*")
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,'’\s]*(E[-+]?[0-9]+)?", re.IGNORECASE)  # in any form
# What spreadsheets make of numbers: 1.2E+15, ###, #NAME?; and 1,234, 04.05.2024, 5. Apr, May-04, which may be names.
_SHORTENED = re.compile(r"[-+]?[0-9.,]+E[-+][0-9]+|##+|#N/A|#[A-Z/0]+[?!]", re.IGNORECASE)
_THOUSANDS = re.compile(r"[0-9]{1,3}([.,'’\s][0-9]{3})+")
_REWRITTEN = re.compile(
    rf"{_THOUSANDS.pattern}|[0-9]+([./-][0-9]+){{2}}|[0-9]+[.\s-]+[^\W\d]{{3,}}.*|[^\W\d]{{3,}}[.\s-]+[0-9]+"
)
# Times of ratings lie from 1993 to tomorrow, in seconds since 1970 or a part of these; ticks of .NET are later.
FIRST_TIME = 725_846_400
_UNITS = {"": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_LIKELY = [(1900, 2100, "years"), (20_000, 80_000, "days as a spreadsheet counts them")]
_LIKELY += [(190 * 10**n, 210 * 10**n, "dates without dashes") for n in (5, 9, 11)]  # these with hours, seconds
TIMES = "give seconds since 1970 or dates like 2015-03-09 22:52:09, or no such column: then the file's order counts"


def is_nothing(text: str) -> bool:
    """Return whether a cell says that there is no value, such as nan, NULL, None, \\N or N/A."""
    return text.strip().lower() in _NOTHING


def whole_number(text: str) -> Optional[int]:
    """Return a whole number below `MAX_ID`, also from `862.0`; None for any other text."""
    match = _WHOLE.fullmatch(text.strip())
    number = int(match[1]) if match else MAX_ID
    return number if number < MAX_ID else None


def link_id(column: str, text: str) -> Optional[str]:
    """Return the digits of an imdbId (at least seven) or a tmdbId; "" for a placeholder, None for any other text.

    >>> [link_id("imdbId", text) for text in ("tt0114709", "114709.0", "https://www.imdb.com/title/tt0114709/", "-1")]
    ['0114709', '0114709', '0114709', '']
    """
    match = _IDS[column].fullmatch(text.strip())
    if is_nothing(text) or (match and match[1] == "0"):
        return ""
    return match and match[1].zfill(7 if column == "imdbId" else 0)


def unshared(ids: Sequence[str], titles: Sequence[str]) -> list[str]:
    """Return the ids with "" for each that movies of different titles share; a movie may be listed twice.

    >>> unshared(["862", "862", "949", "949"], ["Toy Story", "Jumanji", "Heat", "Heat"])
    ['', '', '949', '949']
    """
    first: dict[str, str] = {}
    shared = {id_ for id_, title in zip(ids, titles) if first.setdefault(id_, title) != title}
    return ["" if id_ in shared else id_ for id_ in ids]


def year_of(text: str = "") -> int:
    """Return the year of a year, a date or a range of years; 0 = unknown.

    >>> [year_of(text) for text in ("1995.0", "1995-11-22", "22.11.1995", "19950", "-1", "nan")]
    [1995, 1995, 1995, 0, 0, 0]
    """
    try:
        year = float(text or 0)
    except ValueError:
        match = re.search(r"(?<![0-9])([12][0-9]{3})(?![0-9])", text)
        year = float(match[1]) if match else 0
    return int(year) if 1870 <= year <= 2100 and year.is_integer() else 0


def joined_genres(cells: Sequence[str]) -> list[str]:
    """Return the genres of each movie joined by `|`, "" for none, from a whole column of any usual form.

    Lists as Python or JSON write them hold names. Elsewhere `|` separates, and in a column without it `,`, `;` and `/`
    do; such a character also separates what is a genre of its own elsewhere in the column.

    >>> joined_genres(["Action, Drama", "Comedy/Romance"]), joined_genres(["War|Sci-Fi/Fantasy", "[{'name': 'Drama'}]"])
    (['Action|Drama', 'Comedy|Romance'], ['War|Sci-Fi/Fantasy', 'Drama'])
    """
    listed = {cell: [name.strip() for name in _names(cell.strip()) if not is_nothing(name)] for cell in set(cells)}
    plain = not any("|" in cell for cell in listed if not _LIST.match(cell.strip()))
    known = {name for names in listed.values() for name in names}
    joined = {}
    for cell, names in listed.items():
        always = plain and not _LIST.match(cell.strip())
        split = [[part for part in _BETWEEN.split(name) if part] for name in names]
        parts = [part if always or not known.isdisjoint(part) else [name] for name, part in zip(names, split)]
        joined[cell] = "|".join(dict.fromkeys(itertools.chain(*parts)))
    return [joined[cell] for cell in cells]


def _names(cell: str) -> list[str]:
    if not _LIST.match(cell):
        return [] if cell == NO_GENRES else cell.split("|")
    with contextlib.suppress(ValueError, RecursionError):  # JSON, with its escapes
        listed = json.loads(cell)
        if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
            return listed
    found = _NAMED.findall(cell) or [found[:2] for found in _QUOTED.findall(cell) if not found[2]]
    return ["".join(names) for names in found] if re.search("['\":]", cell) else cell[1:-1].split(",")


def are_names(cells: Sequence[str]) -> bool:
    """Return whether most of the different ids are no numbers, not even such as a spreadsheet rewrote."""
    texts = set(cells)
    return sum(bool(_NUMBER.fullmatch(text) or _SHORTENED.fullmatch(text)) for text in texts) < len(texts) / 2


def is_name(text: str) -> bool:
    """Return whether a cell can be an id where ids are names."""
    return not is_nothing(text) and not _SHORTENED.fullmatch(text)


def is_rewritten(text: str) -> bool:
    """Return whether a cell looks as if a spreadsheet had rewritten a number.

    >>> [is_rewritten(text) for text in ("1.23457E+15", "1,234", "5. Apr", "4-May", "1234", "4.5")]
    [True, True, True, True, False, False]
    """
    return bool(_SHORTENED.fullmatch(text) or _REWRITTEN.fullmatch(text))


def time_of(text: str) -> Optional[float]:
    """Return a number, or an ISO date in seconds since 1970 UTC; NaN for no time, None for a rewritten number.

    >>> [time_of(text) for text in ("60", "1970-01-01 00:02:00", "1970-01-01T00:03:00Z", "soon", "1.4E+09")]
    [60.0, 120.0, 180.0, nan, None]
    """
    if _SHORTENED.fullmatch(text):
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        date = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None if _THOUSANDS.fullmatch(text) else math.nan
    return (date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)).timestamp()


def last_time() -> float:
    """Return tomorrow in seconds since 1970; zones and clocks differ."""
    return time.time() + 86_400.0


def as_seconds(numbers: np.ndarray) -> tuple[np.ndarray, str]:
    """Return seconds since 1970, NaN if not from 1993 to tomorrow, and the unit of most numbers, "" for seconds."""
    for unit, factor in _UNITS.items():
        seconds = np.floor(numbers / factor)
        inside = (seconds >= FIRST_TIME) & (seconds <= last_time())
        if inside.sum() > np.isfinite(numbers).sum() / 2:
            return np.where(inside, seconds, np.nan), unit
    return np.full(len(numbers), np.nan), ""


def cause(times: np.ndarray) -> str:
    """Return what is wrong with `times`, of which most are not those of ratings."""
    middle = float(np.sort(times)[len(times) // 2])
    cause = "lie in the future" if middle > last_time() else "lie before 1993 if they are seconds since 1970"
    cause = next((f"seem to be {what}" for low, high, what in _LIKELY if low <= middle <= high), cause)
    return f"has times that {cause}, such as {f'{middle:.1f}'.removesuffix('.0')}: {TIMES}"
