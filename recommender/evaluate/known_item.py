"""Requests in words that one movie answers, and at which rank the vectors of a backend find it.

    rank = 1 + how many movies are nearer to the words than the one meant + half of the others that are as near
    Recall@k = share of requests with rank <= k        MRR = mean of 1 / rank, without a cutoff

    descriptions   a CSV of movieId, query and, where it has one, part (tune, report): one movie meant by each
    dialogues      ReDial: for each movie that came up and that the seeker liked, the seeker's own words before it was
                   first named, without any title (`text.dialogues.words_before`)

Movies of a dialogue that the catalogue lacks by title and year, or has twice, and those before which the seeker said
nothing are left out and counted. Figures are means over dialogues of each one's mean. For tuning, val takes the
descriptions marked `tune` and every third dialogue (by a checksum of its id); test the rest.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.catalog import Catalog, parse_title
from ..data.errors import DataError
from ..data.raw.cells import is_nothing, whole_number
from ..data.raw.csv_table import file_rows
from ..data.title_text import compact, fold
from ..linalg.rows import top_n
from ..text.base import BaseEmbeddingBackend
from ..text.dialogues import Dialogue, words_before

PART_OF = {"tune": "val", "report": "test"}
NOT_THERE, SILENT = "not in the catalogue", "nothing said before"
_CELLS = 1 << 22  # of a block of scores: 32 MB as float64


class Requests:
    """Words, and the movies that they mean.

    asked: words, the row of the movie meant, and the unit that they come from: a movie id or the id of a dialogue.
    left_out: how many requests are not asked, by reason.  unit: (n,) rows of `unit_names`.
    """

    def __init__(self, name: str, asked: Sequence[tuple[str, int, str]], left_out: Mapping[str, int]) -> None:
        import pandas as pd

        if not asked:
            raise DataError(f"{name}: no request refers to a movie of the catalogue: use the matching data set")
        self.name, self.left_out, self.texts = name, left_out, [words for words, _, _ in asked]
        self.rows = np.array([row for _, row, _ in asked], np.int64)
        self.unit, self.unit_names = pd.factorize(np.array([unit for _, _, unit in asked]))

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of `values` (n,) in each unit, (n_units,)."""
        return np.bincount(self.unit, values) / np.bincount(self.unit)

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
    asked: list[tuple[str, int, str]] = []
    n_unknown = 0
    for line, (cell, query, of_part) in file_rows(path, ("movieId", "query"), [], ("part",)):
        movie_id = whole_number(cell)
        if not query or movie_id is None:
            raise DataError(f"{path} line {line} has no movieId and query: give a CSV with both in each line")
        of_part = "" if is_nothing(of_part) else of_part
        if of_part and of_part not in PART_OF:
            raise DataError(f"{path} line {line}: part {of_part!r} is not one of {', '.join(PART_OF)}")
        if not of_part or PART_OF[of_part] == part:
            n_unknown += movie_id not in row_of
            asked += [(query, row_of[movie_id], str(movie_id))] if movie_id in row_of else []
    return Requests("descriptions", asked, {NOT_THERE: n_unknown})


def dialogue_requests(dialogues: Iterable[Dialogue], catalog: Catalog, part: str) -> Requests:
    """Return the requests of the dialogues of `part`, val or test: see the head of this module."""
    rows_of: dict[tuple[str, int], set[int]] = {}  # title in one spelling, year -> rows, under every name of a movie
    for row, raw in enumerate(catalog.raw_titles):
        title, _, alternatives = parse_title(raw)
        for name in (title, *alternatives):
            rows_of.setdefault((compact(fold(name)), int(catalog.years[row])), set()).add(row)
    asked: list[tuple[str, int, str]] = []
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
    return Requests("dialogues", asked, left_out)


class Answers(NamedTuple):
    """What a backend finds: recall@k and mrr of each unit, the ranks (n,) of the movies meant, and all vectors."""

    values: dict[str, np.ndarray]
    ranks: np.ndarray
    queries: np.ndarray
    movies: np.ndarray

    def nearest(self, request: int, n: int = 3) -> list[int]:
        """Return the rows of the n movies nearest to one request, equal ones by row."""
        return top_n(self.queries[[request]] @ self.movies.T, n)[0].tolist()


def find(backend: BaseEmbeddingBackend, movies: np.ndarray, requests: Requests, ks: tuple[int, ...]) -> Answers:
    """Return what the vectors of `requests` by `backend` find among the vectors of all movies, (n_movies, d)."""
    queries = backend.embed_texts(requests.texts)
    found = ranks(queries, movies, requests.rows)
    measures = {**{f"recall@{k}": found <= k for k in ks}, "mrr": 1.0 / found}
    values = {name: requests.by_unit(each) for name, each in measures.items()}
    return Answers(values, found, queries, movies)


def ranks(queries: np.ndarray, movies: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the rank of movie `targets[q]` among all movies by inner product with `queries[q]`: (n_queries,).

    queries: (n_queries, d).  movies: (n_movies, d).  1 is best; movies as near as the one meant share their ranks, so
    a row of zeros gets the one in the middle. Cost O(n_queries n_movies d), a block of queries at a time.
    """
    result = np.empty(len(queries))
    step = max(1, _CELLS // max(len(movies), 1))
    for low in range(0, len(queries), step):
        block = slice(low, min(low + step, len(queries)))
        scores = queries[block].astype(np.float64) @ movies.T.astype(np.float64)  # (step, n_movies)
        wanted = scores[np.arange(len(scores)), targets[block]][:, None]
        near = np.abs(scores - wanted) <= 1e-12  # equal vectors may differ in the last bits by the order of a sum
        result[block] = 1 + ((scores > wanted) & ~near).sum(axis=1) + (near.sum(axis=1) - 1) / 2
    return result


def samples(
    answers: Mapping[str, Sequence[Answers]],
    requests: Sequence[Requests],
    catalog: Catalog,
    n_samples: int,
    seed: int,
) -> str:
    """Return `n_samples` requests of each kind as they are, the movie meant, and what each backend has nearest."""
    lines = []
    for number, asked in enumerate(requests):
        chosen = np.random.default_rng(seed).permutation(len(asked.texts))[:n_samples]
        for request in sorted(chosen.tolist()):
            words = asked.texts[request].replace("\n", " / ")
            lines.append(f'\n"{words}" -> {catalog.movie(int(asked.rows[request]))}')
            for label, answered in answers.items():
                movies = "; ".join(str(catalog.movie(row)) for row in answered[number].nearest(request))
                lines.append(f"  {label}: place {answered[number].ranks[request]:,.0f}; nearest: {movies}")
    return "\n".join(lines)
