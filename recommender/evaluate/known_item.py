"""Requests in words that one movie answers: written descriptions, and what people said in ReDial before a movie.

    descriptions   a CSV of movieId, query and, where it has one, part (tune, report): one movie meant by each
    dialogues      ReDial: for each movie that came up and that the seeker liked, the seeker's own words before it was
                   first named, without any title (`text.dialogues.words_before`)

A movie of a dialogue is the one of the catalogue with the same title, or other title, and year; those that the
catalogue lacks, or has twice, and those before which the seeker said nothing are left out and counted. Figures are
means over dialogues of each one's mean. For tuning, val takes the descriptions marked `tune` and every third dialogue
(by a checksum of its id); test the rest.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.catalog import Catalog, parse_title
from ..data.errors import DataError
from ..data.title_text import compact, fold
from ..text.dialogues import Dialogue, words_before

PART_OF = {"tune": "val", "report": "test"}
NOT_THERE, SILENT = "not in the catalogue", "nothing said before"


@dataclass(frozen=True)
class Requests:
    """texts, and the movie rows that they mean.

    unit: (n,) what each comes from: a row of `unit_names`, which are movie ids of descriptions and ids of dialogues.
    left_out: how many requests are not asked, by reason.
    """

    name: str
    texts: list[str]
    rows: np.ndarray
    unit: np.ndarray
    unit_names: list[str]
    left_out: dict[str, int]

    def __post_init__(self) -> None:
        if not self.texts:
            raise DataError(f"{self.name}: no request means a movie of the catalogue: use the one that they are about")

    @property
    def n_units(self) -> int:
        return len(self.unit_names)

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of `values` (n,) in each unit, (n_units,)."""
        means: np.ndarray = np.bincount(self.unit, values, self.n_units) / np.bincount(self.unit)
        return means

    def note(self) -> str:
        """Return how many there are, as a line."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items() if count) or "nothing"
        units = "" if self.n_units == len(self.texts) else f" in {self.n_units:,}"
        return f"{len(self.texts):,} requests{units} ({self.name}), each means one; left out: {left_out}"


def descriptions(path: Path, catalog: Catalog, part: str) -> Requests:
    """Read the descriptions of `part`, val or test; raises `DataError` for a file that is something else."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"no descriptions at {path}: give a CSV with movieId and query") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error}): give a CSV with movieId and query") from None
    row_of = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}
    texts, rows, n_unknown = [], [], 0
    for number, line in enumerate(lines, 2):
        query, movie_id, of_part = line.get("query"), line.get("movieId"), line.get("part")
        if not query or not movie_id or not movie_id.strip().isdecimal():
            raise DataError(f"{path} line {number} has no movieId and query: give a CSV with both in each line")
        if of_part and of_part not in PART_OF:
            raise DataError(f"{path} line {number}: part {of_part!r} is not one of {', '.join(PART_OF)}")
        if of_part and PART_OF[of_part] != part:
            continue
        if int(movie_id) in row_of:
            texts.append(query)
            rows.append(row_of[int(movie_id)])
        n_unknown += int(movie_id) not in row_of
    names = [str(movie_id) for movie_id in catalog.movie_ids[rows].tolist()] if rows else []
    unit = np.arange(len(rows))
    return Requests("descriptions", texts, np.array(rows, np.int64), unit, names, {NOT_THERE: n_unknown})


def dialogue_requests(dialogues: Iterable[Dialogue], catalog: Catalog, part: str) -> Requests:
    """Return the requests of the dialogues of `part`, val or test: see the head of this module."""
    rows_of: dict[tuple[str, int], set[int]] = {}  # title in one spelling, year -> rows, under every name of a movie
    for row, raw in enumerate(catalog.raw_titles):
        title, _, alternatives = parse_title(raw)
        for name in (title, *alternatives):
            rows_of.setdefault((compact(fold(name)), int(catalog.years[row])), set()).add(row)
    texts: list[str] = []
    rows: list[int] = []
    unit: list[int] = []
    names: list[str] = []
    left_out = {NOT_THERE: 0, SILENT: 0}
    for dialogue in dialogues:
        if (zlib.crc32(dialogue.dialog_id.encode()) % 3 == 0) != (part == "val"):
            continue
        before = len(texts)
        for mention in dialogue.liked:
            title, year, _ = parse_title(dialogue.titles[mention])
            meant = rows_of.get((compact(fold(title)), year), ())
            words = words_before(dialogue, mention)
            if len(meant) != 1:
                left_out[NOT_THERE] += 1
            elif not words or not any(letter.isalpha() for letter in words):
                left_out[SILENT] += 1
            else:
                texts.append(words)
                rows += meant
                unit.append(len(names))
        if len(texts) > before:
            names.append(dialogue.dialog_id)
    return Requests("dialogues", texts, np.array(rows, np.int64), np.array(unit, np.int64), names, left_out)
