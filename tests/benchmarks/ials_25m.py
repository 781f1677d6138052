"""One iALS sweep on 25 million ratings: ours against the `implicit` package, one thread, the same loss.

    python tests/benchmarks/ials_25m.py [--factors 50] [--repeats 3] [--ratings 25000000]

`implicit` is needed beside what the project needs (pip install implicit). Both start from the same vectors, take three
conjugate-gradient steps a row with the same confidences and the same regularization, and sweep in turns, so that
whatever else the machine does falls on both. The two losses after the last sweep differ by rounding.
Times are processor seconds of the sweep alone; what each does once before the first sweep is printed beside them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.data.interactions import Interactions
from recommender.learn.ials import transposed
from recommender.linalg.conjugate_gradient import blocks_of_rows, conjugate_gradient
from tests.benchmarks.synthetic import synthetic_interactions

LAMBDA, ALPHA, CG_STEPS = 20.0, 3.0, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--factors", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each")
    parser.add_argument("--ratings", type=int, default=25_000_000)
    parser.add_argument("--data", type=Path, help="a file of Interactions.save, in place of synthetic ratings")
    arguments = parser.parse_args()
    data = arguments.data and Interactions.load(arguments.data)
    if data is None:
        scale = arguments.ratings / 25e6
        data = synthetic_interactions(round(162e3 * scale), 13_000, arguments.ratings, np.random.default_rng(0))
    weights = (ALPHA * np.where(data.ratings >= 4, 1.0, 0.3)).astype(np.float32)
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users, {data.n_movies:,} movies, {arguments.factors} factors")

    ours = prepare_ours(data, weights, arguments.factors)
    base = _peak_gb()
    theirs = prepare_implicit(data, weights, arguments.factors)
    seconds: dict[str, list[float]] = {"ours": [], "implicit": []}
    vectors = {name: first_vectors(data, arguments.factors) for name in seconds}
    for number in range(arguments.repeats):
        for name, sweep in (("ours", ours), ("implicit", theirs)):
            start = time.process_time()
            sweep(*vectors[name])
            seconds[name].append(time.process_time() - start)
        print(f"sweep {number + 1}: ours {seconds['ours'][-1]:.2f} s, implicit {seconds['implicit'][-1]:.2f} s")
    values = [loss(data, weights, *vectors[name]) for name in seconds]
    print(f"loss {values[0]:.7g} and {values[1]:.7g}, relative difference {abs(values[0] / values[1] - 1):.1e}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"median: ours {medians['ours']:.2f} s, implicit {medians['implicit']:.2f} s, "
        f"ratio {medians['ours'] / medians['implicit']:.2f}"
    )
    print(f"peak memory: {base:.2f} GB with the data and our structure, {_peak_gb():.2f} GB with implicit's beside it")


Sweep = Callable[[np.ndarray, np.ndarray], None]


def prepare_ours(data: Interactions, weights: np.ndarray, k: int) -> Sweep:
    start = time.process_time()
    by_user = blocks_of_rows(data.indptr, data.movie_rows, weights, data.n_movies, k)
    by_movie = blocks_of_rows(*transposed(data.indptr, data.movie_rows, weights, data.n_movies), data.n_users, k)
    print(f"ours, once: {time.process_time() - start:.2f} s, {len(by_user)} and {len(by_movie)} blocks")
    user_ridge = np.full(data.n_users, LAMBDA, dtype=np.float32)
    movie_ridge = np.full(data.n_movies, LAMBDA, dtype=np.float32)

    def sweep(X: np.ndarray, Y: np.ndarray) -> None:
        conjugate_gradient(X, Y, by_user, user_ridge, CG_STEPS)
        conjugate_gradient(Y, X, by_movie, movie_ridge, CG_STEPS)

    return sweep


def prepare_implicit(data: Interactions, weights: np.ndarray, k: int) -> Sweep:
    """implicit.cpu.als' own sweep: what its `fit` calls once an iteration, with its transposed copy made before."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    start = time.process_time()
    confidence = csr_matrix((1 + weights, data.movie_rows, data.indptr), (data.n_users, data.n_movies))
    transposed_confidence = confidence.T.tocsr()
    print(f"implicit, once: {time.process_time() - start:.2f} s")
    model = AlternatingLeastSquares(k, regularization=LAMBDA, use_cg=True, num_threads=1)
    model.cg_steps = CG_STEPS
    solve = model.solver

    def sweep(X: np.ndarray, Y: np.ndarray) -> None:
        solve(confidence, X, Y, LAMBDA, num_threads=1)
        solve(transposed_confidence, Y, X, LAMBDA, num_threads=1)

    return sweep


def first_vectors(data: Interactions, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    shape = [(data.n_users, k), (data.n_movies, k)]
    X, Y = (rng.normal(0, 0.1 / np.sqrt(k), size).astype(np.float32) for size in shape)
    return X, Y


def loss(data: Interactions, weights: np.ndarray, X: np.ndarray, Y: np.ndarray) -> float:
    """Return the loss over all cells in float64: unobserved ones through the Gram matrices."""
    X64, Y64 = X.astype(np.float64), Y.astype(np.float64)
    total = float(np.sum((X64.T @ X64) * (Y64.T @ Y64))) + LAMBDA * float(np.sum(X64**2) + np.sum(Y64**2))
    people = data.user_rows()
    for low in range(0, data.n_ratings, 1 << 18):
        part = slice(low, low + (1 << 18))
        s = np.einsum("nk,nk->n", X64[people[part]], Y64[data.movie_rows[part]])
        total += float(np.sum((1 + weights[part]) * (1 - s) ** 2 - s**2))
    return total


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
