"""Read a table of ratings: plain numbers quickly, anything else as text, with a note for every decision.

pandas reads a file of plain numbers in chunks. If that fails, the whole file is read again as text: times may be dates,
milliseconds or missing, ids may be names. Rows without a time or a rating are dropped and counted; the first invalid
cell, and a row that does not fit the header, stop the program with their line. So do numbers that a spreadsheet
rewrote, and times that cannot be those of ratings. A scale other than 0.5 to 5 is mapped linearly:
0.5 + 4.5 (rating - low) / (high - low).
"""

from __future__ import annotations

import io
import itertools
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import pandas as pd

from ..errors import DataError, shown
from ..interactions import Interactions, encode
from . import cells
from .csv_table import find_columns, fitted_rows, need_columns, width_of
from .raw_files import RawFiles
from .sources import FORMATS, Format, Source

COLUMNS = ("userId", "movieId", "rating", "timestamp")
CHUNK = 2_000_000  # rows
HEAD = 10_000  # rows that decide whether ids are names
MOST_EMPTY = 0.1  # largest share of rows without a rating


class RatingsTable(NamedTuple):
    """Ratings from 0.5 to 5, one for each user and movie: the latest; for equal times, the last in the file.

    Without times in the file, `times` are -n .. -1 in file order. n_rows: rows with rating and time. n_dropped: rows
    without. notes: what is unusual about the file. names: for "user" and "movie", id -> text, if the ids are names.
    """

    ratings: Interactions
    n_rows: int
    n_dropped: int
    notes: list[str]
    names: dict[str, dict[int, str]]

    def named(self, what: str, ids: np.ndarray) -> list[object]:
        """Return ids of users or movies as the file writes them: numbers, or names."""
        names = self.names.get(what, {})
        return [names.get(number, number) for number in ids.tolist()]


def read_table(path: Path) -> RatingsTable:
    """Read one CSV of ratings, of any name, without a movie list; raises `DataError` as `read_ratings`."""
    if not path.is_file():
        raise DataError(f"no ratings at {path}: give a processed folder or a .csv")
    return read_ratings(Source(RawFiles(path), "csv"))


def read_ratings(source: Source, scale: Optional[tuple[float, float]] = None) -> RatingsTable:
    """Read the ratings of `source`; `scale`: lowest and highest rating, by default those of the format.

    Raises `DataError`, naming the line, for an invalid id or rating. Cost: one pass over a file of plain numbers, else
    two; memory 24 bytes a rating and one chunk.
    """
    layout, notes = read_header(source.files, FORMATS[source.format])
    low, high = scale or (layout.low, layout.high)
    layout = layout._replace(low=low, high=high)
    columns = None if source.numbers or -1 in layout.positions else read_numbers(source.files, layout)
    n_dropped, names = 0, dict[str, dict[int, str]]()
    if not columns:
        columns, n_dropped, names = _read_text(source.files, layout, source.numbers, notes)
        notes += [f"{what} ids are names: {what}_ids.csv lists their numbers" for what in names]
    table = table_of(source.files.label(source.files.ratings_name), columns, low, high, notes)
    return table._replace(n_dropped=n_dropped, names=names)


def table_of(
    label: object, columns: Sequence[np.ndarray], low: float, high: float, notes: Sequence[str]
) -> RatingsTable:
    """Return the table of four columns that were read from `label`, their ratings from `low` to `high`."""
    users, movies, ratings, times = columns
    notes = list(notes)
    if (low, high) != (0.5, 5.0):
        notes.append(f"ratings from {low:g} to {high:g} are mapped to 0.5 to 5")
        ratings = 0.5 + (ratings.astype(np.float64) - low) * (4.5 / (high - low))
    user_ids, user_rows = encode(users)
    movie_ids, movie_rows = encode(movies)
    columns = [user_rows, movie_rows, ratings.astype(np.float32, copy=False), times.astype(np.int64)]
    if len(times) > 1 and times.min() == times.max():
        raise DataError(f"{label} has the same time in every row, {times[0]:.0f}: {cells.TIMES}")
    n_rows, latest = len(times), latest_of_pairs(user_rows, movie_rows, columns[3])
    if not latest.all():
        notes.append(f"{int((~latest).sum()):,} ratings dropped: the same user rated the same movie again later")
        columns = [column[latest] for column in columns]
    return RatingsTable(Interactions.from_rows(user_ids, movie_ids, *columns), n_rows, 0, notes, {})


def join_tables(tables: Sequence[RatingsTable]) -> RatingsTable:
    """Return the ratings of all sets; a power of ten is added to the user ids of each later set, as its notes say.

    Cost O(n log n).
    """
    if len(tables) == 1:
        return tables[0]._replace(notes=[])
    columns: list[tuple[np.ndarray, ...]] = []
    notes, names, shift = list[str](), dict[int, str](), 0
    for table in tables:
        data = table.ratings
        if columns:
            shift = 10 ** len(str(int(columns[-1][0].max())))
            notes.append(f"users of different sets are different people: {shift:,} is added to {data.n_users:,} ids")
        users, movies = data.user_ids[data.user_rows()] + shift, data.movie_ids[data.movie_rows]
        columns.append((users, movies, data.ratings, data.times))
        names.update({number + shift: text for number, text in table.names.get("user", {}).items()})
    joined = Interactions.from_columns(*map(np.concatenate, zip(*columns)))
    n_rows, n_dropped = (sum(numbers) for numbers in zip(*((table.n_rows, table.n_dropped) for table in tables)))
    return RatingsTable(joined, n_rows, n_dropped, notes, {"user": names} if names else {})


def latest_of_pairs(user_rows: np.ndarray, movie_rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return a mask that keeps one rating of each (user, movie): the latest; for equal times, the last."""
    pairs = user_rows.astype(np.int64) * (int(movie_rows.max()) + 1)
    pairs += movie_rows
    keep = np.ones(len(pairs), dtype=bool)
    ascending = pairs if (pairs[1:] > pairs[:-1]).all() else np.sort(pairs)  # MovieLens' files are in order
    if (ascending[1:] == ascending[:-1]).any():
        order = np.lexsort((times, pairs))
        keep[order[:-1]] = pairs[order[1:]] != pairs[order[:-1]]
    return keep


def read_header(files: RawFiles, layout: Format) -> tuple[Format, list[str]]:
    """Find separator and columns from the header, if there is one; return the layout and notes."""
    if not layout.has_header:
        return layout, []
    name = files.ratings_name
    with files.open(name) as file:
        text = file.readline(1 << 16).decode("utf-8-sig", "backslashreplace")
    line = "".join(text.splitlines()[:1]).strip()
    separator, header, found = find_columns(line, COLUMNS)
    need_columns(files, name, COLUMNS[:3], found, line)
    if twice := [column for column, places in zip(COLUMNS, found) if len(places) > 1]:
        raise files.error(name, f"has two columns {twice[0]}: keep one")
    positions = tuple(places[0] if places else -1 for places in found)
    notes = [] if separator == "," else [f"columns are separated by {separator!r}"]
    renamed = [f"{header[i]} as {column}" for column, i in zip(COLUMNS, positions) if i >= 0 and header[i] != column]
    if renamed:
        notes.append(f"columns are read: {', '.join(renamed)}")
    if positions[3] < 0:
        notes.append("no timestamp column: file order is used instead; methods that need dates are not available")
    return layout._replace(separator=separator, positions=positions, width=width_of(header)), notes


def read_numbers(files: RawFiles, layout: Format) -> Optional[list[np.ndarray]]:
    """Read a file of plain numbers in range; None for any other file."""
    parts: list[tuple[np.ndarray, ...]] = []
    # pandas refuses a row with more cells than the first, unless it is told which to use.
    use = None if layout.has_header else layout.positions
    with files.open(files.ratings_name) as file, np.errstate(invalid="ignore"):  # pandas refuses such numbers
        try:
            if layout.has_header:
                file.readline()
            frames = pd.read_csv(
                file, sep=layout.separator, header=None, usecols=use, dtype={layout.positions[2]: np.float64},
                na_filter=False, engine="c", encoding="latin-1", chunksize=CHUNK,
            )  # fmt: skip
            for frame in frames:
                users, movies, ratings, times = (frame[position].to_numpy() for position in layout.positions)
                whole = users.dtype == movies.dtype == times.dtype == np.int64  # 1.2E+15 has lost digits
                fits = use or layout.width[0] <= frame.shape[1] <= layout.width[1]
                if not (whole and fits and in_range(users, movies, ratings, times, layout.low, layout.high)):
                    return None
                ids = [column.astype(np.int32) if column.max() < 2**31 else column for column in (users, movies)]
                parts.append((*ids, ratings.astype(np.float32), times.astype(np.uint32)))
        except (ValueError, OverflowError, KeyError):  # not numbers, only blank lines, or too few columns
            return None
    return [np.concatenate(column) for column in zip(*parts)]


def in_range(
    users: np.ndarray, movies: np.ndarray, ratings: np.ndarray, times: np.ndarray, low: float, high: float
) -> bool:
    """Return whether columns of numbers can be ratings."""
    ids_fit = all(ids.min() >= 0 and ids.max() < cells.MAX_ID for ids in (users, movies))
    ratings_fit = ratings.min() >= low and ratings.max() <= high  # NaN compares as False
    return bool(ids_fit and ratings_fit and times.min() >= cells.FIRST_TIME and times.max() <= cells.last_time())


def _read_text(
    files: RawFiles, layout: Format, movie_numbers: dict[str, int], notes: list[str]
) -> tuple[list[np.ndarray], int, dict[str, dict[int, str]]]:
    """Read any file of ratings; return its columns, how many rows were dropped, and `RatingsTable.names`."""
    rows = _text_rows(files, layout)
    head = list(itertools.islice(rows, HEAD))
    if not head:
        raise files.error(files.ratings_name, "has no ratings: give a complete file")
    known: list[dict[str, float]] = [{}, dict(movie_numbers), {}]  # text -> number: users, movies, ratings
    named = [
        bool(numbers) or cells.are_names(texts) for numbers, texts in zip(known, zip(*(texts for _, texts in head)))
    ]

    def read(which: int, text: str) -> Optional[float]:
        if which == 3:
            return cells.time_of(text)
        if which == 2:
            return _stars(text, layout.low, layout.high)
        return len(known[which]) + 1 if named[which] and cells.is_name(text) else cells.whole_number(text)

    columns = [array("d"), array("d"), array("d"), array("d")]  # exact for ids below MAX_ID
    for line, texts in itertools.chain(head, rows):
        for which, text in enumerate(texts):
            value = known[which].get(text) if which < 3 else None
            if value is None:
                value = read(which, text)
                if value is None:
                    raise _bad_cell(files, layout, line, COLUMNS[which], text)
                if which < 3:
                    known[which][text] = value
            columns[which].append(value)
    if any("," in text for text in known[2]):
        notes.append("ratings are written with a decimal comma")
    names = {
        what: {int(number): text for text, number in known[which].items()}
        for which, what in enumerate(("user", "movie"))
        if named[which]
    }
    kept, n_dropped = _drop_empty(files, layout, [np.frombuffer(column) for column in columns], notes)
    return kept, n_dropped, names


def _drop_empty(
    files: RawFiles, layout: Format, columns: list[np.ndarray], notes: list[str]
) -> tuple[list[np.ndarray], int]:
    """Drop the rows without a rating or a time; return the columns in their own types, and the number of rows."""
    users, movies, ratings, given = columns
    name, rated = files.ratings_name, np.isfinite(ratings)
    if np.mean(~rated) > MOST_EMPTY:
        raise files.error(name, f"has {np.mean(~rated):.0%} rows with an empty rating: give a complete file")
    if layout.positions[3] < 0:
        times, dated = np.arange(-len(ratings), 0), np.ones(len(ratings), dtype=bool)
    else:
        times, unit = cells.as_seconds(given)
        notes += [f"times are read as {unit}"] if unit else []
        dated = np.isfinite(times)
        if dated.sum() < np.isfinite(given).sum() / 2:
            raise files.error(name, cells.cause(given[np.isfinite(given) & ~dated]))
    for dropped, reason in ((~rated, "the rating is empty"), (rated & ~dated, "missing or invalid timestamp")):
        if dropped.any():
            notes.append(f"{int(dropped.sum()):,} ratings dropped: {reason}")
    good = rated & dated
    n_dropped = int((~good).sum())
    if not good.any():
        raise files.error(name, f"has no rating with a time ({n_dropped:,} are missing or invalid): {cells.TIMES}")
    dtypes = (np.int64, np.int64, np.float32, np.int64)
    return [column[good].astype(dtype) for column, dtype in zip((users, movies, ratings, times), dtypes)], n_dropped


def _stars(text: str, low: float, high: float) -> Optional[float]:
    """Return a rating, NaN for an empty cell, None for what is none; 3,5 is 3.5."""
    if not text:
        return math.nan
    try:
        stars = float(re.sub(r"^([0-9]+),([0-9]{1,2})$", r"\1.\2", text))
    except ValueError:
        return None
    return stars if low <= stars <= high else None


def _text_rows(files: RawFiles, layout: Format) -> Iterator[tuple[int, list[str]]]:
    """Yield number and the four cells of each line, "" for a missing column; bytes that are not UTF-8 as `\\xe9`."""
    user, movie, rating, time = layout.positions
    with files.open(files.ratings_name) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        top = int(layout.has_header and lines.readline() != "")
        rows = fitted_rows(files, files.ratings_name, layout.rows(lines), top, layout.separator, layout.width)
        for line, row in rows:
            found = (row[user], row[movie], row[rating], row[time] if time >= 0 else "")
            if "\n" in "".join(found):
                raise files.error(files.ratings_name, "a cell has several lines: close the quote before it", line)
            yield line, [cell.strip() for cell in found]


def _bad_cell(files: RawFiles, layout: Format, line: int, column: str, text: str) -> DataError:
    """Return the error for an invalid cell."""
    problem, remedy = "is not a whole number from 0", "correct or remove the line"
    if column == "rating":
        problem = f"is not a number from {layout.low:g} to {layout.high:g}"
        remedy += ", or preprocess with the scale: --rating-scale LOW-HIGH, --source-format NAME"
    if cells.is_rewritten(text):
        problem += ", as if a spreadsheet had rewritten it"
        remedy = "export the table again, with this column as text"
    return files.error(files.ratings_name, f"{column} {shown(text)} {problem}: {remedy}", line)
