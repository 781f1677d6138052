"""The SVD of 25M synthetic ratings against scikit-learn's TruncatedSVD on scipy CSR float32. One thread.

Medians of three repeats, and the ratio of ours to theirs within each. Theirs gets a finished CSR matrix, ours the
finished row structure; "with building" counts the structure in. "energy" is the captured share of ||A||_F^2, against
the best that rank 50 can do.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from recommender.data.interactions import Interactions
from recommender.learn.svd import SvdModel
from recommender.linalg.randomized_svd import captured_energy, randomized_svd
from recommender.linalg.sparse import SparseMatrix
from tests.benchmarks.synthetic import FULL, synthetic_interactions, timed

RANK, REPEATS = 50, 3
PAIRS = ((5, 6), (15, 8))  # n_iter of theirs, passes of ours


def compare(data: Interactions, signal: str) -> None:
    try:
        import scipy.sparse
        from sklearn.decomposition import TruncatedSVD
    except ImportError:
        raise SystemExit("this benchmark compares with scikit-learn: pip install scikit-learn") from None
    values = SvdModel(signal=signal).values(data)
    theirs = scipy.sparse.csr_matrix((values, data.movie_rows, data.indptr), shape=(data.n_users, data.n_movies))
    building, ours = timed(lambda: SparseMatrix(data.indptr, data.movie_rows, values, data.n_movies))
    best = captured_energy(ours, randomized_svd(ours, RANK, np.random.default_rng(0), 16, 48).s)
    print(
        f"{data.n_ratings:,} ratings; {signal}, rank {RANK} can hold {best:.2%}; building {building:.2f} s", flush=True
    )
    for n_iter, passes in PAIRS:
        seconds = np.empty((REPEATS, 2))
        for repeat in range(REPEATS):
            seconds[repeat, 0], their_svd = timed(
                lambda n=n_iter, seed=repeat: TruncatedSVD(RANK, n_iter=n, random_state=seed).fit(theirs)
            )
            seconds[repeat, 1], our_svd = timed(
                lambda n=passes, seed=repeat: randomized_svd(ours, RANK, np.random.default_rng(seed), n)
            )
        medians = np.median(seconds, axis=0)
        ratio = np.median(seconds[:, 1] / seconds[:, 0])
        with_building = np.median((seconds[:, 1] + building) / seconds[:, 0])
        their_energy = captured_energy(ours, their_svd.singular_values_) / best
        print(f"  TruncatedSVD n_iter={n_iter:<3} {medians[0]:6.2f} s  energy {their_energy:.5f} of the best")
        print(f"  ours passes={passes:<10} {medians[1]:6.2f} s  energy {captured_energy(ours, our_svd.s) / best:.5f}")
        print(f"  ratio {ratio:.2f}; with building {with_building:.2f}", flush=True)


def main() -> None:
    data = synthetic_interactions(*FULL, np.random.default_rng(0))
    for signal in ("centered", "ones"):
        compare(data, signal)


if __name__ == "__main__":
    main()
