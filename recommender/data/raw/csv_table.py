"""Tables of text whose columns a header names, in any order, spelling and separator.

A row that does not fit the header is refused by its line, so that no cell gets into another column in silence. Two
forms are certain and read: empty cells at the end, and row numbers in a first column that the header lacks.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .cells import whole_number
from .raw_files import RawFiles

SEPARATORS = ",;\t|"
# Spellings of a column, in lower case without blanks, dots and underscores.
_SPELLINGS = {
    "userId": ("userid", "user", "uid", "username"),
    "movieId": ("movieid", "movie", "itemid", "item", "filmid", "film"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "date", "datetime", "ratedat"),
    "genres": ("genres", "genre"),
    "year": ("year", "releaseyear", "releasedate", "yearofrelease", "startyear"),
    "dialog_id": ("dialogid", "dialogueid", "conversationid"),
    "speaker_id": ("speakerid", "userid", "user"),
    "text": ("text", "utterance", "message"),
}
_STRICT: dict[str, Any] = {"strict": True, "skipinitialspace": True}  # no quote inside a text without quotes
_HEAD = 100  # rows that decide whether a first column is without a name
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


def has_row_numbers(rows: Sequence[Sequence[str]], n_columns: int) -> bool:
    """Return whether all of several rows have a cell more than the header: an increasing number, before an id.

    >>> has_row_numbers([["0", "1", "Heat"], ["1", "7", "Fargo"]], 2)
    True
    """
    wide = [cells for cells in rows if len(cells) == n_columns + 1 and whole_number(cells[1]) is not None]
    numbers = [number for number in (whole_number(cells[0]) for cells in wide) if number is not None]
    return len(numbers) == len(rows) > 1 and numbers == sorted({*numbers})


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
    content = text.read()
    if "\n" in content:
        content = content.replace("\r\n", "\n").replace("\r", " ")  # a CR alone is part of a text
    lines = io.StringIO(content, newline="")
    first, top = lines.readline().strip(), 1
    if re.fullmatch('"?sep=."?', first):  # spreadsheets write it
        first, top = lines.readline().strip(), 2
    separator, header, found = find_columns(first, (*columns, *optional))
    missing = [column for column, places in zip(columns, found) if not places]
    if missing:
        problem = f"has no column {missing[0]}: its first line is {first[:80]!r}" if first else "is empty"
        raise files.error(name, f"{problem}: expected the columns {','.join(columns)}")
    least, most = max(i for i, cell in enumerate(header, 1) if cell), len(header)
    rows = _rows(files, name, csv.reader(lines, **_STRICT, delimiter=separator, quoting=quoting), top)
    head = list(itertools.islice(rows, _HEAD))
    shift = int(has_row_numbers([cells for _, cells in head], most))
    if shift:
        notes.append(f"{name}: the first column has no name and is read as row numbers")
        if not any(cells[-1] for _, cells in head):
            raise files.error(name, "has rows with an empty cell more than the header: name every column")
    positions = [places[0] + shift if places else -1 for places in found]
    for line, cells in itertools.chain(head, rows):
        if len(cells) < least + shift or any(map(str.strip, cells[most + shift :])):
            quote = f", or put a text that has {separator!r} in quotes" if len(cells) > most else ""
            raise files.error(name, f"{len(cells)} columns, expected {most + shift}: correct the line{quote}", line)
        yield line, tuple([cells[position].strip() if position >= 0 else "" for position in positions])


def _rows(files: RawFiles, name: str, reader: Any, line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each row that is not empty; `line`: of the header."""
    top = line
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line + 1, cells
            line = top + reader.line_num
    except csv.Error as error:
        raise files.error(name, f"{error}: correct the line, or its quotes", line + 1) from None


def file_rows(path: Path, columns: Sequence[str], notes: list[str], *more: Any) -> Rows:
    """Yield the same of a single file; the parameters are those of `csv_rows`."""
    name = path.name.lower().removesuffix(".gz")
    return csv_rows(RawFiles(path, {name: ""}), name, columns, notes, *more)


def add_note(notes: list[str], found: Sequence[object], text: str) -> None:
    """Note what was found, if anything: `text` with the first of it, and how many there are."""
    if found:
        notes.append(f"{text.format(found[0])} (such cases: {len(found):,})")
