"""Lists for everybody beside the bare matrix products: 162,000 people x 13,000 movies, SVD of rank 50, top 20.

    python -m tests.benchmarks.recommend_all [--users 162000]

One thread, CSV written. The products alone are those of the same blocks of users; memory is the peak of the process.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.everybody import BLOCK, write_lists
from recommender.learn.base import best_unseen
from recommender.learn.svd import SvdModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=162_000, metavar="N")
    n_users, n_movies, k, each = parser.parse_args().users, 13_000, 50, 150
    rng = np.random.default_rng(0)
    rows = (
        rng.integers(0, n_movies, n_users, dtype=np.int32)[:, None] + np.arange(each, dtype=np.int32) * 83
    ) % n_movies
    indptr = np.arange(n_users + 1) * each
    stars = rng.integers(1, 11, n_users * each).astype(np.float32) / 2
    ids, times = np.arange(1, n_movies + 1), np.tile(np.arange(each), n_users)
    history = Interactions(np.arange(1, n_users + 1), ids, indptr, np.sort(rows, axis=1).ravel(), stars, times)
    catalog = Catalog([{"movieId": str(i), "title": f"Movie {i} (2000)", "genres": "Drama"} for i in ids])
    model = SvdModel(rank=k)
    model.movie_ids, model.movie_counts_, model.newest_ = ids, np.full(n_movies, 1000), np.array([0])
    model.movie_embeddings_ = rng.standard_normal((n_movies, k)).astype(np.float32)

    users = rng.standard_normal((n_users, k)).astype(np.float32)
    started = time.process_time()
    for low in range(0, n_users, BLOCK):
        users[low : low + BLOCK] @ model.movie_embeddings_.T
    bare = time.process_time() - started
    started = time.process_time()
    for low in range(0, n_users, BLOCK):
        block = np.arange(low, min(low + BLOCK, n_users))
        best_unseen(model.score(history, block), history, block, 20)
    ranked = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        started, allowed = time.process_time(), np.ones(n_movies, dtype=bool)
        args = (range(n_users), 20, 0, allowed, {}, lambda done, total: None)
        write_lists(Path(folder, "all.csv"), model, history, catalog, *args)
        written = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{n_users:,} users x {n_movies:,} movies: products {bare:.1f} s, ranked {ranked:.1f} s, {ranked / bare:.2f}x"
    )
    each_user = written / n_users * 1e6
    print(f"written as CSV {written:.1f} s, {written / bare:.2f}x, {each_user:.0f} us a user; {memory:.2f} GB")


if __name__ == "__main__":
    main()
