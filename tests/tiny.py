"""A processed folder of nine movies whose vectors, and therefore scores, can be worked out by hand."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Optional

import numpy as np
import pandas as pd

from recommender import Recommender, cli
from recommender.data import artifacts
from recommender.data.interactions import Interactions
from recommender.data.splits import KIND, REMEDY
from recommender.evaluate import run
from recommender.learn.base import Ranker
from recommender.learn.stacker import Stacker
from recommender.learn.svd import SvdModel
from recommender.models import Models

DAY = 86_400
# id, title, genres, ratings in train, vector
FILMS = [
    (1, "Alpha (1980)", "Action", 10, (1, 0)),
    (2, "Beta, The (1981)", "Action", 20, (1, 0)),
    (3, "Gamma (Gamma Prime) (1982)", "Action|War", 30, (0.9, 0.1)),
    (4, "Delta (1983)", "Drama", 40, (0, 1)),
    (5, "Epsilon (1984)", "Drama", 5, (0.1, 0.9)),
    (6, "Zeta (1990)", "Action|Drama", 15, (0.5, 0.5)),
    (7, "Zeta (2005)", "Drama|War", 25, (0.2, 0.6)),
    (8, "Théta (1999)", "Action", 8, (0.8, -0.2)),
    (9, "Iota (2001)", "Comedy", 12, (0.3, 0.3)),
]


def make_processed(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    listed = ["movieId,title,year,genres,director,cast,keywords,overview"]
    for movie_id, title, genres, _, _ in FILMS:
        about = "Ann Lee,Bo Ray; Cy Day,heist,A movie about things." if movie_id == 2 else ",,,"
        quote = '"' if "," in title else ""
        listed.append(f"{movie_id},{quote}{title}{quote},{title[-5:-1]},{genres},{about}")
    (folder / "movie_metadata.csv").write_text("\n".join([*listed, ""]), encoding="utf-8")
    ids, _, _, counts, vectors = zip(*FILMS)
    (folder / "movie_popularity.json").write_text(json.dumps(dict(zip(ids, counts))))
    model = SvdModel(rank=2)
    model.movie_ids, model.movie_counts_, model.newest_ = np.array(ids), np.array(counts), np.array([0])
    model.movie_embeddings_, model.singular_values_ = np.array(vectors, dtype=np.float32), np.ones(2, np.float32)
    model.user_ids_, model.user_embeddings_ = np.array([1]), np.ones((1, 2), np.float32)
    model.save(folder / "artifacts" / "svd")
    return folder


def planted_tastes(n_users: int, genre: np.ndarray, n_each: int, rng: np.random.Generator) -> Interactions:
    """Person u rates `n_each` random movies, one after another: 5 for genre u modulo the number of genres, else 2."""
    columns = [
        (user, 10 + movie, 5 if genre[movie] == user % (max(genre) + 1) else 2, 1000 * user + place)
        for user in range(n_users)
        for place, movie in enumerate(rng.permutation(len(genre))[:n_each])
    ]
    return Interactions.from_columns(*np.array(columns).T, movie_vocabulary=np.arange(10, 10 + len(genre)))


def load_final_rating(folder: Path, name: str) -> np.ndarray:
    """Return the `weighted` signal that the preprocessing stored for the part `name`, in the order of `load_split`."""
    manifest = artifacts.read_manifest(folder, KIND, REMEDY)
    artifacts.check_files(folder, manifest, [f"{name}_transformed.csv"], REMEDY)
    return np.asarray(pd.read_csv(folder / f"{name}_transformed.csv")["final_rating"], np.float32)


def random_ratings(seed: int = 0, n_users: int = 40, n_movies: int = 15, days: int = 0, step: int = 1) -> Interactions:
    """Return two fifths of all cells with any stars; ids in steps, the last movie unrated where they are above 1."""
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(n_users * n_movies) < 0.4)
    times = rng.integers(days * DAY, size=len(cells)) if days else rng.permutation(len(cells))
    stars = rng.integers(1, 11, len(cells)) / 2
    vocabulary = step * np.arange(n_movies + (step > 1))
    return Interactions.from_columns(step * (cells // n_movies), step * (cells % n_movies), stars, times, vocabulary)


class Made(Ranker):
    """Scores by a function of the training data, the users' rows and the moments; counts how often it was fitted."""

    name = "made"
    fits = 0

    def __init__(self, score: Callable[..., np.ndarray], is_rating: bool = False) -> None:
        super().__init__()
        self.score_by, self.scores_are_ratings = score, is_rating

    def _fit(self, train):
        self.train = train
        Made.fits += 1

    def _score(self, history, user_rows, at):
        rows, moments = np.asarray(user_rows)[:, None], None if at is None else np.asarray(at)[:, None]
        scores = np.broadcast_to(self.score_by(self.train, rows, moments), (len(user_rows), history.n_movies))
        return scores.astype(np.float32)


def fixed(scores) -> Made:
    return Made(lambda *_: np.asarray(scores))


def rank(make, case, n, checkpoint=None, progress=None) -> run.Ranking:
    """The n best unseen movies of each user, by the models that `make` gives."""
    options = run.Options(ks=(n,), checkpoint=checkpoint)
    options = options._replace(start_progress=lambda label: progress) if progress else options
    return run.rank(run.Spec("model", "model", make=lambda catalog: make()), case, None, options)


def all_scores(stacker: Stacker, data: Interactions, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the scores that a stacker gives its candidates where all movies are candidates, (B, n_movies, 10)."""
    columns, _, scores = stacker.scores(data, rows, at, data.n_movies)
    return scores[np.arange(len(rows))[:, None], np.argsort(columns, axis=1)]


def with_own_models(recommender: Recommender) -> Recommender:
    """Return the same recommender, texts and all, without the models that were fitted or opened so far."""
    again = copy.copy(recommender)
    again.models = Models(again.folder, again.catalog, again.backend, again.notes.append)
    return again


def as_program(main: Callable[[list[str]], object], *flags: object) -> NoReturn:
    """Run a program on the descriptors 0, 1 and 2 of a forked process, as a fresh interpreter would, and end."""
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    code = 1
    try:
        cli.run(lambda _: main([*map(str, flags)]))
    except SystemExit as end:
        code = int(end.code or 0)
        sys.stderr.flush()
    finally:
        os._exit(code)


def in_child(work: Callable[..., object], *arguments: object) -> int:
    """Start `work` in a forked process; return its id."""
    if child := os.fork():
        return child
    try:
        work(*arguments)
        os._exit(0)
    finally:
        os._exit(1)


def start(main: Callable[[list[str]], object], *flags: object, on: dict[int, Path], first: Any = None) -> int:
    """Start a program in a forked process with descriptors `on` files, after `first()`; return its id."""

    def begin() -> None:
        for descriptor, path in on.items():
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
        if first:
            first()
        as_program(main, *flags)

    return in_child(begin)


def exit_code(process: int) -> int:
    """Wait for a process that `in_child` or `start` began; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run_on(
    typed: bytes, out: Optional[str], folder: Path, main: Callable[..., object], *flags: object
) -> tuple[int, str]:
    """Run a program that is typed to and prints to a file `out`, or to a pipe that nobody reads; code and errors."""
    (folder / "typed").write_bytes(typed)
    (folder / "errors").write_text("")
    reader, writer = os.pipe()
    os.close(reader)
    on = {0: folder / "typed", 2: folder / "errors", **({1: folder / out} if out else {})}
    process = start(main, *flags, on=on, first=None if out else lambda: os.dup2(writer, 1))
    os.close(writer)
    return exit_code(process), (folder / "errors").read_text()
