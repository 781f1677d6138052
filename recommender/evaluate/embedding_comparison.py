"""Several backends on the same movies, requests and people.

    movies          separation of genres (`embedding_quality.separation_gap`)
    descriptions,  requests in words that one movie answers (`known_item`): its place among all movies
    dialogues
    people         the mean of the vectors of the movies somebody liked (`recommender.text.people`), all that they
                   have not rated ranked by cosine with it; what they liked in the held-out part of the per-user split
                   is relevant, so HitRate@10 = share of people with a relevant movie among the first 10

All backends answer the same requests for the same people, so ratios to the first are paired. Somebody whose liked
movies have no vector gets an empty list: no hit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import DataError
from ..linalg.top_n import top_n
from ..text.base import BaseEmbeddingBackend, Identity
from ..text.movie_text import movie_text
from ..text.people import UserVectorSettings, align, user_vectors
from . import metrics
from .embedding_backends import BackendSpec, movie_vectors
from .embedding_quality import Gap, finding_measures, places, separation_gap
from .known_item import Requests
from .protocols import Evaluation
from .runner import best_unseen
from .significance import Interval, Ratio, intervals, ratios
from .work import StartProgress

PLACES = (10, 50)
PEOPLE = "people"
_LIST = 20
_NEAREST = 3
_BATCH = 512  # people or requests at a time


_NO_PLACES = (np.empty(0), np.empty((0, _NEAREST), dtype=np.int32))


class Answers(NamedTuple):
    """What one backend made of one task: measure -> (n_units,), and of requests the places and the nearest movies."""

    values: dict[str, np.ndarray]
    places: np.ndarray
    nearest: np.ndarray


class Task(NamedTuple):
    """What one backend did on one task.

    values: measure -> (n_units,).  intervals, ratios: by measure; no ratios for the first backend.
    places: of the movies meant, (n_requests,); empty for people.  nearest: (n_requests, 3) rows of the nearest movies.
    """

    values: dict[str, np.ndarray]
    intervals: dict[str, Interval]
    ratios: dict[str, Ratio]
    places: np.ndarray
    nearest: np.ndarray

    @property
    def median(self) -> float:
        """Return the median place, nan for people."""
        return float(np.median(self.places)) if len(self.places) else float("nan")


@dataclass(frozen=True)
class BackendResult:
    """All figures of one backend; `tasks` by name, in the order asked for."""

    label: str
    identity: Identity
    gap: Gap
    tasks: dict[str, Task]
    n_embedded: int
    seconds: dict[str, float]


def movie_texts(catalog: Catalog) -> list[str]:
    """Return the text of every movie of the catalogue, in its order."""
    return [movie_text(catalog.movie(row)) for row in range(len(catalog))]


def find(
    backend: BaseEmbeddingBackend, movies: np.ndarray, requests: Requests, ks: tuple[int, ...] = PLACES
) -> Answers:
    """Return recall@k and mrr of each unit of `requests`, the places of the movies meant, and the nearest movies.

    movies: (n_movies, d), what `backend` makes of the movies' texts, in the order of the catalogue.
    """
    queries = backend.embed_texts(requests.texts)
    found = places(queries, movies, requests.rows)
    nearest = [top_n(queries[low : low + _BATCH] @ movies.T, _NEAREST) for low in range(0, len(queries), _BATCH)]
    values = {name: requests.by_unit(each) for name, each in finding_measures(found, ks).items()}
    return Answers(values, found, np.concatenate(nearest).astype(np.int32))


def rank_for_people(movies: np.ndarray, case: Evaluation, people: np.ndarray) -> dict[str, np.ndarray]:
    """Return hit_rate@10, ndcg@10 and recall@20 of lists made from the vectors of liked movies, for `people`.

    movies: (n_movies, d) in the order of `case.known`.  people: positions in `case.user_rows`.
    """
    users = user_vectors(case.known, movies, UserVectorSettings(), np.random.default_rng(0))
    rows = case.user_rows[people]
    ids = case.known.user_ids[rows]
    U = align(ids, users.user_ids, users.vectors)
    has_vector = np.isin(ids, users.user_ids)
    lists = np.full((len(people), _LIST), -1, dtype=np.int64)
    for low in range(0, len(people), _BATCH):
        block = np.arange(low, min(low + _BATCH, len(people)))[has_vector[low : low + _BATCH]]
        if len(block):
            lists[block] = best_unseen(U[block] @ movies.T, case.known, rows[block], _LIST)
    chosen = case.select(np.isin(np.arange(case.n_users), people), case.name, "few liked movies")
    indptr, relevant = chosen.relevant()
    hits = metrics.find_hits(lists, indptr, relevant, case.known.n_movies)
    n_relevant = np.diff(indptr)
    return {
        "hit_rate@10": metrics.hit_rate(hits, n_relevant, 10),
        "ndcg@10": metrics.ndcg(hits, n_relevant, 10),
        "recall@20": metrics.recall(hits, n_relevant, 20),
    }


def people_with_likes(case: Evaluation, settings: UserVectorSettings) -> np.ndarray:
    """Return the positions in `case.user_rows` of people who like enough known movies to have a vector."""
    liked = case.known.ratings >= settings.rating_threshold
    n_liked = np.bincount(case.known.user_rows()[liked], minlength=case.known.n_users)
    return np.flatnonzero(n_liked[case.user_rows] >= settings.min_movies)


def compare_backends(
    specs: Sequence[BackendSpec],
    catalog: Catalog,
    requests: Sequence[Requests],
    case: Optional[Evaluation],
    n_resamples: int,
    seed: int = 0,
    stored: Optional[Path] = None,
    checkpoint: Optional[Path] = None,
    start_progress: StartProgress = lambda label: None,
) -> list[BackendResult]:
    """Return the figures of each backend; ratios are to the first.

    case: per-user, with the movies of the catalogue; None leaves people out.  stored: where `<backend>/` may hold the
    movies' vectors; only backends without settings are looked for there.
    """
    if case is not None and not np.array_equal(case.known.movie_ids, catalog.movie_ids):
        raise DataError("the ratings list other movies than the catalogue: use the two of one data set")
    texts = movie_texts(catalog)
    people = None if case is None else people_with_likes(case, UserVectorSettings())
    results: list[BackendResult] = []
    for spec in specs:
        progress = start_progress(f"embeddings: {spec.label}")
        if progress:
            progress("fit, embedding movies", 0, len(texts))
        started = time.perf_counter()
        backend = spec.make(texts)
        made = time.perf_counter() - started
        folder = stored / spec.name if stored is not None and not spec.settings else None
        movies = movie_vectors(backend, texts, folder, checkpoint)
        started = time.perf_counter()
        found = {asked.name: find(backend, movies.vectors, asked) for asked in requests}
        if case is not None and people is not None:
            found[PEOPLE] = Answers(rank_for_people(movies.vectors, case, people), *_NO_PLACES)
        seconds = {"make": made, "movies": movies.seconds, "answer": time.perf_counter() - started}
        gap = separation_gap(movies.vectors, catalog.genres)
        first = results[0].tasks if results else {}
        tasks = {name: _task(answers, first.get(name), n_resamples, seed) for name, answers in found.items()}
        results.append(BackendResult(spec.label, backend.identity, gap, tasks, movies.n_embedded, seconds))
        if progress:
            progress("done", len(texts), len(texts))
    return results


def _task(answers: Answers, first: Optional[Task], n_resamples: int, seed: int) -> Task:
    values = answers.values
    names = list(values)
    ours = np.column_stack([values[name] for name in names])
    spread = intervals(ours, n_resamples, np.random.default_rng(seed))
    against: list[Ratio] = []
    if first is not None:
        theirs = np.column_stack([first.values[name] for name in names])
        against = ratios(ours, theirs, n_resamples, np.random.default_rng(seed))
    return Task(values, dict(zip(names, spread)), dict(zip(names, against)), answers.places, answers.nearest)
