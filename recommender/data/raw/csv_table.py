"""Read tables of text whose columns a header names: any order, spelling and separator, as people's tools write them.

A row that does not fit the header is refused by its line, unless the form is certain: empty cells at its end, or a
first column of row numbers that the header lacks. So a cell never moves to another column in silence.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

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
_HEAD = 100  # rows that decide whether a first column is without a name
Rows = Iterator[tuple[int, tuple[str, ...]]]  # line number, the requested cells
Mend = Callable[[str, str], Optional[Sequence[str]]]  # of a line and its separator


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
    """Return whether the rows begin with a number of the row that a header of `n_columns` lacks.

    So it is if there are several, each with one cell more, an increasing whole number and then an id that is one too.

    >>> has_row_numbers([["0", "1", "Heat"], ["1", "7", "Fargo"]], 2)
    True
    """
    fit = [cells for cells in rows if len(cells) == n_columns + 1 and whole_number(cells[1]) is not None]
    numbers = [number for number in map(whole_number, [cells[0] for cells in fit]) if number is not None]
    return len(numbers) == len(rows) > 1 and numbers == sorted({*numbers})


def csv_rows(
    files: RawFiles,
    name: str,
    columns: Sequence[str],
    notes: list[str],
    optional: Sequence[str] = (),
    mend: Mend = lambda line, separator: None,
    quoting: int = csv.QUOTE_MINIMAL,
) -> Rows:
    """Yield line number and the cells of `columns` and `optional` of each row, stripped; nothing if there is no file.

    An optional column that the file lacks is "". Rows of empty cells are skipped. notes: receives what is unusual about
    the file.  mend: the cells of a line without quotes that is too long, in a file of `columns` alone, or None.
    """
    if name not in files:
        return
    text, encoding = files.text(name, "utf-8-sig", "cp1252")  # spreadsheets write cp1252
    if encoding == "cp1252":
        notes.append(f"{name} is not UTF-8 and is read as cp1252")
    content = text.read()
    if "\n" in content:
        content = content.replace("\r\n", "\n").replace("\r", " ")  # a CR alone is part of a text
    lines = io.StringIO(content, newline="").readlines() or [""]
    top = int(re.fullmatch('"?sep=."?', lines[0].strip()) is not None and len(lines) > 1)  # spreadsheets write it
    first = lines[top].strip()
    separator, header, found = find_columns(first, (*columns, *optional))
    missing = [column for column, places in zip(columns, found) if not places]
    if missing:
        problem = f"has no column {missing[0]}: its first line is {first[:80]!r}" if first else "is empty"
        raise files.error(name, f"{problem}: expected the columns {','.join(columns)}")
    positions = [places[0] if places else -1 for places in found]
    least, most = max(i for i, cell in enumerate(header, 1) if cell), len(header)
    mended: list[int] = []
    rows = _rows(files, name, lines, top + 1, delimiter=separator, quoting=quoting)
    head = list(itertools.islice(rows, _HEAD))
    numbered = has_row_numbers([cells for _, cells in head], most)
    if numbered:
        notes.append(f"{name}: the first column has no name and is read as row numbers")
        if not any(cells[-1] for _, cells in head):
            raise files.error(name, "rows have an empty cell more than the header: name every column", head[0][0])
    for line, cells in itertools.chain(head, rows):
        if numbered and len(cells) == most + 1:
            del cells[0]
        elif numbered or len(cells) < least or any(map(str.strip, cells[most:])):
            raw, in_order = lines[line - 1].strip(), positions[:most] == list(range(most))
            right = mend(raw, separator) if len(cells) > most and in_order and '"' not in raw else None
            if numbered or not right:
                quote = f", or put a text that has {separator!r} in quotes" if len(cells) > most else ""
                problem = f"{len(cells)} columns, expected {most + numbered}: correct the line"
                raise files.error(name, problem + quote, line)
            mended.append(line)
            cells = list(right)
        yield line, tuple([cells[i].strip() if 0 <= i < len(cells) else "" for i in positions])
    add_note(notes, mended, f"{name} line {{}} has {separator!r} in a text without quotes, which is read as a whole")


def file_rows(path: Path, columns: Sequence[str], notes: list[str], *more: Any, **options: Any) -> Rows:
    """Yield the same of a single file; the parameters are those of `csv_rows`."""
    name = path.name.lower().removesuffix(".gz")
    return csv_rows(RawFiles(path, {name: ""}), name, columns, notes, *more, **options)


def add_note(notes: list[str], found: Sequence[object], text: str) -> None:
    """Note what was found, if anything: `text` with the first of it, and how many there are."""
    if found:
        notes.append(f"{text.format(found[0])} (such lines: {len(found):,})")


def _rows(files: RawFiles, name: str, lines: list[str], top: int, **how: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row after `top` lines that is not empty."""
    reader = csv.reader(itertools.islice(lines, top, None), skipinitialspace=True, strict=True, **how)
    line = top + 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, cells
            line = top + 1 + reader.line_num
    except csv.Error as error:
        raise files.error(name, f"{error}: correct the line, or its quotes", line) from None
