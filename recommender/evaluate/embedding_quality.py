"""Quality of movie vectors: whether queries find the movie meant, and whether genres are separated.

    rank = 1 + how many movies are nearer to the words than the one meant + half of the others that are as near
    Recall@k = share of requests with rank <= k        MRR = mean of 1 / rank, without a cutoff
    gap    = (mean cosine of pairs that share a genre - mean cosine of pairs that share none) / |mean cosine of all|

Requests are written descriptions, or what users said in ReDial before a movie:

    descriptions   a CSV of movieId, query and, where it has one, part (tune, report): one movie meant by each
    dialogues      ReDial: for each movie that came up and that the seeker liked, the seeker's own words before it was
                   first named, without any title (`text.dialogues.words_before`)

A movie of a dialogue is the one of the catalogue with the same title, or other title, and year; those that the
catalogue lacks, or has twice, and those before which the seeker said nothing are left out and counted. Figures are
means over dialogues of each one's mean. For tuning, val takes the descriptions marked `tune` and every third dialogue
(by a checksum of its id); test the rest. The gap divides by a mean that may be near 0, so it orders backends but does
not measure by how much one is better: vectors that all point one way have a large mean and a small gap.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.catalog import Catalog, parse_title
from ..data.errors import DataError
from ..data.raw.cells import whole_number
from ..data.raw.csv_table import file_rows
from ..data.title_text import compact, fold
from ..text.dialogues import Dialogue, words_before

PART_OF = {"tune": "val", "report": "test"}
NOT_THERE, SILENT = "not in the catalogue", "nothing said before"
_CELLS = 1 << 22  # of a block of scores: 32 MB as float64


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
            raise DataError(f"{self.name}: no request refers to a movie of the catalogue: use the matching data set")

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of `values` (n,) in each unit, (n_units,)."""
        return np.bincount(self.unit, values, len(self.unit_names)) / np.bincount(self.unit)

    def note(self) -> str:
        """Return how many there are, as a line."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items() if count) or "nothing"
        units = "" if len(self.unit_names) == len(self.texts) else f" in {len(self.unit_names):,}"
        return f"{len(self.texts):,} requests{units} ({self.name}), each means one; left out: {left_out}"


def descriptions(path: Path, catalog: Catalog, part: str) -> Requests:
    """Read the descriptions of `part`, val or test; raises `DataError` for a file that is something else."""
    if not path.is_file():
        raise DataError(f"no descriptions at {path}: give a CSV with movieId and query")
    row_of = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}
    texts, rows, n_unknown = [], [], 0
    for line, (cell, query, of_part) in file_rows(path, ("movieId", "query"), [], ("part",)):
        movie_id = whole_number(cell)
        if not query or movie_id is None:
            raise DataError(f"{path} line {line} has no movieId and query: give a CSV with both in each line")
        if of_part and of_part not in PART_OF:
            raise DataError(f"{path} line {line}: part {of_part!r} is not one of {', '.join(PART_OF)}")
        if not of_part or PART_OF[of_part] == part:
            row = row_of.get(movie_id)
            n_unknown += row is None
            if row is not None:
                texts.append(query)
                rows.append(row)
    names = [str(movie_id) for movie_id in catalog.movie_ids[np.array(rows, np.int64)].tolist()]
    return Requests(
        "descriptions", texts, np.array(rows, np.int64), np.arange(len(rows)), names, {NOT_THERE: n_unknown}
    )


def dialogue_requests(dialogues: Iterable[Dialogue], catalog: Catalog, part: str) -> Requests:
    """Return the requests of the dialogues of `part`, val or test: see the head of this module."""
    rows_of: dict[tuple[str, int], set[int]] = {}  # title in one spelling, year -> rows, under every name of a movie
    for row, raw in enumerate(catalog.raw_titles):
        title, _, alternatives = parse_title(raw)
        for name in (title, *alternatives):
            rows_of.setdefault((compact(fold(name)), int(catalog.years[row])), set()).add(row)
    asked: list[tuple[str, int, str]] = []  # words, movie row, dialogue
    left_out = {NOT_THERE: 0, SILENT: 0}
    for dialogue in dialogues:
        if (zlib.crc32(dialogue.dialog_id.encode()) % 3 == 0) != (part == "val"):
            continue
        for mention in dialogue.liked:
            title, year, _ = parse_title(dialogue.titles[mention])
            meant = rows_of.get((compact(fold(title)), year), set())
            words = words_before(dialogue, mention) or ""
            if len(meant) != 1:
                left_out[NOT_THERE] += 1
            elif not any(letter.isalpha() for letter in words):
                left_out[SILENT] += 1
            else:
                asked += [(words, row, dialogue.dialog_id) for row in meant]
    names = list(dict.fromkeys(name for _, _, name in asked))
    unit_of = {name: unit for unit, name in enumerate(names)}
    rows, unit = np.array([row for _, row, _ in asked], np.int64), [unit_of[name] for _, _, name in asked]
    return Requests("dialogues", [words for words, _, _ in asked], rows, np.array(unit, np.int64), names, left_out)


def ranks(queries: np.ndarray, movies: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the rank of movie `targets[q]` among all movies by inner product with `queries[q]`: (n_queries,).

    queries: (n_queries, d).  movies: (n_movies, d).  1 is best; movies as near as the one meant share their ranks, so
    a row of zeros gets the one in the middle. Cost O(n_queries n_movies d), a block of queries at a time.
    """
    if queries.shape[1] != movies.shape[1]:
        raise DataError(f"queries of width {queries.shape[1]} and movies of width {movies.shape[1]}: use one backend")
    result = np.empty(len(queries))
    step = max(1, _CELLS // max(len(movies), 1))
    for low in range(0, len(queries), step):
        block = slice(low, min(low + step, len(queries)))
        scores = queries[block].astype(np.float64) @ movies.T.astype(np.float64)  # (step, n_movies)
        wanted = scores[np.arange(len(scores)), targets[block]][:, None]
        near = np.abs(scores - wanted) <= 1e-12  # equal vectors may differ in the last bits by the order of a sum
        result[block] = 1 + ((scores > wanted) & ~near).sum(axis=1) + (near.sum(axis=1) - 1) / 2
    return result


def finding_measures(found: np.ndarray, ks: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return `recall@k` and `mrr` of each request, (n_queries,) float64, from the ranks.

    >>> measures = finding_measures(np.array([1.0, 4.0, 20.0]), (10,))
    >>> measures["recall@10"].tolist(), measures["mrr"].tolist()
    ([1.0, 1.0, 0.0], [1.0, 0.25, 0.05])
    """
    measures: dict[str, np.ndarray] = {f"recall@{k}": np.asarray(found <= k, dtype=np.float64) for k in ks}
    return {**measures, "mrr": 1.0 / found}


class Gap(NamedTuple):
    """Mean cosine of pairs of movies that share a genre, that share none, and of both; nan if there is no such pair.

    gap: (same - different) / |overall|, nan if it is undefined.  is_chance: whether `overall` is within 3
    deviations, 3 / sqrt(width * pairs), of what random directions have, so that nothing is there to divide by.
    """

    same: float
    different: float
    overall: float
    n_same: int
    n_different: int
    gap: float
    is_chance: bool


def separation_gap(vectors: np.ndarray, genres: np.ndarray) -> Gap:
    """Return the genre separation of `vectors` (n, d), rows of length 1 or 0, for `genres` (n, n_genres).

    Exact over all pairs, each once. A movie without a genre is in no pair; a row of zeros has cosine 0 with all.
    Movies with the same set of genres are added up first, and a sum over pairs of movies is one over pairs of sets:
    sum over i in A, j in B of v_i . v_j = (sum of v_i over A) . (sum of v_j over B). Cost O(n d + m^2 (d + n_genres))
    for m different sets of genres (1,000 of 62,000 MovieLens movies), m^2 a block at a time.

    >>> vectors = np.array([[1.0, 0], [1, 0], [0, 1]])
    >>> separation_gap(vectors, np.array([[True], [True], [False]])).same
    1.0
    """
    if len(vectors) != len(genres):
        raise DataError(f"{len(vectors)} vectors and genres of {len(genres)} movies: give both for the same movies")
    listed = genres.any(axis=1)
    V = vectors[listed].astype(np.float64)
    sets, of_movie = np.unique(genres[listed], axis=0, return_inverse=True)
    of_movie = of_movie.reshape(-1)
    sizes = np.bincount(of_movie, minlength=len(sets)).astype(np.float64)
    sums = np.zeros((len(sets), V.shape[1]))  # (m, d)
    np.add.at(sums, of_movie, V)
    same = n_same = 0.0
    step = max(1, _CELLS // max(len(sets), 1))
    for low in range(0, len(sets), step):
        shares = sets[low : low + step].astype(np.float64) @ sets.T > 0  # (step, m)
        same += float(((sums[low : low + step] @ sums.T) * shares).sum())
        n_same += float(sizes[low : low + step] @ shares @ sizes)
    squares = float((V * V).sum())  # each movie with itself
    total = float(sums.sum(axis=0) @ sums.sum(axis=0)) - squares
    n_all, same, n_same = len(V) * (len(V) - 1), same - squares, n_same - len(V)
    pairs = ((same, n_same), (total - same, n_all - n_same), (total, n_all))
    shared, apart, overall = (part / n if n else float("nan") for part, n in pairs)
    gap = (shared - apart) / abs(overall) if overall else float("nan")
    is_chance = overall**2 * V.shape[1] * (n_all // 2) <= 9
    return Gap(shared, apart, overall, int(n_same) // 2, int(n_all - n_same) // 2, gap, is_chance)
