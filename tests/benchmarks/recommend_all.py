"""Lists for everybody beside the bare matrix products: 162,000 people x 13,000 movies, SVD of rank 50, top 20.

    python -m tests.benchmarks.recommend_all [--users 162000]

One thread, CSV written. The products alone are those of the same blocks of users; memory is the peak of the process.
"""

import resource
import tempfile
from pathlib import Path

import numpy as np

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.everybody import BLOCK, write_lists
from recommender.learn.base import best_unseen
from recommender.learn.svd import SvdModel
from tests.benchmarks.tools import flags, timed


def main() -> None:
    n_users, n_movies, k, each = flags(__doc__, users=162_000).users, 13_000, 50, 150
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

    users, allowed = rng.standard_normal((n_users, k)).astype(np.float32), np.ones(n_movies, dtype=bool)
    blocks = [np.arange(low, min(low + BLOCK, n_users)) for low in range(0, n_users, BLOCK)]
    bare, _ = timed(lambda: [len(users[block] @ model.movie_embeddings_.T) for block in blocks])
    ranked, _ = timed(lambda: [best_unseen(model.score(history, block), history, block, 20) for block in blocks])
    with tempfile.TemporaryDirectory() as folder:
        asked = (range(n_users), 20, 0, allowed, {}, lambda done, total: None)
        written, _ = timed(write_lists, Path(folder, "all.csv"), model, history, catalog, *asked)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{n_users:,} users x {n_movies:,} movies: products {bare:.1f} s, ranked {ranked:.1f} s, {ranked / bare:.2f}x"
    )
    each_user = written / n_users * 1e6
    print(f"written as CSV {written:.1f} s, {written / bare:.2f}x, {each_user:.0f} us a user; {memory:.2f} GB")


if __name__ == "__main__":
    main()
