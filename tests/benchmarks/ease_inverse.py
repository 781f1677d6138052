"""The inverse that EASE needs, in float32: blocked Cholesky beside LAPACK's `potri`, and `numpy.linalg.inv`.

    python -m tests.benchmarks.ease_inverse --movies 13181 --repeats 1

Prints the processor seconds of each, medians, the ratios, and the largest entry of |G P - I| in 64 random columns, in
float64. G is a Gram matrix of random ratings with EASE's ridge on its diagonal. One thread; every method may overwrite
its copy of G, whose making is not counted, and leaves both halves filled. scipy (pip install scipy) has `potri`.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse

import numpy as np

from recommender.linalg.cholesky import inverse
from tests.benchmarks.synthetic import timed


def potri(G: np.ndarray) -> np.ndarray:
    from scipy.linalg import lapack

    factor, failed = lapack.spotrf(G.T, lower=0, clean=0, overwrite_a=1)  # G' is G in the order of Fortran
    P, failed_too = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too:
        raise SystemExit("LAPACK found no inverse")
    for low in range(0, len(P), 512):  # the upper half mirrored, a block of columns at a time
        high = low + 512
        P[low:high, low:high] = np.triu(P[low:high, low:high]) + np.triu(P[low:high, low:high], 1).T
        P[high:, low:high] = P[low:high, high:].T
    return P


METHODS = {"blocked Cholesky": inverse, "LAPACK potrf, potri": potri, "numpy.linalg.inv": np.linalg.inv}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the inverse of EASE's Gram matrix.")
    parser.add_argument("--movies", type=int, default=3650)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    n, rng = given.movies, np.random.default_rng(0)
    popularity = rng.pareto(1.2, n) + 0.05
    chance = np.minimum(popularity / popularity.max(), 0.5).astype(np.float32)
    X = (rng.random((n // 2, n), dtype=np.float32) < chance).astype(np.float32)
    G = X.T @ X
    del X
    G[np.diag_indices_from(G)] += 150
    columns = rng.integers(0, n, 64)
    seconds = np.empty((given.repeats, len(METHODS)))
    for repeat in range(given.repeats):
        for at, (name, method) in enumerate(METHODS.items()):
            seconds[repeat, at], P = timed(method, G.copy())
            if repeat == 0:
                identity = G.astype(np.float64) @ P[:, columns]
                identity[columns, np.arange(64)] -= 1
                print(f"{n:,} movies, {name}: largest error {np.abs(identity).max():.1e}", flush=True)
            del P
    for at, name in enumerate(METHODS):
        ratio = np.median(seconds[:, 0] / seconds[:, at])
        print(f"{name:<21} {np.median(seconds[:, at]):7.2f} s   ours / this {ratio:.2f}")


if __name__ == "__main__":
    main()
