"""The SVD of 25M synthetic ratings against scikit-learn's TruncatedSVD on scipy CSR float32. One thread.

    python -m tests.benchmarks.svd_25m
    OPENBLAS_CORETYPE=SkylakeX python -m tests.benchmarks.svd_25m       the other kernel of OpenBLAS, or Haswell

Both start from the same compressed rows (indptr, movie_rows, values), and building is counted: of the CSR matrix, which
takes these arrays as they are, and of `SparseMatrix`, which lays them out anew. Processor seconds, medians of three
repeats, and the ratio of ours to theirs within each. "energy" is the captured share of ||A||_F^2, against the best that
rank 50 can do.
"""

from statistics import median

import numpy as np
import scipy.sparse
from sklearn.decomposition import TruncatedSVD

from recommender.data.interactions import Interactions
from recommender.learn.svd import SvdModel
from recommender.linalg.randomized_svd import captured_energy, randomized_svd
from recommender.linalg.sparse import SparseMatrix
from tests.benchmarks.synthetic import FULL, synthetic_interactions
from tests.benchmarks.tools import ratio, timed

RANK, REPEATS = 50, 3
PAIRS = ((5, 6), (15, 8))  # n_iter of theirs, passes of ours


def compare(data: Interactions, signal: str) -> None:
    values = SvdModel(signal=signal).values(data)
    rows = (data.indptr, data.movie_rows, values)

    def theirs(n_iter: int, seed: int) -> np.ndarray:
        A = scipy.sparse.csr_matrix((values, data.movie_rows, data.indptr), shape=(data.n_users, data.n_movies))
        return TruncatedSVD(RANK, n_iter=n_iter, random_state=seed).fit(A).singular_values_

    def ours(passes: int, seed: int) -> np.ndarray:
        return randomized_svd(SparseMatrix(*rows, data.n_movies), RANK, np.random.default_rng(seed), passes).s

    building, A = timed(lambda: SparseMatrix(*rows, data.n_movies))
    best = captured_energy(A, randomized_svd(A, RANK, np.random.default_rng(0), 16, 48).s)
    print(f"{data.n_ratings:,} ratings; {signal}, rank {RANK} can hold {best:.2%}; ours builds in {building:.2f} s")
    for n_iter, passes in PAIRS:
        turns = [(timed(ours, passes, seed), timed(theirs, n_iter, seed)) for seed in range(REPEATS)]
        seconds = []
        for name, side in zip((f"ours, passes={passes}", f"TruncatedSVD, n_iter={n_iter}"), zip(*turns)):
            seconds.append([spent for spent, _ in side])
            least = min(captured_energy(A, s) / best for _, s in side)
            print(f"  {name:<24} {median(seconds[-1]):6.2f} s  energy at least {least:.5f} of the best")
        print(f"  ratio {ratio(*seconds):.2f}", flush=True)


def main() -> None:
    data = synthetic_interactions(*FULL, np.random.default_rng(0))
    for signal in ("centered", "ones"):
        compare(data, signal)


if __name__ == "__main__":
    main()
