"""Vectors of movies by several backends, on the same movies, requests and users.

    movies          separation of genres (`embedding_quality.separation_gap`)
    descriptions,   requests in words that one movie answers (`embedding_quality`): its place among all movies
    dialogues
    people          the mean of the vectors of the movies somebody liked (`text.people`), all that they have not rated
                    ranked by cosine with it; what they liked in the held-out part of the per-user split is relevant

All backends answer the same requests for the same users, so ratios to the first are paired. Somebody whose liked
movies have no vector gets an empty list: no hit. A movie's vector is taken from where it is stored if the same model
made it from the same text; only the others are embedded.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..data.artifacts import has_manifest
from ..data.catalog import Catalog
from ..data.errors import DataError, SettingsError
from ..data.interactions import Interactions
from ..linalg.rows import top_n, unit_rows
from ..text import registry
from ..text.backends.local import LocalBackend
from ..text.base import BaseEmbeddingBackend, Identity, movie_text, text_hash
from ..text.people import UserVectorSettings, align, user_vectors
from ..text.vectors import VectorTable
from .beyond_accuracy import list_measures
from .embedding_quality import Requests, finding_measures, ranks, separation_gap
from .protocols import Evaluation
from .report import Report
from .run import FunctionRanker, Options, Scores, Spec, kept, rank
from .significance import bootstrap

PEOPLE = "people"
_BATCH = 512  # requests at a time


class RandomVectors(BaseEmbeddingBackend):
    """A random direction for each text, the same for the same text: the baseline."""

    name = "random"

    def __init__(self, dimension: int = 256, seed: int = 0) -> None:
        for what, value, least in (("dimension", dimension, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise SettingsError(f"{what} of random vectors {value!r}: give a whole number from {least}")
        self.seed, self._identity = seed, Identity(self.name, f"seed-{seed}", dimension)

    @property
    def identity(self) -> Identity:
        return self._identity

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32."""
        seeds, d = [[self.seed, int(text_hash(text)[:16], 16)] for text in texts], self._identity.dimension
        return unit_rows(np.array([np.random.default_rng(seed).standard_normal(d) for seed in seeds]).reshape(-1, d))


BACKENDS = (*registry.names(), RandomVectors.name)


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


def movie_vectors(
    backend: BaseEmbeddingBackend,
    texts: Sequence[str],
    stored: Optional[Path] = None,
    checkpoint: Optional[Path] = None,
) -> tuple[np.ndarray, int]:
    """Return the vectors of all movies' texts, (n_movies, d) float32, and how many were not stored.

    stored: a folder that may hold `movie_embeddings`; vectors of another model or of other texts are not taken.
    checkpoint: a folder; what is found there is not embedded again, what is embedded is left there.
    """
    identity = backend.identity
    hashes = [text_hash(text) for text in texts]
    known: dict[str, np.ndarray] = {}
    if stored is not None and has_manifest(stored):
        movies = VectorTable.load(stored)
        if movies.identity == identity:
            known = dict(zip(movies["text_hash"].tolist(), movies.embedding))
    missing = [row for row, hashed in enumerate(hashes) if hashed not in known]
    vectors = np.array([known.get(hashed, np.zeros(identity.dimension)) for hashed in hashes], dtype=np.float32)
    if missing:
        digest = hashlib.sha256(repr([identity, [hashes[row] for row in missing]]).encode()).hexdigest()[:24]
        path = checkpoint and checkpoint / f"vectors-{identity.backend}-{digest}.npz"
        embed = partial(backend.embed_texts, [texts[row] for row in missing])
        vectors[missing] = kept(path, {"vectors": np.float32}, lambda: {"vectors": embed()})["vectors"]
    return vectors, len(missing)


class Answers(NamedTuple):
    """values: recall@k and mrr of each unit.  ranks: (n,) of the movies meant.  nearest: (n, 3) rows of movies."""

    values: dict[str, np.ndarray]
    ranks: np.ndarray
    nearest: np.ndarray


def find(backend: BaseEmbeddingBackend, movies: np.ndarray, requests: Requests, ks: tuple[int, ...]) -> Answers:
    """Return what the vectors of `requests` by `backend` have nearest among all movies, (n_movies, d)."""
    queries = backend.embed_texts(requests.texts)
    found = ranks(queries, movies, requests.rows)
    nearest = [top_n(queries[low : low + _BATCH] @ movies.T, 3) for low in range(0, len(queries), _BATCH)]
    values = {name: requests.by_unit(each) for name, each in finding_measures(found, ks).items()}
    return Answers(values, found, np.concatenate(nearest))


def liked_mean(vectors: np.ndarray, train: Interactions) -> Scores:
    """Score by cosine with the mean of the vectors of liked movies; without one, no movie is listed.

    vectors: (n_movies, d) in the order of `train`.
    """
    users = user_vectors(train, vectors, UserVectorSettings(), np.random.default_rng(0))

    def score(history: Interactions, user_rows: np.ndarray) -> np.ndarray:
        ids = history.user_ids[user_rows]
        scores = align(ids, users.user_ids, users.vectors) @ vectors.T  # (B, n_movies)
        scores[~np.isin(ids, users.user_ids)] = -np.inf
        return scores

    return score


def people_with_likes(case: Evaluation, settings: UserVectorSettings) -> Evaluation:
    """Return the case for those who like enough known movies to have a vector."""
    liked = case.known.take(case.known.ratings >= settings.rating_threshold)
    enough = np.diff(liked.indptr)[case.user_rows] >= settings.min_movies
    return case.select(enough, case.name, "few liked movies")


def compare_backends(
    specs: Sequence[Spec],
    catalog: Catalog,
    requests: Sequence[Requests],
    case: Evaluation,
    options: Options,
    stored: Optional[Path] = None,
) -> tuple[list[Report], dict[str, list[Answers]]]:
    """Return a report for movies, each kind of request and users; and backend -> its answers to each of `requests`.

    case: per-user, with the movies of the catalogue.  stored: where `<backend>/` may hold the movies' vectors; only
    backends without settings are looked for there.  Ratios are to the first backend.
    """
    if not np.array_equal(case.known.movie_ids, catalog.movie_ids):
        raise DataError("the ratings list other movies than the catalogue: use the two of one data set")
    texts = [movie_text(catalog.movie(row)) for row in range(len(catalog))]
    people = people_with_likes(case, UserVectorSettings())
    tables = {"genre separation": ["same", "different", "overall", "gap"]}
    tables["seconds"] = [f"{step}_seconds" for step in ("make", "movies", "answer")]
    movies = Report("movies", options.part, np.empty(0), [f"{len(catalog):,} movies"], tables)
    note = f"{people.n_users:,} users, the mean of what they liked against all movies they have not rated"
    tasks = [(asked.name, np.array(asked.unit_names), asked.note()) for asked in requests]
    tasks.append((PEOPLE, people.known.user_ids[people.user_rows], note))
    reports = [Report(name, options.part, units, [line], {}, ratio=True) for name, units, line in tasks]
    answers: dict[str, list[Answers]] = {}
    for spec in specs:
        progress = options.start_progress(f"embeddings: {spec.label}")
        progress(0, len(texts), "fit, embedding movies")
        times = [time.perf_counter()]
        backend = make_backend(spec, texts)
        times.append(time.perf_counter())
        folder = stored / spec.name if stored is not None and not spec.settings else None
        vectors, n_new = movie_vectors(backend, texts, folder, options.checkpoint)
        times.append(time.perf_counter())
        answers[spec.label] = [find(backend, vectors, asked, (10, 50)) for asked in requests]
        lists = rank(partial(FunctionRanker, partial(liked_mean, vectors)), people, 20).rows
        times.append(time.perf_counter())
        for report, answer in zip(reports, answers[spec.label]):
            report.values[spec.label] = answer.values
            report.overall[spec.label] = {"median_place": float(np.median(answer.ranks))}
        reports[-1].values[spec.label] = list_measures(people, lists, [("hit_rate", 10), ("ndcg", 10), ("recall", 20)])
        gap = separation_gap(vectors, catalog.genres)
        figures = {"same": gap.same, "different": gap.different, "overall": gap.overall}
        figures["gap"] = math.nan if gap.is_chance else gap.gap  # nothing to divide by
        movies.overall[spec.label] = {**figures, **dict(zip(tables["seconds"], np.diff(times).tolist()))}
        model, width = backend.identity.model, backend.identity.dimension
        movies.notes.append(f"{spec.label}: {model}, width {width:,}, {n_new:,} movies not stored")
        progress(len(texts), len(texts), "")
    pairs = f"{gap.n_same:,} pairs of movies share a genre, {gap.n_different:,} share none"
    movies.notes.append(f"{pairs}; - where the mean of all is what chance gives")
    for report in reports:
        _average(report, options)
    return [movies, *reports], answers


def _average(report: Report, options: Options) -> None:
    """Add means with intervals, and ratios to the first backend, by the same draws for all."""
    for label, values in report.values.items():
        matrix, rng = np.column_stack(list(values.values())), np.random.default_rng(options.seed)
        found = dict(zip(values, bootstrap(matrix, None, options.n_resamples, rng)))
        means = {measure: estimate.value for measure, estimate in found.items()}
        report.overall[label] = {**means, **report.overall.get(label, {})}
        report.intervals.update({(label, measure): estimate for measure, estimate in found.items()})
    report.tables["mean (95% interval)"] = list(next(iter(report.overall.values())))
    first, rng = next(iter(report.values)), np.random.default_rng(options.seed)
    report.compare(report.values, first, list(report.values[first]), options.n_resamples, rng)


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
