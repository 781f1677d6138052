"""Read a table of ratings: plain numbers quickly, anything else as text, with a note for every decision.

pandas reads a file of plain numbers in chunks. If that fails, the whole file is read again as text: times may be dates,
milliseconds or missing, ids may be names, a first column without a name may count the rows. Rows without a time or a
rating are dropped and counted; the first invalid cell, and a row that does not fit the header, stop the program with
their line. So do numbers that a spreadsheet rewrote, and times that cannot be those of ratings. A scale other than 0.5
to 5 is mapped linearly: 0.5 + 4.5 (rating - low) / (high - low).
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import pandas as pd

from ..errors import DataError
from ..interactions import Interactions, encode
from .cells import are_names, is_rewritten, read_ids
from .csv_table import STRICT, find_columns, fitted_rows
from .raw_files import RawFiles
from .sources import FORMATS, Format, Source
from .times import TIMES, as_seconds, cause, in_range, last_time, parse_times

COLUMNS = ("userId", "movieId", "rating", "timestamp")
CHUNK = 2_000_000  # rows
MOST_EMPTY = 0.1  # largest share of rows without a rating
_UNSURE = re.compile(rb"[0-9][eE][-+]?[0-9]|[0-9]\.000[^0-9]")  # 1.2E+15 lost digits, 1.000 may be a thousand


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
    return read_ratings(Source(RawFiles(path, {path.name.lower().removesuffix(".gz"): ""}), "csv"))


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
        cells, names = _read_text(source.files, layout, source.numbers, notes)
        columns, n_dropped, more = _clean(source.files, layout, cells)
        notes += more + [f"{what} ids are names: {what}_ids.csv lists their numbers" for what in names]
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
        raise DataError(f"{label} has the same time in every row, {times[0]:.0f}: {TIMES}")
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
    if (pairs[1:] > pairs[:-1]).all():  # sorted files, such as MovieLens', have no pair twice
        return keep
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((times, pairs))
        keep[order[:-1]] = pairs[order[1:]] != pairs[order[:-1]]
    return keep


def read_header(files: RawFiles, layout: Format) -> tuple[Format, list[str]]:
    """Find separator and columns from the header, if there is one; return the layout and notes."""
    if not layout.has_header:
        return layout, []
    name = files.ratings_name
    with files.open(name) as file:
        first = file.readline(1 << 16)
    if not first.strip():
        raise files.error(name, f"is empty: expected the columns {','.join(COLUMNS)}")
    try:
        line = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise files.error(name, "is not valid UTF-8: convert the file") from None
    if "\r" in line:
        raise files.error(name, "has CR line ends: convert them to LF or CR LF")
    separator, header, found = find_columns(line, COLUMNS)
    for column, places in zip(COLUMNS, found):
        if len(places) > 1 or (not places and column != "timestamp"):
            problem = "has two columns" if places else "has no column"
            shown = line if len(line) <= 80 else line[:77] + "..."
            raise files.error(name, f"{problem} {column}: its first line is {shown!r}, expected {','.join(COLUMNS)}")
    positions = tuple(places[0] if places else -1 for places in found)
    notes = [] if separator == "," else [f"columns are separated by {separator!r}"]
    renamed = [f"{header[i]} as {column}" for column, i in zip(COLUMNS, positions) if i >= 0 and header[i] != column]
    if renamed:
        notes.append(f"columns are read: {', '.join(renamed)}")
    if positions[3] < 0:
        notes.append("no timestamp column: file order is used instead; methods that need dates are not available")
    width = (max(i for i, cell in enumerate(header, 1) if cell), len(header))
    return layout._replace(separator=separator, positions=positions, width=width), notes


def read_numbers(files: RawFiles, layout: Format) -> Optional[list[np.ndarray]]:
    """Read a file of plain numbers in range; None for any other file."""
    parts: list[tuple[np.ndarray, ...]] = []
    dtypes = dict(zip(layout.positions, (np.int64, np.int64, np.float64, np.int64)))
    separator, n_separators, end = ord(layout.separator), 0, b""

    def watch(block: bytes) -> None:
        """Notice what pandas does not: more cells than it uses, and numbers that only look whole."""
        nonlocal n_separators, end
        n_separators += np.count_nonzero(np.frombuffer(block, np.uint8) == separator)
        first, joined, end = not end, end + block, block[-16:]
        if (first or b"e" in joined or b"E" in joined) and _UNSURE.search(joined):  # a search takes long
            raise ValueError

    with files.open(files.ratings_name, watch) as file, np.errstate(invalid="ignore"):  # pandas refuses such numbers
        try:
            if layout.has_header:
                file.readline()
            frames = pd.read_csv(
                file, sep=layout.separator, header=None, usecols=list(dtypes), dtype=dtypes, na_filter=False,
                engine="c", encoding="latin-1", chunksize=CHUNK,
            )  # fmt: skip
            for frame in frames:
                users, movies, ratings, times = (frame[position].to_numpy() for position in dtypes)
                if not in_range(users, movies, ratings, times, layout.low, layout.high):
                    return None
                ids = [column.astype(np.int32) if column.max() < 2**31 else column for column in (users, movies)]
                parts.append((*ids, ratings.astype(np.float32), times.astype(np.uint32)))
        except (ValueError, OverflowError):  # not numbers, or only blank lines
            return None
    if n_separators != (sum(len(part[0]) for part in parts) + layout.has_header) * (layout.width[1] - 1):
        return None
    return [np.concatenate(column) for column in zip(*parts)]


def _read_text(
    files: RawFiles, layout: Format, movie_numbers: dict[str, int], notes: list[str]
) -> tuple[np.ndarray, dict[str, dict[int, str]]]:
    """Read any file of ratings; return its columns, (5, n) float64, and `RatingsTable.names`.

    The last two are `parse_times`. Float64 is exact for ids below MAX_ID; an empty rating is -inf, an invalid time NaN.
    """
    names: list[Optional[dict[str, int]]] = [None, dict(movie_numbers) or None]  # of users, of movies
    parts: list[np.ndarray] = []
    n_commas = 0
    rows = _text_rows(files, layout, notes)
    while chunk := list(itertools.islice(rows, CHUNK)):
        lines, *cells = zip(*chunk)
        for which in (0, 1):
            if names[which] is None and not parts and are_names(cells[which]):
                names[which] = {}
        stars = pd.Series(cells[2], dtype=object).str.strip()
        commas = stars.str.fullmatch(r"[0-9]+,[0-9]{1,2}")
        n_commas += int(commas.sum())
        stars[commas] = stars[commas].str.replace(",", ".")
        ratings = pd.to_numeric(stars, errors="coerce").to_numpy(np.float64, copy=True)
        ratings[~((ratings >= layout.low) & (ratings <= layout.high))] = np.nan
        ratings[stars == ""] = -np.inf
        columns = np.stack([read_ids(cells[0], names[0]), read_ids(cells[1], names[1]), ratings])
        shortened = pd.Series(cells[3], dtype=object).str.contains(r"E\+|[0-9][.,'][0-9]{3}[.,']")
        bad = np.vstack([np.isnan(columns), shortened])  # (4, n)
        if bad.any():
            at = int(bad.any(axis=0).argmax())
            which = int(bad[:, at].argmax())
            raise _bad_cell(files, layout, lines[at], COLUMNS[which], cells[which][at].strip())
        parts.append(np.vstack([columns, parse_times(cells[3])]))
    if not parts:
        raise files.error(files.ratings_name, "has no ratings: give a complete file")
    if n_commas:
        notes.append(f"{n_commas:,} ratings are written with a decimal comma")
    texts = {what: {n: name for name, n in known.items()} for what, known in zip(("user", "movie"), names) if known}
    return np.concatenate(parts, axis=1), texts


def _clean(files: RawFiles, layout: Format, columns: np.ndarray) -> tuple[list[np.ndarray], int, list[str]]:
    """Drop the rows without a rating or a time; return the columns, the number of rows dropped, and notes."""
    users, movies, ratings, numbers, dates = columns
    rated, notes = np.isfinite(ratings), list[str]()
    if np.mean(~rated) > MOST_EMPTY:
        line = next(row[0] for row in _text_rows(files, layout, []) if not row[3].strip())
        raise _bad_cell(files, layout, line, "rating", "")
    if layout.positions[3] < 0:
        times = np.arange(-len(ratings), 0)
        dated = np.ones(len(ratings), dtype=bool)
    else:
        seconds, unit = as_seconds(numbers)
        if unit:
            notes.append(f"times are read as {unit}")
        given, times = np.where(np.isnan(numbers), dates, numbers), np.where(np.isnan(numbers), dates, seconds)
        dated = (times >= 0) & (times <= last_time())
        if dated.sum() < np.isfinite(given).sum() / 2:
            raise files.error(files.ratings_name, cause(given[np.isfinite(given) & ~dated]))
    for dropped, reason in ((~rated, "the rating is empty"), (rated & ~dated, "missing or invalid timestamp")):
        if dropped.any():
            notes.append(f"{int(dropped.sum()):,} ratings dropped: {reason}")
    good = rated & dated
    n_dropped = int((~good).sum())
    if not good.any():
        problem = f"has no rating with a time ({n_dropped:,} are missing or invalid)"
        raise files.error(files.ratings_name, f"{problem}: {TIMES}")
    ids = [column[good].astype(np.int64) for column in (users, movies)]
    return [*ids, ratings[good].astype(np.float32), times[good]], n_dropped, notes


def _text_rows(files: RawFiles, layout: Format, notes: list[str]) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield number and the four cells of each line, "" for a missing column; latin-1 decodes any bytes."""
    user, movie, rating, time = layout.positions
    with files.open(files.ratings_name) as file:
        lines = io.TextIOWrapper(file, encoding="latin-1", newline="")
        top = int(layout.has_header and lines.readline() != "")
        reader = csv.reader(layout.rows(lines), delimiter=layout.separator, **STRICT)
        for line, cells in fitted_rows(files, files.ratings_name, reader, top, layout.width, notes):
            found = (cells[user], cells[movie], cells[rating], cells[time] if time >= 0 else "")
            if "\n" in "".join(found):
                raise files.error(files.ratings_name, "a cell has several lines: close the quote before it", line)
            yield (line, *found)


def _bad_cell(files: RawFiles, layout: Format, line: int, column: str, text: str) -> DataError:
    """Return the error for an invalid cell."""
    problem, remedy = "is not a whole number from 0", "correct or remove the line"
    if column == "rating":
        problem = f"is not a number from {layout.low:g} to {layout.high:g}"
        remedy += ", or preprocess with the scale: --rating-scale LOW-HIGH, --source-format NAME"
    if is_rewritten(text):
        problem += ", as if a spreadsheet had rewritten it"
        remedy = "export the table again, with this column as text"
    shown = repr(text if len(text) <= 40 else text[:37] + "...")
    return files.error(files.ratings_name, f"{column} {shown} {problem}: {remedy}", line)
