"""Tables of text whose columns a header names, in any order, spelling and separator.

A row that does not fit the header is refused by its line, so that no cell gets into another column in silence; only
empty cells at the end are ignored.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .raw_files import RawFiles

SEPARATORS = ",;\t|"
# Spellings of a column, in lower case without blanks, dots and underscores.
_SPELLINGS = {
    "userId": ("userid", "user", "uid", "username"),
    "movieId": ("movieid", "movie", "itemid", "item", "filmid", "film"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "date", "datetime", "ratedat"),
    "genres": ("genres", "genre"),
    "year": ("year", "releaseyear", "releasedate", "released", "yearofrelease", "startyear"),
    "dialog_id": ("dialogid", "dialogueid", "conversationid"),
    "speaker_id": ("speakerid", "speaker", "userid", "user"),
    "text": ("text", "utterance", "message", "content"),
}
Rows = Iterator[tuple[int, tuple[str, ...]]]  # line number, the requested cells


def find_columns(line: str, columns: Sequence[str]) -> tuple[str, list[str], list[list[int]]]:
    """Return separator and cells of a header line, and the positions of each column.

    A column is found by its exact name, else by any of its spellings.
    """
    separator = max(SEPARATORS, key=line.count)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    plain = [re.sub(r"[\W_]", "", cell.lower()) for cell in header]
    found = []
    for column in columns:
        spellings = _SPELLINGS.get(column, (re.sub(r"[\W_]", "", column.lower()),))
        exact = [i for i, cell in enumerate(header) if cell == column]
        found.append(exact or [i for i, cell in enumerate(plain) if cell in spellings])
    return separator, header, found


def need_columns(files: RawFiles, name: str, columns: Sequence[str], found: Sequence[Sequence[int]], line: str) -> None:
    """Raise `DataError` if one of `columns` was not found in the header `line`."""
    if missing := [column for column, places in zip(columns, found) if not places]:
        problem = f"has no column {missing[0]}: its first line is {line[:80]!r}" if line else "is empty"
        raise files.error(name, f"{problem}: expected the columns {','.join(columns)}")


def width_of(header: Sequence[str]) -> tuple[int, int]:
    """Return how many cells a row under `header` must have, and may have: columns at its end may lack a name."""
    return max((i for i, cell in enumerate(header, 1) if cell), default=0), len(header)


def csv_rows(
    files: RawFiles,
    name: str,
    columns: Sequence[str],
    notes: list[str],
    optional: Sequence[str] = (),
    quoting: Any = csv.QUOTE_MINIMAL,
) -> Rows:
    """Yield line number and the cells of `columns` and `optional` of each row, stripped; nothing if there is no file.

    An optional column that the file lacks is "". Rows of empty cells are skipped. notes: receives what is unusual.
    """
    if name not in files:
        return
    text, encoding = files.text(name, "utf-8-sig", "cp1252")  # spreadsheets write cp1252
    if encoding == "cp1252":
        notes.append(f"{name} is not UTF-8 and is read as cp1252")
    if "\n" in text:
        text = text.replace("\r\n", "\n").replace("\r", " ")  # a CR alone is part of a text
    lines = io.StringIO(text, newline="")
    first = lines.readline().strip()
    separator, header, found = find_columns(first, (*columns, *optional))
    need_columns(files, name, columns, found, first)
    positions = [places[0] if places else -1 for places in found]
    for line, cells in fitted_rows(files, name, lines, 1, separator, width_of(header), quoting):
        yield line, tuple([cells[position].strip() if position >= 0 else "" for position in positions])


def fitted_rows(
    files: RawFiles,
    name: str,
    lines: Any,
    top: int,
    separator: str,
    width: tuple[int, int],
    quoting: Any = csv.QUOTE_MINIMAL,
) -> Iterator[tuple[int, list[str]]]:
    """Yield first line and cells of each row of `lines`, those after the first `top`, that is not empty.

    width: the number of cells that a row must have, and may have.
    """
    reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=True, skipinitialspace=True)
    least, most = width
    line = top + 1
    try:
        for cells in reader:
            is_empty = not (cells and cells[0]) and not "".join(cells).strip()
            if not is_empty and (len(cells) < least or "".join(cells[most:]).strip()):
                hint = f", put a text with {separator!r} in quotes, or name every column" if len(cells) > most else ""
                raise files.error(name, f"{len(cells)} columns, expected {most}: correct the line{hint}", line)
            if not is_empty:
                yield line, cells
            line = top + 1 + reader.line_num
    except csv.Error as error:  # such as a quote inside a text without quotes
        raise files.error(name, f"{error}: correct the line, or its quotes", line) from None


def file_rows(path: Path, columns: Sequence[str], notes: list[str], *more: Any) -> Rows:
    """Yield the same of a single file; the parameters are those of `csv_rows`."""
    files = RawFiles(path)
    return csv_rows(files, files.ratings_name, columns, notes, *more)


def add_note(notes: list[str], found: Sequence[object], text: str) -> None:
    """Note what was found, if anything: `text` with the first of it, and how many there are."""
    if found:
        notes.append(f"{text.format(found[0])} (such cases: {len(found):,})")
