"""Read a table of ratings as people have it: plain numbers quickly, anything else as text, every decision noted.

A file of plain numbers is read by pandas in chunks. Where that fails the whole file is read again as text: times may
be dates, milliseconds or missing, ids may be names; rows without a time or a rating are dropped and counted, and the
first bad cell stops the program with its line.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pandas as pd

from recommender.data.errors import DataError
from recommender.data.interactions import encode

from .raw_files import RawFiles

COLUMNS = ("userId", "movieId", "rating", "timestamp")
# Spellings of a column, in lower case without blanks, dots and underscores.
_SPELLINGS = {
    "userId": ("userid", "user", "uid", "username"),
    "movieId": ("movieid", "movie", "itemid", "item", "filmid", "film"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "date", "datetime", "ratedat"),
}
SEPARATORS = ",;\t|"
CHUNK = 2_000_000  # rows
MAX_ID = 2**53
MAX_TIME = 2**32  # seconds; later than this is a mistake or milliseconds
MOST_EMPTY = 0.1  # share of the rows that may lack a rating
Names = Optional[dict[str, int]]  # name -> number, where ids are names


class Layout(NamedTuple):
    """How a ratings file is written: separator, columns, range of a rating; position -1: there is no such column."""

    separator: str
    positions: tuple[int, ...]
    has_header: bool
    low: float
    high: float


@dataclass
class RatingsTable:
    """Ratings in the order of the file; users and movies by their rows in the ids that occur, ascending.

    user_ids, movie_ids: int64.  user_rows, movie_rows: (n_ratings,) int32.  ratings: float32, on the file's scale.
    times: int64, seconds since 1970 UTC; without times in the file -n .. -1, the order of its rows.
    n_dropped: rows left out for their time or rating.  notes: how the file was read, where that is not plain.
    names: of users and of movies, id -> text, where the file has names for ids.
    """

    user_ids: np.ndarray
    movie_ids: np.ndarray
    user_rows: np.ndarray
    movie_rows: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    n_dropped: int = 0
    notes: list[str] = field(default_factory=list)
    names: tuple[dict[int, str], ...] = ({}, {})

    def keep(self, which: np.ndarray) -> None:
        """Leave only the rows where `which` is True, one column at a time to need little memory."""
        for name in ("user_rows", "movie_rows", "ratings", "times") if not which.all() else ():
            setattr(self, name, getattr(self, name)[which])


def read_ratings(files: RawFiles, layout: Layout, movie_numbers: dict[str, int]) -> RatingsTable:
    """Read the ratings of `files`; raises `DataError` with the line for an id or a rating that is none.

    movie_numbers: the number of each movie whose id in the movie list is a name. Cost: one pass over the file where
    it holds plain numbers, else two; memory 24 bytes a rating and one chunk.
    """
    notes: list[str] = []
    error = partial(files.error, files.ratings_name)
    if layout.has_header:
        layout = _read_header(files, layout, notes)
    table = None if movie_numbers or -1 in layout.positions else _read_numbers(files, layout)
    table = table or _read_text(files, layout, movie_numbers)
    table.notes[:0] = notes
    if not len(table.ratings) and table.n_dropped:
        hint = "give seconds since 1970 or dates like 2015-03-09 22:52:09"
        raise error(f"holds no rating with a time ({table.n_dropped:,} are missing or invalid): {hint}")
    if not len(table.ratings):
        raise error("holds no ratings: give a complete file")
    return table


def find_columns(header: Sequence[str], column: str) -> list[int]:
    """Return the positions of a column by its exact name, else by any spelling of it."""
    spellings = _SPELLINGS.get(column, (column.lower(),))
    exact = [i for i, cell in enumerate(header) if cell == column]
    return exact or [i for i, cell in enumerate(header) if re.sub(r"[\W_]", "", cell.lower()) in spellings]


def _read_header(files: RawFiles, layout: Layout, notes: list[str]) -> Layout:
    """Find separator and columns by the first line."""
    error = partial(files.error, files.ratings_name)
    with files.open(files.ratings_name) as file:
        first = file.readline(1 << 16)
    if not first.strip():
        raise error(f"is empty: expected the columns {','.join(COLUMNS)}")
    try:
        line = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise error("is not UTF-8 text: save the file as UTF-8") from None
    if "\r" in line:
        raise error("ends its lines with CR alone: save it with LF or CR LF")
    separator = max(SEPARATORS, key=line.count)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
    positions = []
    for column in COLUMNS:
        found = find_columns(header, column)
        if len(found) > 1 or (not found and column != "timestamp"):
            problem = "has twice the column" if found else "has no column"
            shown = line if len(line) <= 80 else line[:77] + "..."
            raise error(f"{problem} {column}: its first line is {shown!r}, expected {','.join(COLUMNS)}")
        positions += found or [-1]
    if separator != ",":
        notes.append(f"columns are separated by {separator!r}")
    renamed = [f"{header[i]} as {column}" for column, i in zip(COLUMNS, positions) if i >= 0 and header[i] != column]
    if renamed:
        notes.append(f"columns are read: {', '.join(renamed)}")
    if positions[3] < 0:
        notes.append("no column of times: the order of the file stands in; what needs dates is refused")
    return layout._replace(separator=separator, positions=tuple(positions))


def _chunks(files: RawFiles, layout: Layout, dtypes: dict[int, Any]) -> Iterator[list[np.ndarray]]:
    """Yield the columns of `dtypes` (position -> dtype), a chunk of rows at a time."""
    with files.open(files.ratings_name) as file:
        if layout.has_header:
            file.readline()
        try:
            frames = pd.read_csv(
                file, sep=layout.separator, header=None, usecols=list(dtypes), dtype=dtypes, na_filter=False,
                engine="c", encoding="latin-1", chunksize=CHUNK,
            )  # fmt: skip
            for frame in frames:
                yield [frame[position].to_numpy() for position in dtypes]
        except pd.errors.EmptyDataError:  # nothing but blank lines
            return


def _read_numbers(files: RawFiles, layout: Layout) -> Optional[RatingsTable]:
    """Read a file of plain numbers in range; None where it is something else."""
    parts = []
    try:
        dtypes = dict(zip(layout.positions, (np.int64, np.int64, np.float64, np.int64)))
        for users, movies, ratings, times in _chunks(files, layout, dtypes):
            ids_fit = all(ids.min() >= 0 and ids.max() < MAX_ID for ids in (users, movies))
            ratings_fit = ratings.min() >= layout.low and ratings.max() <= layout.high  # NaN compares as False
            if not (ids_fit and ratings_fit and times.min() >= 0 and times.max() < MAX_TIME):
                return None
            ids = [column.astype(np.int32) if column.max() < 2**31 else column for column in (users, movies)]
            parts.append((*ids, ratings.astype(np.float32), times.astype(np.uint32)))
    except (ValueError, OverflowError):  # pandas' ParserError is a ValueError
        return None
    users, movies, ratings, times = map(np.concatenate, zip(*parts)) if parts else np.empty((4, 0), dtype=np.int32)
    parts.clear()
    return _table(users, movies, ratings.astype(np.float32, copy=False), times)


def _table(users: np.ndarray, movies: np.ndarray, ratings: np.ndarray, times: np.ndarray, *about: Any) -> RatingsTable:
    user_ids, user_rows = encode(users)
    movie_ids, movie_rows = encode(movies)
    return RatingsTable(user_ids, movie_ids, user_rows, movie_rows, ratings, times.astype(np.int64), *about)


def _read_text(files: RawFiles, layout: Layout, movie_numbers: dict[str, int]) -> RatingsTable:
    """Read any file of ratings, cell by cell where a cell is not a number."""
    used = [position for position in layout.positions if position >= 0]
    names: list[Names] = [None, dict(movie_numbers) or None]  # of users, of movies
    parts = []
    try:
        for cells in _chunks(files, layout, dict.fromkeys(used, str)):
            for which in (0, 1):
                if names[which] is None and not parts and np.isfinite(_read_ids(cells[which], None)).mean() < 0.5:
                    names[which] = {}
            ids = [_read_ids(cells[which], names[which]) for which in (0, 1)]
            ratings = pd.to_numeric(pd.Series(cells[2]), errors="coerce").to_numpy(np.float64, copy=True)
            ratings[~((ratings >= layout.low) & (ratings <= layout.high))] = np.nan
            ratings[np.array([not cell.strip() for cell in cells[2]], dtype=bool)] = -np.inf  # empty
            if any(np.isnan(column).any() for column in (*ids, ratings)):
                raise _first_error(files, layout, names, empty_allowed=True)
            parts.append((*ids, ratings, parse_times(cells[3]) if len(cells) > 3 else np.zeros(len(ratings))))
    except pd.errors.ParserError:
        raise _first_error(files, layout, names, empty_allowed=True) from None
    users, movies, ratings, times = map(np.concatenate, zip(*parts)) if parts else np.empty((4, 0))
    notes = []
    rated = np.isfinite(ratings)
    if np.sum(~rated) > MOST_EMPTY * len(rated):
        raise _first_error(files, layout, names, empty_allowed=False)
    if len(used) < 4:
        times = np.arange(-len(ratings), 0)
        dated = np.ones(len(ratings), dtype=bool)
    else:
        if np.mean(times >= MAX_TIME) > 0.5 and np.nanmax(times) < MAX_TIME * 1000:
            times = np.floor(times / 1000)
            notes.append("times are read as milliseconds")
        dated = (times >= 0) & (times < MAX_TIME)
    for dropped, reason in ((~rated, "the rating is empty"), (rated & ~dated, "missing or invalid timestamp")):
        if dropped.any():
            notes.append(f"{int(dropped.sum()):,} ratings dropped: {reason}")
    notes += [f"{w} ids are names: {w}_ids.csv has their numbers" for w, n in zip(("user", "movie"), names) if n]
    good = rated & dated
    columns = (users[good].astype(np.int64), movies[good].astype(np.int64), ratings[good].astype(np.float32))
    texts = tuple({number: name for name, number in (known or {}).items()} for known in names)
    return _table(*columns, times[good], int((~good).sum()), notes, texts)


def _read_ids(cells: np.ndarray, names: Names) -> np.ndarray:
    """Return ids as float64, NaN for a bad one; `names`, where ids are names, is extended by the new ones."""
    if names is None:
        values = pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(np.float64)
        return np.where((values >= 0) & (values < MAX_ID) & (values == np.floor(values)), values, np.nan)
    texts = pd.Series(cells).str.strip()
    for name in filter(None, texts.unique()):
        names.setdefault(name, len(names) + 1)
    return texts.map(names).to_numpy(np.float64)


def parse_times(cells: npt.ArrayLike) -> np.ndarray:
    """Return seconds since 1970 UTC of texts that hold seconds or an ISO date; NaN where neither.

    >>> parse_times(["60", "1970-01-01 00:02:00", "1970-01-01T00:03:00Z", "soon", ""]).tolist()
    [60.0, 120.0, 180.0, nan, nan]
    """
    texts = pd.Series(cells, dtype=object).str.strip()
    seconds = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
    others = np.isnan(seconds)
    if others.any():
        dates = pd.to_datetime(texts[others], format="ISO8601", utc=True, errors="coerce")
        seconds[others] = ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    return np.floor(seconds)


def _first_error(files: RawFiles, layout: Layout, names: list[Names], empty_allowed: bool) -> DataError:
    """Read the file line by line and return the error of the first line that is wrong."""
    name = files.ratings_name
    with files.open(name) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="latin-1", newline=""), delimiter=layout.separator)
        try:
            for cells in reader:
                is_header = layout.has_header and reader.line_num == 1
                if cells and not is_header and (problem := _problem(cells, layout, names, empty_allowed)):
                    return files.error(name, problem, reader.line_num)
        except csv.Error as error:
            return files.error(name, f"{error}: repair the line", reader.line_num)
    return files.error(name, "a quote is left open before the end: close it", reader.line_num)


def _problem(cells: list[str], layout: Layout, names: list[Names], empty_allowed: bool) -> Optional[str]:
    """Return what is wrong with one line and what to do; None for a good one."""
    if len(cells) <= max(layout.positions):
        return f"{len(cells)} columns, expected at least {max(layout.positions) + 1}: repair or remove the line"
    *ids, rating = (cells[position].strip() for position in layout.positions[:3])
    for column, text, known in zip(COLUMNS, ids, names):
        value = _number(text)
        if not text or (known is None and not (0 <= value < MAX_ID and value == int(value))):
            return f"{column} {_short(text)} is not a whole number from 0: repair or remove the line"
    if not ((empty_allowed and not rating) or layout.low <= _number(rating) <= layout.high):
        return (
            f"rating {_short(rating)} is not a number from {layout.low:g} to {layout.high:g}: repair or remove the "
            "line, or say how ratings are meant: --rating-scale 1-10, --source-format NAME"
        )
    return None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return -math.inf
    return value if math.isfinite(value) else -math.inf


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
