"""Vectors of movies by several backends, on the same movies, requests and users.

    movies          separation of genres (`separation_gap`)
    descriptions,   requests in words that one movie answers (`known_item`): its place among all movies
    dialogues
    people          the mean of the vectors of the movies somebody liked (`text.people`), all that they have not rated
                    ranked by cosine with it; what they liked in the held-out part of the per-user split is relevant

All backends answer the same requests for the same users, so ratios to the first are paired. Somebody whose liked
movies have no vector gets an empty list: no hit. A movie's vector is taken from where it is stored if the same model
made it from the same text; only the others are embedded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.artifacts import has_manifest
from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.interactions import Interactions
from ..data.settings import setting
from ..learn.base import Ranker
from ..linalg.rows import align
from ..text import registry
from ..text.backends.local import LocalBackend
from ..text.base import BaseEmbeddingBackend, movie_text, text_hash
from ..text.people import UserVectorSettings, user_vectors
from ..text.vectors import VectorTable
from .known_item import Answers, Requests, find
from .protocols import Evaluation
from .report import Report
from .run import Options, Spec, keep, kept, make_lists
from .significance import bootstrap, compare

PEOPLE, OF_PEOPLE = "people", ("hit_rate@10", "ndcg@10", "recall@20")


class RandomVectors(BaseEmbeddingBackend):
    """A random direction for each text, the same for the same text: the baseline."""

    name = "random"

    @dataclass(frozen=True)
    class Settings:
        dimension: int = setting(256, "random: length of a vector", 1)
        seed: int = setting(0, "random: seed of the directions", 0)

    def _raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        seeds, d = [[self.settings.seed, int(text_hash(text)[:16], 16)] for text in texts], self.settings.dimension
        return np.array([np.random.default_rng(seed).standard_normal(d) for seed in seeds])


BACKENDS = (*registry.names(), RandomVectors.name)


def make_backend(spec: Spec, texts: Sequence[str]) -> BaseEmbeddingBackend:
    """Return the backend; `local` with settings is fitted to `texts`, without settings it is the shipped one.

    Raises `SettingsError` or `ChoiceError` for a setting that it does not have.
    """
    if spec.name == LocalBackend.name and spec.settings:
        return LocalBackend.fit(texts, **spec.settings)
    if spec.name == RandomVectors.name:
        return RandomVectors(**spec.settings)
    return registry.make_backend(spec.name, **spec.settings)


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
    identity, hashes = backend.identity, [text_hash(text) for text in texts]
    known: dict[str, np.ndarray] = {}
    if stored is not None and has_manifest(stored) and (movies := VectorTable.load(stored)).identity == identity:
        known = dict(zip(movies["text_hash"].tolist(), movies.embedding))
    missing = {hashed: text for hashed, text in zip(hashes, texts) if hashed not in known}
    if missing:
        digest = hashlib.sha256(repr([identity, list(missing)]).encode()).hexdigest()[:24]
        path = checkpoint and checkpoint / f"vectors-{identity.backend}-{digest}.npz"
        found = kept(path, {"vectors": np.float32})
        found = found or keep(path, {"vectors": backend.embed_movies(list(missing.values()))})
        known.update(zip(missing, found["vectors"]))
    return np.array([known[hashed] for hashed in hashes], dtype=np.float32), len(missing)


class LikedMean(Ranker):
    """Scores by cosine with the mean of the vectors of liked movies; without one, no movie is listed."""

    name = "liked_mean"

    def __init__(self, vectors: np.ndarray) -> None:
        """vectors: (n_movies, d) in the order of the ratings."""
        super().__init__()
        self.vectors = vectors

    def _fit(self, train: Interactions) -> None:
        self.users = user_vectors(train, self.vectors, UserVectorSettings(), np.random.default_rng(0))  # ids, vectors

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        ids = history.user_ids[user_rows]
        scores = align(ids, *self.users) @ self.vectors.T  # (B, n_movies)
        scores[~np.isin(ids, self.users[0])] = -np.inf
        return scores


def people_with_likes(case: Evaluation) -> Evaluation:
    """Return the case for those who like enough known movies to have a vector."""
    settings = UserVectorSettings()
    liked = case.known.take(case.known.ratings >= settings.rating_threshold)
    enough = np.diff(liked.indptr)[case.user_rows] >= settings.min_movies
    return case.select(enough, case.name, "few liked movies")


class Gap(NamedTuple):
    """Mean cosine of pairs of movies that share a genre, that share none, and of both; nan if there is no such pair.

    gap: (same - different) / |overall|; nan if that is undefined, or if `overall` is within 3 deviations,
    3 / sqrt(width * pairs), of what random directions have. It orders backends but does not measure by how much one
    is better: vectors that all point one way have a large mean and a small gap.
    """

    same: float
    different: float
    overall: float
    gap: float
    n_same: int
    n_different: int


def separation_gap(vectors: np.ndarray, genres: np.ndarray) -> Gap:
    """Return the genre separation of `vectors` (n, d), rows of length 1 or 0, for `genres` (n, n_genres).

    Exact over all pairs, each once. A movie without a genre is in no pair; a row of zeros has cosine 0 with all.
    Movies with the same set of genres are added up first, and a sum over pairs of movies is one over pairs of sets:
    sum over i in A, j in B of v_i . v_j = (sum of v_i over A) . (sum of v_j over B). Cost O(n d + m^2 (d + n_genres))
    for m different sets of genres (1,000 of 62,000 MovieLens movies).

    >>> vectors = np.array([[1.0, 0], [1, 0], [0, 1]])
    >>> separation_gap(vectors, np.array([[True], [True], [False]])).same
    1.0
    """
    listed = genres.any(axis=1)
    V = vectors[listed].astype(np.float64)
    sets, of_movie = np.unique(genres[listed], axis=0, return_inverse=True)
    of_movie = of_movie.reshape(-1)
    sizes = np.bincount(of_movie, minlength=len(sets)).astype(np.float64)
    sums = np.zeros((len(sets), V.shape[1]))  # (m, d)
    np.add.at(sums, of_movie, V)
    share = sets.astype(np.float64) @ sets.T > 0  # (m, m)
    squares = float((V * V).sum())  # each movie with itself
    same = float(((sums @ sums.T) * share).sum()) - squares
    n_same, n_all = float(sizes @ share @ sizes) - len(V), len(V) * (len(V) - 1)
    total = float(sums.sum(axis=0) @ sums.sum(axis=0)) - squares
    pairs = ((same, n_same), (total - same, n_all - n_same), (total, n_all))
    shared, apart, overall = (part / n if n else float("nan") for part, n in pairs)
    is_chance = overall**2 * V.shape[1] * (n_all // 2) <= 9
    gap = float("nan") if is_chance else (shared - apart) / abs(overall)
    return Gap(shared, apart, overall, gap, int(n_same) // 2, int(n_all - n_same) // 2)


def index_quality(vectors: np.ndarray, catalog: Catalog) -> dict[str, Any]:
    """Return what an index of movie vectors (n_movies, d) holds, rows of length 1 or 0, and what is known of movies."""
    described = [text != "" for text in catalog.column("overview")]
    return {
        "n_movies": int(vectors.any(axis=1).sum()),
        "width": vectors.shape[1],
        "genre_separation_gap": separation_gap(vectors, catalog.genres).gap,
        "share_with_description": float(np.mean(described)),
        "share_with_ratings": float((catalog.n_ratings > 0).mean()),
    }


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
    people = people_with_likes(case)
    means = list(Gap._fields[:4])
    movies = Report("movies", options.part, np.empty(0), [f"{len(catalog):,} movies"], {"genre separation": means})
    reports = [Report(asked.name, options.part, asked.unit_names, [asked.note()], {}, ratio=True) for asked in requests]
    note = f"{people.n_users:,} users, the mean of what they liked against all movies they have not rated"
    ids = people.known.user_ids[people.user_rows]
    reports.append(Report(PEOPLE, options.part, ids, [note], {}, ratio=True))
    answers: dict[str, list[Answers]] = {}
    for spec in specs:
        progress, label = options.start_progress(f"embeddings: {spec.label}"), spec.label
        progress(0, len(texts), "fit, embedding movies")
        backend = make_backend(spec, texts)
        folder = stored / spec.name if stored is not None and not spec.settings else None
        vectors, n_new = movie_vectors(backend, texts, folder, options.checkpoint)
        answers[label] = [find(backend, vectors, asked, (10, 50)) for asked in requests]
        lists, _ = make_lists(LikedMean(vectors).fit(people.known), people, np.arange(people.n_users), 20)
        accuracy = people.accuracy(lists, (10, 20))
        found = [*(answer.values for answer in answers[label]), {name: accuracy[name] for name in OF_PEOPLE}]
        for report, values in zip(reports, found):
            add_means(report, label, values, options)
        for report, answer in zip(reports, answers[label]):
            report.overall[label]["median_place"] = float(np.median(answer.ranks))
        gap = separation_gap(vectors, catalog.genres)
        movies.overall[label] = dict(zip(means, gap))
        model, width = backend.identity.model, backend.identity.dimension
        movies.notes.append(f"{label}: {model}, width {width:,}, {n_new:,} movies not stored")
        progress(len(texts), len(texts), "")
    pairs = f"{gap.n_same:,} pairs of movies share a genre, {gap.n_different:,} share none"
    movies.notes.append(f"{pairs}; - where the mean of all is what chance gives")
    for report in reports:
        measures, rng = list(report.values[specs[0].label]), np.random.default_rng(options.seed)
        report.tables["mean (95% interval)"] = list(report.overall[specs[0].label])
        report.reference = specs[0].label
        report.compared = compare(report.values, report.reference, measures, options.n_resamples, rng, ratio=True)
    return [movies, *reports], answers


def add_means(report: Report, label: str, values: dict[str, np.ndarray], options: Options) -> None:
    """Add the values of one backend, and their means with intervals, by the same draws of units for all backends."""
    rng = np.random.default_rng(options.seed)
    found = bootstrap(np.column_stack(list(values.values())), options.n_resamples, rng)
    report.values[label] = values
    report.overall[label] = {measure: estimate.value for measure, estimate in zip(values, found)}
    report.intervals.update(((label, measure), estimate) for measure, estimate in zip(values, found))
