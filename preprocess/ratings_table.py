"""Read a table of ratings fast: blocks of whole lines, parsed by pandas' C parser in two threads.

The parser lets go of Python's lock while it works, so two blocks are parsed at once. A block of plain numbers takes
the quick way. A block where that fails is read again as text: times may be written as dates, rows whose time is
missing or invalid are dropped and counted, and the first bad id or rating stops the program with its line.
"""

from __future__ import annotations

import csv
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pandas as pd

from recommender.data.errors import DataError
from recommender.data.interactions import encode

from .raw_files import RawFiles

BLOCK_BYTES = 16 << 20
COLUMNS = ("userId", "movieId", "rating", "timestamp")
MAX_ID = 2**53
# Seconds; later than this is a mistake, in practice milliseconds.
MAX_TIME = 2**32


class Layout(NamedTuple):
    """How a ratings file is written: its separator, where the four columns stand, the range of a rating."""

    separator: str
    positions: tuple[int, int, int, int]
    has_header: bool
    low: float
    high: float


class Columns(NamedTuple):
    """Four columns of one block, ids and times as narrow as they fit; how many rows were dropped for their time."""

    users: np.ndarray
    movies: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    n_dropped: int


@dataclass
class RatingsTable:
    """Ratings as read, in the order of the file; users and movies by their rows in the ids that occur, ascending.

    user_ids, movie_ids: int64.  user_rows, movie_rows: (n_ratings,) int32.  ratings: float32, on the file's scale.
    times: int64, seconds since 1970 UTC.  n_dropped: rows left out for their time.
    """

    user_ids: np.ndarray
    movie_ids: np.ndarray
    user_rows: np.ndarray
    movie_rows: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    n_dropped: int

    def keep(self, which: np.ndarray) -> None:
        """Leave only the rows where `which` is True, one column at a time to need little memory."""
        if which.all():
            return
        for name in ("user_rows", "movie_rows", "ratings", "times"):
            setattr(self, name, getattr(self, name)[which])


def read_ratings(files: RawFiles, layout: Layout) -> RatingsTable:
    """Read the ratings of `files` as `layout` says; raises `DataError` with the line for a bad id or rating.

    Cost: about one pass over the file; memory 24 bytes a rating and a few blocks.
    """
    name = files.ratings_name
    if layout.has_header:
        layout = layout._replace(positions=_find_columns(files, name))
    parts: list[Columns] = []
    with files.open(name) as file:
        if layout.has_header:
            file.readline()
        for result in _in_parallel(_blocks(file), layout):
            if isinstance(result, _BadBlock):
                raise _first_error(files, layout, result)
            parts.append(result)
    n_dropped = sum(part.n_dropped for part in parts)
    if not any(len(part.users) for part in parts):
        if n_dropped:
            raise DataError(
                f"{files.label(name)}: all {n_dropped:,} timestamps are missing or invalid: "
                "give seconds since 1970 or dates like 2015-03-09 22:52:09"
            )
        raise DataError(f"{files.label(name)} holds no ratings: give a complete file")
    users, movies, ratings, times, _ = zip(*parts)
    parts.clear()
    user_ids, user_rows = encode(np.concatenate(users))
    del users
    movie_ids, movie_rows = encode(np.concatenate(movies))
    del movies
    seconds = np.concatenate(times, dtype=np.int64)
    return RatingsTable(user_ids, movie_ids, user_rows, movie_rows, np.concatenate(ratings), seconds, n_dropped)


class _BadBlock(NamedTuple):
    index: int


def _find_columns(files: RawFiles, name: str) -> tuple[int, int, int, int]:
    with files.open(name) as file:
        first = file.readline()
    if not first.strip():
        raise DataError(f"{files.label(name)} is empty: expected the columns {','.join(COLUMNS)}")
    try:
        line = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise DataError(f"{files.label(name)} is not UTF-8 text: save the file as UTF-8") from None
    if "\r" in line:
        raise DataError(f"{files.label(name)} ends its lines with CR alone: save it with LF or CR LF")
    header = [column.strip() for column in next(csv.reader([line]))]
    for column in COLUMNS:
        if header.count(column) != 1:
            problem = "has no column" if column not in header else "has twice the column"
            shown = line if len(line) <= 80 else line[:77] + "..."
            raise DataError(
                f"{files.label(name)} {problem} {column}: its first line is {shown!r}, expected {','.join(COLUMNS)}"
            )
    user, movie, rating, time = (header.index(column) for column in COLUMNS)
    return user, movie, rating, time


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of `file` in blocks of whole lines."""
    while block := file.read(BLOCK_BYTES):
        yield block + file.readline()


def _in_parallel(blocks: Iterator[bytes], layout: Layout) -> Iterator[Columns | _BadBlock]:
    """Parse each block, some at once, and yield the results in order."""
    n_threads = min(4, os.cpu_count() or 1)
    waiting: deque[Future[Columns | _BadBlock]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for index, block in enumerate(blocks):
            waiting.append(pool.submit(_parse, block, layout, index))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _parse(block: bytes, layout: Layout, index: int) -> Columns | _BadBlock:
    try:
        columns = _parse_numbers(block, layout)
        return columns if columns is not None else _parse_text(block, layout) or _BadBlock(index)
    except pd.errors.EmptyDataError:  # nothing but blank lines
        none = np.empty(0, dtype=np.int32)
        return Columns(none, none, np.empty(0, dtype=np.float32), none.astype(np.uint32), 0)
    except (ValueError, OverflowError):  # pandas' ParserError is a ValueError
        return _BadBlock(index)


def _read(block: bytes, layout: Layout, dtypes: dict[int, Any]) -> list[np.ndarray]:
    frame = pd.read_csv(
        io.BytesIO(block),
        sep=layout.separator,
        header=None,
        usecols=list(layout.positions),
        dtype=dtypes,
        na_filter=False,
        engine="c",
        encoding="latin-1",
    )
    return [frame[position].to_numpy() for position in layout.positions]


def _parse_numbers(block: bytes, layout: Layout) -> Optional[Columns]:
    """Return the columns of a block that holds plain numbers in range, else None."""
    kinds = (np.int64, np.int64, np.float64, np.int64)
    try:
        users, movies, ratings, times = _read(block, layout, dict(zip(layout.positions, kinds)))
    except pd.errors.EmptyDataError:
        raise
    except (ValueError, OverflowError):
        return None
    inside = users.min() >= 0 and movies.min() >= 0 and users.max() < MAX_ID and movies.max() < MAX_ID
    inside = inside and times.min() >= 0 and times.max() < MAX_TIME
    # NaN compares as False.
    if not (inside and ratings.min() >= layout.low and ratings.max() <= layout.high):
        return None
    return Columns(_narrow(users), _narrow(movies), ratings.astype(np.float32), times.astype(np.uint32), 0)


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.int32) if ids.max(initial=0) < 2**31 else ids


def _parse_text(block: bytes, layout: Layout) -> Optional[Columns]:
    """Return the columns of a block whose times may be dates or invalid; None where an id or a rating is bad."""
    cells = _read(block, layout, dict.fromkeys(layout.positions, str))
    users, movies, ratings = (
        pd.to_numeric(pd.Series(cell), errors="coerce").to_numpy(np.float64) for cell in cells[:3]
    )
    for ids in (users, movies):
        if not ((ids >= 0) & (ids < MAX_ID) & (ids == np.floor(ids))).all():
            return None
    if not ((ratings >= layout.low) & (ratings <= layout.high)).all():
        return None
    times = parse_times(cells[3])
    good = (times >= 0) & (times < MAX_TIME)
    return Columns(
        _narrow(users[good].astype(np.int64)),
        _narrow(movies[good].astype(np.int64)),
        ratings[good].astype(np.float32),
        times[good].astype(np.uint32),
        int(len(good) - good.sum()),
    )


def parse_times(cells: npt.ArrayLike) -> np.ndarray:
    """Return seconds since 1970 UTC of texts that hold seconds or an ISO date; NaN where neither.

    >>> parse_times(["60", "1970-01-01 00:02:00", "1970-01-01T00:03:00Z", "soon", ""]).tolist()
    [60.0, 120.0, 180.0, nan, nan]
    """
    texts = pd.Series(cells, dtype=object).str.strip()
    seconds = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
    rest = np.isnan(seconds)
    if rest.any():
        dates = pd.to_datetime(texts[rest], format="ISO8601", utc=True, errors="coerce")
        parsed = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        seconds[rest] = parsed.to_numpy(np.float64)
    return np.floor(seconds)


def _first_error(files: RawFiles, layout: Layout, bad: _BadBlock) -> DataError:
    """Read the lines of a bad block one by one and return the error of the first that is wrong."""
    name = files.ratings_name
    with files.open(name) as file:
        n_before = 0
        if layout.has_header:
            file.readline()
            n_before = 1
        for index, block in enumerate(_blocks(file)):
            if index == bad.index:
                break
            n_before += block.count(b"\n")
    reader = csv.reader(io.StringIO(block.decode("latin-1"), newline=""), delimiter=layout.separator)
    try:
        for cells in reader:
            if cells and (problem := _problem(cells, layout)):
                return DataError(f"{files.label(name)} line {n_before + reader.line_num}: {problem}")
    except csv.Error as error:
        return DataError(f"{files.label(name)} line {n_before + reader.line_num}: {error}: repair the line")
    first, last = n_before + 1, n_before + reader.line_num
    return DataError(f"{files.label(name)} lines {first} to {last} cannot be read as ratings: repair or remove them")


def _problem(cells: list[str], layout: Layout) -> Optional[str]:
    """Return what is wrong with one line, with what to do; None for a good one."""
    if len(cells) <= max(layout.positions):
        return f"{len(cells)} columns, expected at least {max(layout.positions) + 1}: repair or remove the line"
    for column, position in zip(COLUMNS[:2], layout.positions):
        text = cells[position].strip()
        value = _number(text)
        if value is None or not (0 <= value < MAX_ID and value == int(value)):
            return f"{column} {_short(text)} is not a whole number from 0: repair or remove the line"
    text = cells[layout.positions[2]].strip()
    rating = _number(text)
    if rating is None or not layout.low <= rating <= layout.high:
        return (
            f"rating {_short(text)} is not a number from {layout.low:g} to {layout.high:g}: "
            "repair or remove the line, or name the data set with --source-format"
        )
    return None


def _number(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
