"""Dask with two local workers against one process, and people times four: the SVD and the lists of everybody.

    python -m tests.benchmarks.dask_scale [--ratings 24700000] [--repeats 3] [--folder DIR]

In turns: one process, two workers, two workers with the same people four times over (partitions repeated, so that films
and tastes stay), the last once. The ratings are mapped files; one thread each. Seconds are what passed, without the
start of the workers, which is beside it. Medians; the ratio is that of each turn. `--folder` keeps the made-up ratings.
"""

import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.everybody import write_lists
from recommender.learn.svd import SvdModel
from recommender.linalg.engine import DaskEngine, Engine
from tests.benchmarks.synthetic import KEPT, synthetic_interactions
from tests.benchmarks.tools import flags

N_USERS, N_MOVIES, N_RATINGS = KEPT
TIMES, LISTED = 4, 20  # people; movies in a list


def repeated(data: Interactions) -> Interactions:
    """Return the same people TIMES over, as different ones."""
    users = (data.user_ids + at * (data.user_ids[-1] + 1) for at in range(TIMES))
    indptr = [data.indptr[1:] + at * data.n_ratings for at in range(TIMES)]
    columns = (np.tile(column, TIMES) for column in (data.movie_rows, data.ratings, data.times))
    return Interactions(np.concatenate([*users]), data.movie_ids, np.concatenate([[0], *indptr]), *columns)


def stored(folder: Path, make: Callable[[], Interactions]) -> Interactions:
    """Return what `make` makes, mapped from a folder that has it or will."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        make().save(folder)
    return Interactions.load(folder)


def measure(start: Callable[[], Engine], work: Callable[[Engine], object]) -> tuple[float, float, str, object]:
    """Return seconds of the work and of the start; the memory of the workers; what `work` returned."""
    began = time.perf_counter()
    with start() as engine:
        ready = time.perf_counter()
        result = work(engine)
        return time.perf_counter() - ready, ready - began, engine.memory(), result


def two() -> Engine:
    return DaskEngine(n_workers=2, memory_limit="4GB")


def fit(data: Interactions, engine: Engine) -> np.ndarray:
    model = SvdModel(signal="ones")
    model.engine = engine
    model.fit(data)
    return model.singular_values_


def main() -> None:
    given = flags(__doc__, ratings=N_RATINGS, repeats=3, folder=Path)
    share = given.ratings / N_RATINGS
    with tempfile.TemporaryDirectory() as temporary:
        folders = [(given.folder or Path(temporary)) / f"{given.ratings} x {times}" for times in (1, TIMES)]
        sizes = (int(N_USERS * share), int(N_MOVIES * share**0.5), given.ratings)
        data = stored(folders[0], lambda: synthetic_interactions(*sizes, np.random.default_rng(0)))
        compare(data, stored(folders[1], lambda: repeated(data)), given.repeats)


def compare(data: Interactions, many: Interactions, repeats: int) -> None:
    catalog = Catalog([{"movieId": str(i), "title": f"M {i} (2000)"} for i in data.movie_ids])
    ranker = SvdModel(signal="ones").fit(data)
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies; x {TIMES} people")

    def lists(data: Interactions, engine: Engine) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path, allowed = Path(folder, "all.csv"), np.ones(data.n_movies, dtype=bool)
            asked = (range(data.n_users), LISTED, 0, allowed, {}, lambda done, total: None)
            write_lists(path, ranker, data, catalog, *asked, engine)
            with open(path, "rb") as file:
                return file.read(1 << 20)

    for what, work in (("SVD", fit), ("recommend_all", lists)):
        runs = (("one process", Engine, data), ("two workers", two, data), (f"x {TIMES} people", two, many))
        seconds, said = np.full((repeats, len(runs), 2), np.nan), [""] * len(runs)  # work, start
        results: list[object] = [None] * len(runs)
        for repeat in range(repeats):
            for at, (_, start, people) in enumerate(runs[: 2 if repeat else 3]):
                *seconds[repeat, at], said[at], results[at] = measure(start, functools.partial(work, people))
        for (name, _, _), (spent, began), memory in zip(runs, np.nanmedian(seconds, axis=0), said):
            print(f"  {what}, {name:<12} {spent:6.1f} s, start {began:.1f} s  {memory}")
        ratio, growth = (np.nanmedian(seconds[:, a, 0] / seconds[:, b, 0]) for a, b in ((1, 0), (2, 1)))
        print(f"  two workers / one process: {ratio:.2f}; x {TIMES} people: {growth:.2f}")
        one, other = results[:2]
        off = float(np.abs(one / other - 1).max()) if what == "SVD" else float(one != other)
        print(f"  largest difference of the results {off:.1e}; load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
