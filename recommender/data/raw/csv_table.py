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
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import whole_number
from .raw_files import RawFiles

if TYPE_CHECKING:
    import pandas as pd

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
STRICT: dict[str, Any] = {"strict": True, "skipinitialspace": True}  # no quote inside a text without quotes
_THOUSAND = re.compile(r"[0-9]{3}\W.*[^\W\d]")  # the end of a number and words: a title cut at a comma
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
    lines, top, separator, header, positions = _open_table(files, name, columns, notes, optional)
    width = (max(i for i, cell in enumerate(header, 1) if cell), len(header))
    reader = csv.reader(lines, delimiter=separator, quoting=quoting, **STRICT)
    for line, cells in fitted_rows(files, name, reader, top, width, notes):
        yield line, tuple([cells[position].strip() if position >= 0 else "" for position in positions])


def csv_columns(files: RawFiles, name: str, columns: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """Return what `csv_rows` yields as a table of categories, its index the line numbers.

    Where each row is one line with as many cells as the header, pandas reads it, much faster; it keeps empty rows.
    """
    import pandas as pd  # most that comes here needs none of it

    own: list[str] = []
    lines, top, separator, header, positions = _open_table(files, name, columns, own)
    text = lines.read()
    plain = re.sub(rf'"(?:[^"\n]|"")*"(?=[{separator}\n]|\Z)', "", text) if '"' in text else text
    cells = np.frombuffer(plain.removesuffix("\n").encode() + b"\n", np.uint8)
    ends = np.flatnonzero(cells == ord("\n"))
    n_cells = np.diff(np.searchsorted(np.flatnonzero(cells == ord(separator)), ends), prepend=0) + 1
    if re.search('["\r\0]', plain) or len(header) == 1 or (n_cells != len(header)).any():
        rows = list(csv_rows(files, name, columns, notes))
        return pd.DataFrame([found for _, found in rows], [line for line, _ in rows], list(columns), "category")
    notes += own
    frame = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, usecols=positions, dtype=str, na_filter=False,
        skipinitialspace=True, low_memory=False,
    )  # fmt: skip
    frame.index += top + 1
    frame = frame[positions].set_axis([*columns], axis=1).astype("category")
    return frame.apply(lambda column: column.map(str.strip))


def _open_table(
    files: RawFiles, name: str, columns: Sequence[str], notes: list[str], optional: Sequence[str] = ()
) -> tuple[io.StringIO, int, str, list[str], list[int]]:
    """Return the lines after the first ones, the number of these, separator, header, and where each column is."""
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
    return lines, top, separator, header, [places[0] if places else -1 for places in found]


def fitted_rows(
    files: RawFiles, name: str, reader: Any, top: int, width: tuple[int, int], notes: list[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield first line and cells of each row that is not empty, without row numbers that the header lacks.

    reader: of the lines after the first `top`.  width: the number of columns that a row must have, and may have.
    """
    least, most = width
    rows = _rows(files, name, reader, top)
    head = list(itertools.islice(rows, _HEAD))
    # One cell more in several rows, all beginning with increasing numbers, before ids that are numbers too.
    wide = [(whole_number(cells[0]), whole_number(cells[1])) for _, cells in head if len(cells) == most + 1]
    numbers = [number for number, following in wide if number is not None and following is not None]
    numbered = len(numbers) == len(head) > 1 and numbers == sorted({*numbers})
    numbered &= not all(_THOUSAND.match(cells[2]) for _, cells in head if len(cells) > 2)  # `1,10,000 BC (2008),Action`
    if numbered:
        notes.append(f"{name}: the first column has no name and is read as row numbers")
        if not any(cells[-1] for _, cells in head):
            raise files.error(name, "has rows with an empty cell more than the header: name every column")
    last = -1
    for line, cells in itertools.chain(head, rows):
        if len(cells) < least + numbered or any(map(str.strip, cells[most + numbered :])):
            quote = f", or put a text with {reader.dialect.delimiter!r} in quotes" if len(cells) > most else ""
            raise files.error(name, f"{len(cells)} columns, expected {most + numbered}: correct the line{quote}", line)
        if numbered:
            before, last = last, whole_number(number := cells.pop(0)) or 0
            if last <= before:
                raise files.error(name, f"row number {number[:40]!r} after {before}: name the first column", line)
        yield line, cells


def _rows(files: RawFiles, name: str, reader: Any, top: int) -> Iterator[tuple[int, list[str]]]:
    line = top + 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, cells
            line = top + 1 + reader.line_num
    except csv.Error as error:
        raise files.error(name, f"{error}: correct the line, or its quotes", line) from None


def file_rows(path: Path, columns: Sequence[str], notes: list[str], *more: Any) -> Rows:
    """Yield the same of a single file; the parameters are those of `csv_rows`."""
    name = path.name.lower().removesuffix(".gz")
    return csv_rows(RawFiles(path, {name: ""}), name, columns, notes, *more)


def add_note(notes: list[str], found: Sequence[object], text: str) -> None:
    """Note what was found, if anything: `text` with the first of it, and how many there are."""
    if found:
        notes.append(f"{text.format(found[0])} (such cases: {len(found):,})")
