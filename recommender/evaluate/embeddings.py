"""Vectors of movies by several backends, on the same movies, requests and people.

    movies          separation of genres (`embedding_quality.separation_gap`)
    descriptions,   requests in words that one movie answers (`known_item`): its place among all movies
    dialogues
    people          the mean of the vectors of the movies somebody liked (`text.people`), all that they have not rated
                    ranked by cosine with it; what they liked in the held-out part of the per-user split is relevant

All backends answer the same requests for the same people, so ratios to the first are paired. Somebody whose liked
movies have no vector gets an empty list: no hit. A movie's vector is taken from where it is stored if the same model
made it from the same text; only the others are embedded.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data.artifacts import has_manifest, load_npz, replace_file
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, DataError, SettingsError
from ..learn.base import mask_seen
from ..linalg.rows import unit_rows as of_length_one
from ..linalg.top_n import top_n
from ..text import registry
from ..text.backends.local import LocalBackend
from ..text.base import BaseEmbeddingBackend, Identity
from ..text.movie_text import movie_text, text_hash
from ..text.people import UserVectorSettings, align, user_vectors
from ..text.vectors import VectorTable
from . import metrics
from .embedding_quality import finding_measures, ranks, separation_gap
from .known_item import Requests
from .protocols import Evaluation
from .report import Report, Result
from .run import Spec, StartProgress, best_rows
from .significance import bootstrap, compare

PEOPLE, PERSON_LIST = "people", 20
_BATCH = 512  # people or requests at a time


class RandomVectors(BaseEmbeddingBackend):
    """A direction drawn for each text, the same for the same text: what any backend must beat."""

    name = "random"

    def __init__(self, dimension: int = 256, seed: int = 0) -> None:
        for what, value, least in (("dimension", dimension, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise SettingsError(f"{what} of random vectors {value!r}: give a whole number from {least}")
        self.dimension, self.seed = dimension, seed

    @property
    def identity(self) -> Identity:
        return Identity(self.name, f"seed-{self.seed}", self.dimension)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32."""
        seeds = [[self.seed, int(text_hash(text)[:16], 16)] for text in texts]
        drawn = [np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds]
        return of_length_one(np.array(drawn).reshape(len(texts), self.dimension))


BACKENDS = (*registry.names(), RandomVectors.name)


class MovieVectors(NamedTuple):
    """vectors: (n_movies, d).  n_embedded: how many texts were embedded now, in `seconds`."""

    vectors: np.ndarray
    n_embedded: int
    seconds: float


class Answers(NamedTuple):
    """values: recall@k and mrr of each unit.  ranks: (n,) of the movies meant.  nearest: (n, 3) rows of movies."""

    values: dict[str, np.ndarray]
    ranks: np.ndarray
    nearest: np.ndarray


def make_backend(spec: Spec, texts: Sequence[str]) -> BaseEmbeddingBackend:
    """Return the backend; `local` with settings is fitted to `texts`, without settings it is the shipped one.

    Raises `SettingsError` for a setting that it does not have.
    """
    if spec.name == LocalBackend.name and spec.settings:
        return LocalBackend.fit(texts, **spec.settings)
    try:
        if spec.name == RandomVectors.name:
            return RandomVectors(**spec.settings)
        return registry.make_backend(spec.name, **spec.settings)
    except TypeError as error:
        raise SettingsError(f"backend {spec.label!r}: {error}") from None


def movie_texts(catalog: Catalog) -> list[str]:
    """Return the text of every movie of the catalogue, in its order."""
    return [movie_text(catalog.movie(row)) for row in range(len(catalog))]


def movie_vectors(
    backend: BaseEmbeddingBackend,
    texts: Sequence[str],
    stored: Optional[Path] = None,
    checkpoint: Optional[Path] = None,
) -> MovieVectors:
    """Return the vectors of all movies' texts.

    stored: a folder that may hold `movie_embeddings`; vectors of another model or of other texts are not taken.
    checkpoint: a folder; what is found there is not embedded again, what is embedded is left there.
    """
    identity = backend.identity
    hashes = [text_hash(text) for text in texts]
    digest = hashlib.sha256(repr([identity, hashes]).encode()).hexdigest()[:24]
    kept = checkpoint and checkpoint / f"vectors-{identity.backend}-{digest}.npz"
    if kept and kept.is_file():
        try:
            vectors = load_npz(kept, {"vectors": np.float32})["vectors"]
            if vectors.shape == (len(texts), identity.dimension):
                return MovieVectors(vectors, 0, 0.0)
        except ArtifactError:
            pass  # a damaged checkpoint is as good as none
    known: dict[str, np.ndarray] = {}
    if stored is not None and has_manifest(stored):
        movies = VectorTable.load(stored)
        if movies.identity == identity:
            known = dict(zip(movies["text_hash"].tolist(), movies.embedding))
    missing = [row for row, hashed in enumerate(hashes) if hashed not in known]
    started = time.perf_counter()
    vectors = np.zeros((len(texts), identity.dimension), dtype=np.float32)
    if missing:
        vectors[missing] = backend.embed_texts([texts[row] for row in missing])
    seconds = time.perf_counter() - started
    for row, hashed in enumerate(hashes):
        if hashed in known:
            vectors[row] = known[hashed]
    if kept:
        with replace_file(kept) as temporary, open(temporary, "wb") as file:
            np.savez(file, vectors=vectors)
    return MovieVectors(vectors, len(missing), seconds)


def find(
    backend: BaseEmbeddingBackend, movies: np.ndarray, requests: Requests, ks: tuple[int, ...] = (10, 50)
) -> Answers:
    """Return what the vectors of `requests` by `backend` have nearest among all movies.

    movies: (n_movies, d), what `backend` makes of the movies' texts, in the order of the catalogue.
    """
    queries = backend.embed_texts(requests.texts)
    found = ranks(queries, movies, requests.rows)
    nearest = [top_n(queries[low : low + _BATCH] @ movies.T, 3) for low in range(0, len(queries), _BATCH)]
    values = {name: requests.by_unit(each) for name, each in finding_measures(found, ks).items()}
    return Answers(values, found, np.concatenate(nearest))


def rank_for_people(movies: np.ndarray, case: Evaluation, people: np.ndarray) -> dict[str, np.ndarray]:
    """Return hit_rate@10, ndcg@10 and recall@20 of lists made from the vectors of liked movies, for `people`.

    movies: (n_movies, d) in the order of `case.known`.  people: positions in `case.user_rows`.
    """
    users = user_vectors(case.known, movies, UserVectorSettings(), np.random.default_rng(0))
    rows = case.user_rows[people]
    ids = case.known.user_ids[rows]
    U = align(ids, users.user_ids, users.vectors)  # (n_people, d)
    has_vector = np.isin(ids, users.user_ids)
    lists = np.full((len(people), PERSON_LIST), -1, dtype=np.int64)
    for low in range(0, len(people), _BATCH):
        block = np.arange(low, min(low + _BATCH, len(people)))[has_vector[low : low + _BATCH]]
        if len(block):
            scores = U[block] @ movies.T  # (B, n_movies)
            mask_seen(scores, case.known, rows[block])
            lists[block] = best_rows(scores, PERSON_LIST)
    indptr, relevant = case.select(np.isin(np.arange(case.n_users), people), case.name, "few liked movies").relevant()
    hits, n_relevant = metrics.find_hits(lists, indptr, relevant, case.known.n_movies), np.diff(indptr)
    return {
        f"{name}@{k}": metrics.METRICS[name](hits, n_relevant, k)
        for name, k in (("hit_rate", 10), ("ndcg", 10), ("recall", 20))
    }


def people_with_likes(case: Evaluation, settings: UserVectorSettings) -> np.ndarray:
    """Return the positions in `case.user_rows` of people who like enough known movies to have a vector."""
    liked = case.known.take(case.known.ratings >= settings.rating_threshold)
    return np.flatnonzero(np.diff(liked.indptr)[case.user_rows] >= settings.min_movies)


def compare_backends(
    specs: Sequence[Spec],
    catalog: Catalog,
    requests: Sequence[Requests],
    case: Evaluation,
    part: str,
    n_resamples: int,
    seed: int = 0,
    stored: Optional[Path] = None,
    checkpoint: Optional[Path] = None,
    start_progress: StartProgress = lambda label: None,
) -> tuple[list[Report], dict[str, list[Answers]]]:
    """Return a report for movies, each kind of request and people; and backend -> its answers to each of `requests`.

    case: per-user, with the movies of the catalogue.  stored: where `<backend>/` may hold the movies' vectors; only
    backends without settings are looked for there.
    """
    if not np.array_equal(case.known.movie_ids, catalog.movie_ids):
        raise DataError("the ratings list other movies than the catalogue: use the two of one data set")
    texts = movie_texts(catalog)
    people = people_with_likes(case, UserVectorSettings())
    names = [*(asked.name for asked in requests), PEOPLE]
    values: dict[str, dict[str, dict[str, np.ndarray]]] = {name: {} for name in names}  # task -> backend -> measure
    answers: dict[str, list[Answers]] = {}
    movies = Report("movies", part, {"unit": np.empty(0)}, [], [], [f"{len(catalog):,} movies"], {})
    movies.tables["genre separation"] = ["same", "different", "overall", "gap"]
    for spec in specs:
        progress = start_progress(f"embeddings: {spec.label}")
        if progress:
            progress(0, len(texts), "fit, embedding movies")
        started = time.perf_counter()
        backend = make_backend(spec, texts)
        made = time.perf_counter() - started
        folder = stored / spec.name if stored is not None and not spec.settings else None
        vectors, n_embedded, embedded = movie_vectors(backend, texts, folder, checkpoint)
        started = time.perf_counter()
        answers[spec.label] = [find(backend, vectors, asked) for asked in requests]
        for asked, answer in zip(requests, answers[spec.label]):
            values[asked.name][spec.label] = answer.values
        values[PEOPLE][spec.label] = rank_for_people(vectors, case, people)
        seconds = {"make": made, "movies": embedded, "answer": time.perf_counter() - started}
        gap = separation_gap(vectors, catalog.genres)
        figures = {"same": gap.same, "different": gap.different, "overall": gap.overall}
        figures["gap"] = math.nan if gap.is_chance else gap.gap  # nothing to divide by
        details = {"model": backend.identity.model, "dimension": backend.identity.dimension}
        movies.results.append(Result(spec.label, {}, figures, seconds, details=details))
        width = f"{backend.identity.dimension:,}"
        movies.notes.append(f"{spec.label}: {backend.identity.model}, width {width}, {n_embedded:,} embedded now")
        if progress:
            progress(len(texts), len(texts), "")
    pairs = f"{gap.n_same:,} pairs of movies share a genre, {gap.n_different:,} share none"
    movies.notes.append(f"{pairs}; - where the mean of all is what chance gives")
    reports = [movies]
    for number, name in enumerate(names):
        if name == PEOPLE:
            units = case.known.user_ids[case.user_rows[people]]
            note = f"{len(people):,} people, the mean of what they liked against all movies they have not rated"
        else:
            units, note = np.array(requests[number].unit_names), requests[number].note()
        report = Report(name, part, {"unit": units}, [], [], [note], {}, ratios=True)
        first = specs[0].label
        for result in movies.results:
            label = result.model
            columns = values[name][label]
            matrix = np.column_stack(list(columns.values()))
            estimates = bootstrap(matrix, None, n_resamples, np.random.default_rng(seed))
            overall = {measure: estimate.value for measure, estimate in zip(columns, estimates)}
            if name != PEOPLE:
                overall["median_place"] = float(np.median(answers[label][number].ranks))
            intervals = dict(zip(columns, estimates))
            report.results.append(Result(label, columns, overall, {}, intervals, result.details))
            pair = {first: values[name][first], label: columns}
            rng = np.random.default_rng(seed)
            report.comparisons.extend(compare(pair, first, list(columns), n_resamples, rng, ratio=True))
        report.tables["mean (95% interval)"] = list(overall)
        reports.append(report)
    return reports, answers


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
            words = " / ".join(asked.texts[request].split("\n"))
            lines += ["", f'"{words}" -> {catalog.movie(int(asked.rows[request]))}']
            for label, answered in answers.items():
                movies = "; ".join(str(catalog.movie(row)) for row in answered[number].nearest[request].tolist())
                lines.append(f"  {label}: place {answered[number].ranks[request]:,.0f}; nearest: {movies}")
    return "\n".join(lines[1:])
