"""`Recommender.recommend` on the shipped data: seconds of the first and of later calls, and how well a list of ratings
is served by models that never saw the person.

    python -m tests.benchmarks.recommend
    python -m tests.benchmarks.recommend --fold-in ease,svd,two_tower --data data/ml-latest-small.zip --set A

A figure stands beside its alternative: a stored model beside one that is fitted, a list beside being in the data.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional

import numpy as np

from model import train_ranking_model
from model.evaluate import read_set
from recommender import Recommender, ranking
from recommender.data.settings import default_folder
from recommender.evaluate import protocols
from recommender.evaluate.run import ranking_quality
from recommender.evaluate.significance import bootstrap
from recommender.learn import registry
from recommender.learn.base import best_unseen
from tests.benchmarks.tools import flags

FIRST = """
import time
from recommender import Recommender
started = time.perf_counter()
recommender = Recommender.load({folder!r})
opened = time.perf_counter()
recommender.recommend([("The Matrix", 5), ("Heat (1995)", 4)], 10, {method!r})
print(opened - started, time.perf_counter() - opened)
"""


def first_calls(folder: Path, methods: list[Optional[str]]) -> None:
    """Print the seconds of load and of the first call, each in a process of its own, best of three."""
    for method in methods:
        code = FIRST.format(folder=str(folder), method=method)
        runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
        load, call = min((tuple(map(float, run.stdout.split())) for run in runs), key=lambda pair: pair[1])
        print(f"  {method or 'default':14} load {load:6.3f} s   first call {call:7.3f} s")


def warm_calls(recommender: Recommender, methods: list[Optional[str]], n: int = 1000) -> None:
    """Print percentiles of the processor time for random users, and for their ratings as lists."""
    history = recommender.models.history
    users = np.random.default_rng(0).choice(np.flatnonzero(np.diff(history.indptr)), n)
    for method in methods:
        recommender.recommend(1, 10, method)
        for kind in ("id", "list"):
            times = []
            for row in users.tolist():
                known = history.row(row)
                given: Any = int(history.user_ids[row])
                if kind == "list":
                    ids = history.movie_ids[history.movie_rows[known]]
                    given = list(zip(ids.tolist(), history.ratings[known].tolist()))
                started = time.thread_time()
                recommender.recommend(given, 10, method)
                times.append(time.thread_time() - started)
            p50, p99 = 1e3 * np.percentile(times, [50, 99])
            print(f"  {method or 'default':14} by {kind:4}  p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


def fold_in(data: Path, name: str, methods: list[str], folds: int) -> None:
    """Print nDCG@10 of people in the data, and of the same people as lists, by models fitted on the others."""
    source = protocols.Source.from_ratings(*read_set(data, name))
    case = protocols.build(source, "per-user", "test")
    fold_of = np.random.default_rng(0).integers(folds, size=case.known.n_users)
    for method in methods:
        inside = registry.make(method, source.catalog).fit(case.known)
        rows = best_unseen(inside.score(case.known, case.user_rows, case.at), case.known, case.user_rows, 10)
        of_lists, seconds = np.full_like(rows, -1), list[float]()
        for fold in range(folds):
            others = case.known.take((fold_of != fold)[case.known.user_rows()])
            model = registry.make(method, source.catalog).fit(others)
            for line in np.flatnonzero(fold_of[case.user_rows] == fold):
                known, at = case.known.row(case.user_rows[line]), int(case.at[line])
                pairs = zip(case.known.movie_rows[known].tolist(), case.known.ratings[known].tolist())
                started = time.perf_counter()
                history = ranking.history_of(list(pairs), int, case.known.movie_ids, at)
                of_lists[line] = best_unseen(model.score(history, [0], [at]), history, np.array([0]), 10)
                seconds.append(time.perf_counter() - started)
        values = np.column_stack([case.accuracy(each, (10,))["ndcg@10"] for each in (rows, of_lists)])
        both, lists = values.mean(axis=0)
        low, high = bootstrap(values[:, 1:] - values[:, :1], 2000, np.random.default_rng(0))[0][1:3]
        print(
            f"  {method:14} in the data {both:.4f}   as a list {lists:.4f}   {lists / both - 1:+.1%} "
            f"({low / both:+.1%} to {high / both:+.1%})   p99 {1e3 * np.percentile(seconds, 99):.1f} ms"
        )
        assert np.isclose(both, ranking_quality(inside, case))


def main() -> None:
    # store: models to store first.  fold_in: compare a list with being in the data.  folds: each kept from a fit
    given = flags(__doc__, store="ease", fold_in="", data=Path("data/ml-latest-small.zip"), folds=20, set="B")
    if given.fold_in:
        print(f"nDCG@10, set {given.set}, the same people in the data and as lists:")
        return fold_in(given.data, given.set, given.fold_in.split(","), given.folds)
    stored = given.store.split(",")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(default_folder("processed"), Path(place) / "processed"))
        print("first call, fitted:")
        first_calls(folder, [*filter(lambda name: name != "stacker", stored), "svd"])
        for name in stored:
            train_ranking_model.main(["--processed", str(folder), "--method", name])
        print("first call, stored:")
        first_calls(folder, [None, "two_tower", *stored])
        print("warm calls:")
        warm_calls(Recommender.load(folder), [None, "two_tower", "svd", "embedding", *stored])


if __name__ == "__main__":
    main()
