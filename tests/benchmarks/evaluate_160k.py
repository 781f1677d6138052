"""Full ranking for 160,000 people over 13,000 movies: peak memory and people a second.

    python tests/benchmarks/evaluate_160k.py [--users N] [--movies N] [--model popularity|factors]

The data is made up (popularity falls as a power of the rank, 40 ratings a person). `factors` scores by a product of
64-column matrices, as the SVD and iALS do; `popularity` costs nothing itself, so it shows what evaluation adds.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import resource
import sys
import time
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.data.interactions import Interactions
from recommender.evaluate import beyond_accuracy, protocols, run
from recommender.learn.base import Ranker
from recommender.learn.baselines import MostPopular


class Factors(Ranker):
    """Random user and movie vectors: the cost of a factor model without its fitting."""

    name = "factors"

    def fit(self, train):
        rng = np.random.default_rng(0)
        self.movie_ids = train.movie_ids
        self.users = rng.standard_normal((train.n_users, 64)).astype(np.float32)
        self.movies = rng.standard_normal((64, train.n_movies)).astype(np.float32)
        return self

    def _score(self, history, user_rows, at):
        return self.users[user_rows] @ self.movies


def made_up(n_users: int, n_movies: int, per_user: int = 40) -> Interactions:
    """Return ratings of distinct movies in order of time; popularity falls as a power of the rank."""
    rng = np.random.default_rng(1)
    weights = 1 / (np.arange(n_movies) + 10.0)
    edges = np.cumsum(weights / weights.sum())
    drawn = np.sort(np.searchsorted(edges, rng.random((n_users, per_user))).clip(max=n_movies - 1), axis=1)
    first = np.column_stack([np.ones(n_users, dtype=bool), drawn[:, 1:] != drawn[:, :-1]])
    n = int(first.sum())
    return Interactions(
        user_ids=np.arange(n_users, dtype=np.int64),
        movie_ids=np.arange(n_movies, dtype=np.int64),
        indptr=np.concatenate(([0], np.cumsum(first.sum(axis=1)))),
        movie_rows=drawn[first].astype(np.int32),
        ratings=rng.integers(1, 11, n).astype(np.float32) / 2,
        times=np.arange(n, dtype=np.int64),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=160_000)
    parser.add_argument("--movies", type=int, default=13_000)
    parser.add_argument("--model", choices=("popularity", "factors"), default="factors")
    arguments = parser.parse_args()
    data = made_up(arguments.users, arguments.movies)
    case = protocols.per_user(data)
    print(f"{data.n_ratings:,} ratings, {case.n_users:,} people evaluated, memory so far {peak():,.0f} MB")
    make = {"popularity": MostPopular, "factors": Factors}[arguments.model]
    started = time.perf_counter()
    ranking = run.rank(make, case, 20)
    ranked = time.perf_counter()
    genres = np.random.default_rng(2).random((arguments.movies, 20)) < 0.1
    _, overall = beyond_accuracy.score_lists(case, ranking.rows, (10, 20), genres)
    scored = time.perf_counter()
    speed = case.n_users / (ranked - started)
    print(f"{arguments.model}: rank {ranked - started:.1f} s = {speed:,.0f} people a second")
    print(f"all metrics at 10 and 20: {scored - ranked:.1f} s; coverage {overall['coverage@20']:.3f}")
    whole = 4e-9 * arguments.users * arguments.movies
    print(f"peak memory {peak():,.0f} MB (all scores at once would be {whole:.1f} GB)")


def peak() -> float:
    """Return the most memory that this process has held, in MB (Linux counts in KB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
