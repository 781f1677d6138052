"""The inverse that EASE needs, in float32: blocked Cholesky beside LAPACK's `potri`, and `numpy.linalg.inv`.

    python -m tests.benchmarks.ease_inverse --movies 13181 --repeats 1

Prints the processor seconds of each, medians, the ratios, and the largest entry of |G P - I| in 64 random columns, in
float64. G is a Gram matrix of random ratings with EASE's ridge on its diagonal. One thread; every method may overwrite
its copy of G, and leaves both halves filled. scipy (pip install scipy) has `potri`.
"""

from functools import partial
from statistics import median

import numpy as np
from scipy.linalg import lapack

from recommender.linalg.cholesky import inverse
from tests.benchmarks.tools import flags, in_turns, ratio


def potri(G: np.ndarray) -> np.ndarray:
    factor, failed = lapack.spotrf(G.T, lower=0, clean=0, overwrite_a=1)  # G' is G in the order of Fortran
    P, failed_too = lapack.spotri(factor, lower=0, overwrite_c=1)
    assert not failed and not failed_too  # noqa: PT018
    for low in range(0, len(P), 512):  # the upper half mirrored, a block of columns at a time
        high = low + 512
        P[low:high, low:high] = np.triu(P[low:high, low:high]) + np.triu(P[low:high, low:high], 1).T
        P[high:, low:high] = P[low:high, high:].T
    return P


METHODS = {"blocked Cholesky": inverse, "LAPACK potrf, potri": potri, "numpy.linalg.inv": np.linalg.inv}


def main() -> None:
    given, rng = flags(__doc__, movies=3650, repeats=3), np.random.default_rng(0)
    n = given.movies
    popularity = rng.pareto(1.2, n) + 0.05
    chance = np.minimum(popularity / popularity.max(), 0.5).astype(np.float32)
    X = (rng.random((n // 2, n), dtype=np.float32) < chance).astype(np.float32)
    G = X.T @ X
    del X
    G[np.diag_indices_from(G)] += 150
    columns = rng.integers(0, n, 64)
    for name, method in METHODS.items():
        identity = G.astype(np.float64) @ method(G.copy())[:, columns]
        identity[columns, np.arange(64)] -= 1
        print(f"{n:,} movies, {name}: largest error {np.abs(identity).max():.1e}", flush=True)
    seconds = in_turns({name: partial(lambda way: way(G.copy()), way) for name, way in METHODS.items()}, given.repeats)
    for name, spent in seconds.items():
        ours = ratio(seconds["blocked Cholesky"], spent)
        print(f"{name:<21} {median(spent):7.2f} s   ours / this {ours:.2f}")


if __name__ == "__main__":
    main()
