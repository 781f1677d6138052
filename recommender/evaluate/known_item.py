"""Requests in words that one movie answers: written descriptions, and what people said in ReDial before a movie.

    descriptions   a CSV of movieId, query and, where it has one, part (tune, report): one movie meant by each
    dialogues      ReDial: for each movie that came up and that the seeker liked, the seeker's own words before it was
                   first named, without any title (`recommender.text.dialogue_profiles.words_before`)

A movie of a dialogue is the one of the catalogue with the same title, or other title, and the same year; those that the
catalogue lacks, or has twice, and those before which the seeker said nothing are left out and counted. Requests of one
dialogue are one unit: figures are means over dialogues of each one's mean, and intervals resample dialogues.

For tuning, val takes the descriptions marked `tune` and every third dialogue (by a checksum of its id); test the rest.
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
from ..text.dialogue_profiles import liked_mentions, words_before
from ..text.dialogues import SEEKER, Dialogue

PART_OF = {"tune": "val", "report": "test"}
_SHARE = 3  # one in so many dialogues is for tuning


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

    @property
    def n_units(self) -> int:
        return len(self.unit_names)

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of `values` (n,) in each unit, (n_units,)."""
        means = np.bincount(self.unit, values, self.n_units) / np.bincount(self.unit)
        return means


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
    texts: list[str] = []
    rows: list[int] = []
    n_unknown = 0
    for number, line in enumerate(lines, 2):
        query, movie_id = line.get("query"), line.get("movieId")
        if not query or not movie_id or not movie_id.strip().isdecimal():
            raise DataError(f"{path} line {number} has no movieId and query: give a CSV with both in each line")
        if line.get("part") and PART_OF.get(line["part"]) is None:
            raise DataError(f"{path} line {number}: part {line['part']!r} is not one of {', '.join(PART_OF)}")
        if PART_OF.get(line.get("part") or "", part) != part:
            continue
        if int(movie_id) not in row_of:
            n_unknown += 1
            continue
        texts.append(query)
        rows.append(row_of[int(movie_id)])
    places = np.array(rows, dtype=np.int64)
    names = [str(movie_id) for movie_id in catalog.movie_ids[places].tolist()]
    found = Requests("descriptions", texts, places, np.arange(len(rows)), names, _not_there(n_unknown))
    return _not_empty(found, path)


def dialogue_requests(dialogues: Iterable[Dialogue], catalog: Catalog, part: str) -> Requests:
    """Return the requests of the dialogues of `part`, val or test: see the head of this module."""
    rows_of = movies_by_title(catalog)
    texts: list[str] = []
    rows: list[int] = []
    unit: list[int] = []
    names: list[str] = []
    n_unknown = n_silent = 0
    for dialogue in dialogues:
        for_tuning = zlib.crc32(dialogue.dialog_id.encode()) % _SHARE == 0
        if for_tuning != (part == "val"):
            continue
        before = len(texts)
        for mention in liked_mentions(dialogue):
            there = rows_of.get(_key(dialogue.titles[mention]), [])
            words = words_before(dialogue, mention, (SEEKER,))
            if len(there) != 1:
                n_unknown += 1
            elif not words or not any(letter.isalpha() for letter in words):
                n_silent += 1
            else:
                texts.append(words)
                rows.append(there[0])
                unit.append(len(names))
        if len(texts) > before:
            names.append(dialogue.dialog_id)
    left_out = {**_not_there(n_unknown), "nothing said before": n_silent}
    found = Requests("dialogues", texts, np.array(rows, np.int64), np.array(unit, np.int64), names, left_out)
    return _not_empty(found, "the dialogues")


def movies_by_title(catalog: Catalog) -> dict[tuple[str, int], list[int]]:
    """Return (title in one spelling, year) -> movie rows, under every name of each movie."""
    found: dict[tuple[str, int], list[int]] = {}
    for row, raw in enumerate(catalog.raw_titles):
        title, _, alternatives = parse_title(raw)
        for name in {compact(fold(name)) for name in (title, *alternatives)}:
            found.setdefault((name, int(catalog.years[row])), []).append(row)
    return found


def _key(title: str) -> tuple[str, int]:
    parsed = parse_title(title)
    return compact(fold(parsed.title)), parsed.year


def _not_there(count: int) -> dict[str, int]:
    return {"not in the catalogue": count}


def _not_empty(requests: Requests, source: object) -> Requests:
    if not requests.texts:
        raise DataError(f"{source}: no request means a movie of the catalogue: use the catalogue that they are about")
    return requests
