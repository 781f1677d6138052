"""Times of ratings: seconds since 1970 or a part of these, dates as texts; most lie from 1993 to tomorrow."""

from __future__ import annotations

import re
import time

import numpy as np
import numpy.typing as npt
import pandas as pd

from .cells import MAX_ID

# 1993: an earlier number of seconds is no time of a rating (a date may be one), and ticks of .NET are no nanoseconds.
FIRST_TIME = 725_846_400
_UNITS = {"": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_DATE = re.compile("((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([0-9]{4}([0-9]{2})?)?")  # with hours
TIMES = "give seconds since 1970 or dates like 2015-03-09 22:52:09, or no such column: then the file's order counts"


def parse_times(cells: npt.ArrayLike) -> np.ndarray:
    """Return times that are numbers, and ISO dates in seconds since 1970 UTC, (2, n) float64; NaN otherwise.

    >>> parse_times(["60", "1970-01-01 00:02:00", "1970-01-01T00:03:00Z", "soon", ""]).tolist()
    [[60.0, nan, nan, nan, nan], [nan, 120.0, 180.0, nan, nan]]
    """
    texts = pd.Series(cells, dtype=object).str.strip()
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    dates = np.full(len(texts), np.nan)
    others = np.isnan(numbers)
    if others.any():
        found = pd.to_datetime(texts[others], format="ISO8601", utc=True, errors="coerce")
        seconds = found.dt.tz_localize(None).to_numpy("datetime64[s]")  # any year, unlike nanoseconds
        dates[others] = (seconds - np.datetime64(0, "s")) / np.timedelta64(1, "s")
    return np.stack([numbers, dates])


def last_time() -> float:
    return time.time() + 86_400.0  # zones and clocks differ


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
    if 1900 <= middle <= 2100:
        cause = "seem to be years"
    elif 20_000 <= middle <= 80_000:
        cause = "seem to be days as a spreadsheet counts them"
    shown = f"{middle:.1f}".removesuffix(".0")
    if date := _DATE.fullmatch(shown):
        return f"has times that seem to be dates like {shown}: write {'-'.join(date.groups()[:3])}"
    return f"has times that {cause}, such as {shown}: {TIMES}"


def in_range(
    users: np.ndarray, movies: np.ndarray, ratings: np.ndarray, times: np.ndarray, low: float, high: float
) -> bool:
    """Return whether columns of numbers can be ratings."""
    ids_fit = all(ids.min() >= 0 and ids.max() < MAX_ID for ids in (users, movies))
    ratings_fit = ratings.min() >= low and ratings.max() <= high  # NaN compares as False
    return bool(ids_fit and ratings_fit and times.min() >= FIRST_TIME and times.max() <= last_time())
