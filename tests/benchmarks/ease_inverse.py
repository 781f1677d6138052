"""The inverse that EASE needs, in float32: blocked Cholesky against `numpy.linalg.inv`, in the same run.

Prints the seconds of each, their ratio, and the largest entry of |G P - I| in 64 random columns, in float64. G is a
Gram matrix of synthetic ratings with EASE's ridge on its diagonal.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time

import numpy as np

from recommender.linalg.cholesky import inverse


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the inverse of EASE's Gram matrix.")
    parser.add_argument("--movies", type=int, default=3650)
    n, rng = parser.parse_args().movies, np.random.default_rng(0)
    popularity = rng.pareto(1.2, n) + 0.05
    chance = np.minimum(popularity / popularity.max(), 0.5).astype(np.float32)
    X = (rng.random((2 * n, n), dtype=np.float32) < chance).astype(np.float32)
    G = X.T @ X
    G[np.diag_indices_from(G)] += 150
    columns = rng.integers(0, n, 64)
    seconds = []
    for name, method in (
        ("blocked Cholesky", lambda: inverse(G.copy())),
        ("numpy.linalg.inv", lambda: np.linalg.inv(G)),
    ):
        begin = time.perf_counter()
        P = method()
        seconds.append(time.perf_counter() - begin)
        identity = G.astype(np.float64) @ P[:, columns]
        identity[columns, np.arange(64)] -= 1
        print(f"{n} movies, {name}: {seconds[-1]:.2f} s, largest error {np.abs(identity).max():.1e}", flush=True)
    print(f"ratio {seconds[0] / seconds[1]:.2f}")


if __name__ == "__main__":
    main()
