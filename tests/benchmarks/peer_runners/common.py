"""What every runner does: read a job, run it on each stage, write what came of it.

    <python of the peer's environment> run_NAME.py FOLDER

FOLDER holds `job.json` and `stage-S.npz` (see exchange.py). For stage S a runner writes `result-S.npz`: `lists`
(n_people, n) movie rows, or `ratings` (n_pairs,), and `seconds`; the last line of stderr says why a peer failed.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np


class Ratings(NamedTuple):
    """Compressed rows: user u rated `movies[indptr[u]:indptr[u + 1]]`."""

    indptr: np.ndarray
    movies: np.ndarray
    values: np.ndarray
    n_movies: int

    def users(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def likes(self) -> Ratings:
        """Return the ratings of 4 stars or more, each as 1."""
        keep = self.values >= 4
        before = np.concatenate(([0], np.cumsum(keep)))
        return Ratings(before[self.indptr], self.movies[keep], np.ones(keep.sum(), self.values.dtype), self.n_movies)

    def csr(self) -> Any:
        from scipy import sparse

        shape = (len(self.indptr) - 1, self.n_movies)
        matrix = sparse.csr_matrix((self.values, self.movies, self.indptr.astype(np.int32)), shape=shape)
        matrix.sort_indices()
        return matrix

    def dense(self) -> np.ndarray:
        matrix = np.zeros((len(self.indptr) - 1, self.n_movies), dtype=np.float64)
        matrix[self.users(), self.movies] = self.values
        return matrix


class Stage(NamedTuple):
    """Fit on `train`; rank for rows `people` of `history`; or predict the ratings of (pair_users, pair_movies)."""

    train: Ratings
    history: Ratings
    people: np.ndarray
    pair_users: np.ndarray
    pair_movies: np.ndarray


Model = Callable[..., np.ndarray]


def main(rankers: Mapping[str, Model], raters: Mapping[str, Model]) -> None:
    """Run the job of the folder named on the command line.

    A ranker takes a stage and settings and returns scores (n_people, n_movies); a rater returns (n_pairs,) ratings.
    """
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    name, settings = job["model"], job["settings"]
    for s in range(job["n_stages"]):
        file = np.load(folder / f"stage-{s}.npz")
        kinds, n = ("indptr", "movies", "ratings"), int(file["n_movies"])
        train, history = (Ratings(*(file[f"{of}_{kind}"] for kind in kinds), n) for of in ("train", "history"))
        stage = Stage(train, history, file["people"], file["pair_users"], file["pair_movies"])
        started = time.perf_counter()
        if name in raters:
            result = {"ratings": np.asarray(raters[name](stage, **settings), dtype=np.float32)}
        else:
            scores = np.asarray(rankers[name](stage, **settings), dtype=np.float64)
            result = {"lists": top_unseen(scores, stage, job["n"])}
        np.savez(folder / f"result-{s}.npz", seconds=np.array(time.perf_counter() - started), **result)


def matrices(stage: Stage, values: str) -> tuple[Ratings, Ratings]:
    """Return train and histories as `values`: "likes" (1 for 4 stars or more) or "ratings"."""
    if values == "likes":
        return stage.train.likes(), stage.history.likes()
    return stage.train, stage.history


def both(model: Model, name: str) -> dict[str, Model]:
    """Return `model`, whose second argument is `values`, under two names."""

    def on(values: str) -> Model:
        return lambda stage, **settings: model(stage, values, **settings)

    return {f"{name} {values}": on(values) for values in ("likes", "ratings")}


def top_unseen(scores: np.ndarray, stage: Stage, n: int) -> np.ndarray:
    """Return the n best movies that each person has not rated, (n_people, n) int32, equal scores by ascending row."""
    scores = np.where(np.isnan(scores), np.finfo(scores.dtype).min, scores)
    for line, row in enumerate(stage.people):
        scores[line, stage.history.movies[stage.history.indptr[row] : stage.history.indptr[row + 1]]] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, best).astype(np.int32)
