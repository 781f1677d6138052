"""One iALS sweep on 25 million ratings: ours against the `implicit` package, one thread, the same loss.

Needs `implicit` (pip install implicit). Both start from the same vectors, take three conjugate-gradient steps a row
with the same confidences and ridge, and sweep in turns. Times are processor seconds of the sweep alone; what each does
once before the first sweep is printed beside them.
"""

from functools import partial
from statistics import median

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from recommender.data.interactions import Interactions
from recommender.learn.ials import rows_by_movie
from recommender.linalg.conjugate_gradient import blocks_of_rows, conjugate_gradient
from tests.benchmarks.synthetic import KEPT, synthetic_interactions
from tests.benchmarks.tools import in_turns, ratio, timed

LAMBDA, ALPHA, CG_STEPS, REPEATS = 20.0, 3.0, 3, 3


def ours(data: Interactions, weights: np.ndarray, k: int):
    by_user = blocks_of_rows(data.indptr, data.movie_rows, weights, data.n_movies, k)
    by_movie = blocks_of_rows(*rows_by_movie(data), weights, data.n_users, k)

    def sweep(X: np.ndarray, Y: np.ndarray) -> None:
        conjugate_gradient(X, Y, by_user, LAMBDA, CG_STEPS)
        conjugate_gradient(Y, X, by_movie, LAMBDA, CG_STEPS)

    return sweep


def implicit(data: Interactions, weights: np.ndarray, k: int):
    confidence = csr_matrix((1 + weights, data.movie_rows, data.indptr), (data.n_users, data.n_movies))
    transposed_confidence = confidence.T.tocsr()
    model = AlternatingLeastSquares(k, regularization=LAMBDA, use_cg=True, num_threads=1)
    model.cg_steps = CG_STEPS

    def sweep(X: np.ndarray, Y: np.ndarray) -> None:
        model.solver(confidence, X, Y, LAMBDA, num_threads=1)
        model.solver(transposed_confidence, Y, X, LAMBDA, num_threads=1)

    return sweep


def loss(data: Interactions, weights: np.ndarray, X: np.ndarray, Y: np.ndarray) -> float:
    """Return the loss over all cells in float64: unobserved ones through the Gram matrices."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    total = float(np.sum((X.T @ X) * (Y.T @ Y))) + LAMBDA * float(np.sum(X**2) + np.sum(Y**2))
    users = data.user_rows()
    for low in range(0, data.n_ratings, 1 << 18):
        part = slice(low, low + (1 << 18))
        s = np.einsum("nk,nk->n", X[users[part]], Y[data.movie_rows[part]])
        total += float(np.sum((1 + weights[part]) * (1 - s) ** 2 - s**2))
    return total


def main() -> None:
    data, k = synthetic_interactions(*KEPT, np.random.default_rng(0)), 50
    weights = (ALPHA * np.where(data.ratings >= 4, 1.0, 0.3)).astype(np.float32)
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users, {data.n_movies:,} movies, {k} factors")
    sweeps, vectors = {}, {}
    for name, prepare in (("ours", ours), ("implicit", implicit)):
        seconds, sweep = timed(prepare, data, weights, k)
        print(f"{name}, once: {seconds:.2f} s")
        rng = np.random.default_rng(1)
        vectors[name] = [rng.normal(0, 0.1 / k**0.5, (n, k)).astype(np.float32) for n in (data.n_users, data.n_movies)]
        sweeps[name] = partial(sweep, *vectors[name])
    spent = in_turns(sweeps, REPEATS)
    for name, seconds in spent.items():
        print(f"{name}: median {median(seconds):.2f} s, loss {loss(data, weights, *vectors[name]):.7g}")
    print(f"ratio {ratio(spent['ours'], spent['implicit']):.2f}")


if __name__ == "__main__":
    main()
