"""Our indexes beside FAISS, one thread, interleaved repeats in one process; medians, and ratios of ours to FAISS.

    PYTHON -m tests.benchmarks.indexes [--million] [--data ml.zip]

PYTHON: one with faiss-cpu, hnswlib and our own dependencies. Exact: the 20 nearest of random vectors of 64 dimensions,
for one query and for 100. HNSW: recall@20 and milliseconds a query, on vectors in 1,000 clusters, and with --data on
the movie vectors of an SVD, queried with those of its users.
"""

import time
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from model.evaluate import read_set
from recommender.learn.svd import SvdModel
from recommender.retrieve import ExactIndex, HnswIndex
from tests.benchmarks.tools import flags, ratio

K, D = 20, 64


def seconds(call, *given):
    start = time.perf_counter()
    call(*given)
    return time.perf_counter() - start


def exact(n: int, n_queries: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, D)).astype(np.float32)
    queries = rng.standard_normal((repeats, n_queries, D)).astype(np.float32)
    ours, theirs = ExactIndex(vectors), faiss.IndexFlatIP(D)
    theirs.add(vectors)
    rows, others = ours.search(queries[0], K)[0], theirs.search(queries[0], K)[1]
    assert np.mean([len({*a} & {*b}) for a, b in zip(rows.tolist(), others.tolist())]) > K - 0.1
    times = list(zip(*[(seconds(ours.search, block, K), seconds(theirs.search, block, K)) for block in queries]))
    mine, faiss_ = (1e3 * median(each) for each in times)
    print(f"exact  n {n:>9,}  queries {n_queries:>3}  ours {mine:9.3f} ms  FAISS {faiss_:9.3f} ms", end="  ")
    print(f"ratio {ratio(*times):.2f}")


def hnsw(name: str, vectors: np.ndarray, queries: np.ndarray) -> None:
    true = ExactIndex(vectors).search(queries, K)[0]
    start = time.perf_counter()
    index = HnswIndex(vectors)
    built = time.perf_counter() - start
    rows = index.search(queries, K)[0]
    recall = np.mean([len({*a} & {*b}) / K for a, b in zip(rows.tolist(), true.tolist())])
    times = [seconds(index.search, query, K) for query in queries]
    print(
        f"HNSW   {name}: {len(vectors):,} x {vectors.shape[1]}, recall@{K} {recall:.4f}, "
        f"{median(times) * 1e3:.3f} ms a query, built in {built:.0f} s"
    )


def main() -> None:
    given = flags(__doc__, million=False, data=Path)  # a million takes minutes and 2 GB
    faiss.omp_set_num_threads(1)
    for n in (10_000, 62_000, *([1_000_000] if given.million else [])):
        exact(n, 1, 3_000_000 // n + 20)
        exact(n, 100, 300_000 // n + 9)
    rng = np.random.default_rng(0)
    n = 1_000_000 if given.million else 50_000
    centers = rng.standard_normal((1000, D))
    near = [centers[rng.integers(0, 1000, m)] + 0.5 * rng.standard_normal((m, D)) for m in (n, 1000)]
    hnsw("clusters", *(part.astype(np.float32) for part in near))
    if given.data:
        data, catalog = read_set(given.data, "all")
        model = SvdModel(rank=D)
        model.catalog = catalog
        model.fit(data)
        movies, users = (part[part.any(axis=1)] for part in (model.movie_embeddings_, model.user_embeddings_))
        users = users[np.linalg.norm(users, axis=1) > 1e-6]
        hnsw("SVD", movies.astype(np.float32), users[:1000].astype(np.float32))


if __name__ == "__main__":
    main()
