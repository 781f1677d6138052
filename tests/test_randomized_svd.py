"""The sparse products and the block Krylov SVD against `numpy.linalg` on dense copies of the same matrices.

Products are compared, never raw singular vectors: those of equal singular values may turn.
"""

from __future__ import annotations

from typing import Callable, Optional

import numpy as np
import numpy.typing as npt
import pytest

from recommender.data.errors import DataError
from recommender.linalg import randomized_svd as kernel
from recommender.linalg import sparse
from recommender.linalg.randomized_svd import (
    SVD,
    captured_energy,
    dense_svd,
    krylov_svd_twin,
    randomized_svd,
    spectral_error,
)
from recommender.linalg.sparse import SparseMatrix


def compress(dense: npt.ArrayLike) -> SparseMatrix:
    full = np.asarray(dense)
    rows, columns = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(full)))))
    return SparseMatrix(indptr, columns.astype(np.int32), full[rows, columns].astype(np.float32), full.shape[1])


def skewed(n_rows: int, n_columns: int, seed: int = 0, density: float = 0.06) -> np.ndarray:
    """Rows and columns of very unequal length, some empty, a few columns full enough for the dense head."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(n_rows), rng.permutation(n_columns)
    chance = np.minimum(1, density * 2 * np.outer(1 / (1 + 4 * rows / n_rows), 9 / (1 + 60 * columns / n_columns)))
    dense = np.where(rng.random((n_rows, n_columns)) < chance, rng.standard_normal((n_rows, n_columns)), 0.0)
    dense[rng.integers(n_rows, size=3)] = 0
    dense[:, rng.integers(n_columns, size=3)] = 0
    return dense


def decaying(n_rows: int = 500, n_columns: int = 400, seed: int = 1) -> np.ndarray:
    """A dense matrix whose singular values fall slowly, so that a truncation to 50 leaves much behind."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((n_rows, n_columns)))[0]
    right = np.linalg.qr(rng.standard_normal((n_columns, n_columns)))[0]
    return left * (np.arange(1, n_columns + 1) ** -0.5) @ right


def product(svd: SVD) -> np.ndarray:
    return (svd.U.astype(np.float64) * svd.s) @ svd.Vt


def residual(dense: np.ndarray, svd: SVD) -> float:
    return float(np.linalg.norm(dense - product(svd)))


def best_residual(dense: np.ndarray, rank: int) -> float:
    return float(np.sqrt((np.linalg.svd(dense, compute_uv=False)[rank:] ** 2).sum()))


def orthonormality_error(svd: SVD) -> float:
    eye = np.eye(len(svd.s))
    U, Vt = svd.U.astype(np.float64), svd.Vt.astype(np.float64)
    return float(max(np.abs(U.T @ U - eye).max(), np.abs(Vt @ Vt.T - eye).max()))


@pytest.fixture
def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "DENSE_CELLS", 0)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 1), (1, 40), (40, 1), (70, 90), (300, 1000)])
@pytest.mark.parametrize(("entries", "buffer", "head"), [(None, None, None), (50, 64, 2.0), (1000, 4096, 1 / 50)])
def test_products_equal_the_dense_ones(
    monkeypatch: pytest.MonkeyPatch,
    n_rows: int,
    n_columns: int,
    entries: Optional[int],
    buffer: Optional[int],
    head: Optional[float],
) -> None:
    if entries is not None:  # many ranges, a gather buffer smaller than a row, no head or a wide one
        monkeypatch.setattr(sparse, "RANGE_ENTRIES", entries)
        monkeypatch.setattr(sparse, "GATHER_BYTES", buffer)
        monkeypatch.setattr(sparse, "HEAD_SHARE", head)
    dense = skewed(n_rows, n_columns) if n_rows > 1 and n_columns > 1 else np.ones((n_rows, n_columns))
    A = compress(dense)
    rng = np.random.default_rng(2)
    np.testing.assert_array_equal(A.dense(), dense.astype(np.float32))
    for width in (1, 5):
        X = rng.standard_normal((n_columns, width)).astype(np.float32)
        Y = rng.standard_normal((n_rows, width)).astype(np.float32)
        # a sum of m float32 products is off by about sqrt(m) eps; 1e-5 of the largest value is far above that
        for found, wanted in (
            (A.times(X), dense @ X),
            (A.transposed_times(Y), dense.T @ Y),
            (A.gram_times(X), dense.T @ (dense @ X)),
        ):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(1.0, np.abs(wanted).max()))


def test_more_columns_than_16_bits_and_an_empty_matrix() -> None:
    columns = np.array([70_000, 3, 65_536, 65_535, 99_999], dtype=np.int32)
    A = SparseMatrix(np.array([0, 2, 2, 5]), columns, np.arange(1, 6, dtype=np.float32), 100_000)
    X = np.zeros((100_000, 2), dtype=np.float32)
    X[columns, 0] = [1, 10, 100, 1000, 10_000]
    assert A.times(X)[:, 0].tolist() == [21.0, 0.0, 54_300.0]
    assert A.transposed_times(np.ones((3, 1), dtype=np.float32))[columns, 0].tolist() == [1, 2, 3, 4, 5]
    empty = SparseMatrix(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 5)
    assert not empty.times(np.ones((5, 2), dtype=np.float32)).any()
    assert not empty.gram_times(np.ones((5, 2), dtype=np.float32)).any()


def test_stable_order_is_that_of_argsort() -> None:
    keys = np.random.default_rng(0).integers(200_000, size=5000).astype(np.int32)
    keys[::3] = keys[0]
    np.testing.assert_array_equal(sparse.stable_order(keys), np.argsort(keys, kind="stable"))


@pytest.mark.parametrize("rank", [1, 7, 50])
def test_small_matrices_take_the_exact_route(rank: int) -> None:
    dense = skewed(80, 120).astype(np.float32).astype(np.float64)
    U, s, Vt = np.linalg.svd(dense, full_matrices=False)
    svd = randomized_svd(compress(dense), rank, np.random.default_rng(0), n_passes=1, block_size=1)
    np.testing.assert_allclose(svd.s, s[:rank], rtol=1e-6)
    np.testing.assert_allclose(product(svd), (U[:, :rank] * s[:rank]) @ Vt[:rank], atol=2e-6 * s[0])
    assert orthonormality_error(svd) < 1e-5


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize("make", [decaying, lambda: skewed(600, 900)])
def test_krylov_route_is_orthonormal_and_near_the_best_residual(make: Callable[[], np.ndarray]) -> None:
    dense = make()
    svd = randomized_svd(compress(dense), 50, np.random.default_rng(0))
    assert orthonormality_error(svd) < 1e-5
    ratio = residual(dense, svd) / best_residual(dense, 50)
    assert 1 - 1e-5 < ratio < 1.01  # the goal is 1.1
    assert (np.diff(svd.s) <= 0).all()


@pytest.mark.usefixtures("never_dense")
def test_enough_passes_agree_with_numpy() -> None:
    dense = skewed(500, 700).astype(np.float32).astype(np.float64)
    U, s, Vt = np.linalg.svd(dense, full_matrices=False)
    svd = randomized_svd(compress(dense), 20, np.random.default_rng(3), n_passes=16)
    np.testing.assert_allclose(svd.s, s[:20], rtol=1e-5)
    np.testing.assert_allclose(product(svd), (U[:, :20] * s[:20]) @ Vt[:20], atol=1e-4 * s[0])


@pytest.mark.usefixtures("never_dense")
def test_negative_control_few_passes_must_be_worse() -> None:
    """One pass of 50 columns is a range finder without power iterations: on slow decay it has to fall behind."""
    dense = decaying()
    A, best = compress(dense), best_residual(dense, 50)
    ratios = [
        residual(dense, randomized_svd(A, 50, np.random.default_rng(0), n_passes, block_size)) / best
        for n_passes, block_size in ((1, 50), (2, 32), (4, 32), (8, 32))
    ]
    assert ratios[0] > 1.02
    assert ratios[0] > ratios[1] > ratios[2] > ratios[3] > 1 - 1e-6


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize("n_passes", [2, 5])
def test_fast_path_does_what_the_plain_twin_does(n_passes: int) -> None:
    dense = skewed(400, 500)
    fast = randomized_svd(compress(dense), 30, np.random.default_rng(5), n_passes)
    plain = krylov_svd_twin(dense, 30, np.random.default_rng(5), n_passes)
    np.testing.assert_allclose(fast.s, plain.s, rtol=2e-4)
    assert residual(dense, fast) == pytest.approx(residual(dense, plain), rel=1e-4)


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize("true_rank", [1, 5, 40])
def test_matrices_of_lower_rank_than_asked_for(true_rank: int) -> None:
    rng = np.random.default_rng(4)
    dense = rng.standard_normal((300, true_rank)) @ rng.standard_normal((true_rank, 350))
    svd = randomized_svd(compress(dense), 50, rng)
    assert orthonormality_error(svd) < 1e-5
    assert not svd.s[true_rank:].any()
    assert residual(dense, svd) < 1e-5 * np.linalg.norm(dense)


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize("shape", [(60, 400), (400, 60), (64, 64)])
def test_rank_up_to_the_smaller_side(shape: tuple[int, int]) -> None:
    dense = np.random.default_rng(6).standard_normal(shape)
    svd = randomized_svd(compress(dense), 60, np.random.default_rng(0))
    assert orthonormality_error(svd) < 1e-5
    assert residual(dense, svd) <= 1.01 * best_residual(dense, 60) + 1e-5 * np.linalg.norm(dense)


@pytest.mark.usefixtures("never_dense")
def test_same_seed_same_bits_another_seed_another_result() -> None:
    A = compress(skewed(300, 400))
    first, again, other = (randomized_svd(A, 10, np.random.default_rng(seed), 2) for seed in (7, 7, 8))
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.Vt, other.Vt)


@pytest.mark.usefixtures("never_dense")
def test_signs_are_fixed_by_the_largest_entry() -> None:
    svd = randomized_svd(compress(skewed(300, 400)), 10, np.random.default_rng(0))
    assert (svd.Vt[np.arange(10), np.abs(svd.Vt).argmax(axis=1)] > 0).all()


@pytest.mark.usefixtures("never_dense")
def test_error_estimate_and_energy_against_the_dense_truth() -> None:
    dense = decaying()
    A = compress(dense)
    for n_passes in (1, 8):
        svd = randomized_svd(A, 50, np.random.default_rng(0), n_passes, 64)
        truth = np.linalg.norm(dense - product(svd), 2)
        estimate = spectral_error(A, svd, np.random.default_rng(1), n_iterations=30)
        assert 0.93 * truth < estimate < 1.0001 * truth
        energy = 1 - residual(dense, svd) ** 2 / np.linalg.norm(dense) ** 2
        assert captured_energy(A, svd.s) == pytest.approx(energy, abs=2e-5)
    exact = dense_svd(dense, 400)
    assert spectral_error(A, exact, np.random.default_rng(1)) < 1e-5


@pytest.mark.parametrize("rank", [0, -1, 41])
def test_impossible_ranks_are_refused(rank: int) -> None:
    with pytest.raises(DataError, match=f"rank {rank} for 40 users and 60 movies: give a rank from 1 to 40"):
        randomized_svd(compress(skewed(40, 60, density=0.5)), rank, np.random.default_rng(0))


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zero")])
def test_values_that_cannot_be_factored_are_refused(value: float, message: str) -> None:
    A = SparseMatrix(np.array([0, 1, 2]), np.array([0, 1], np.int32), np.array([0.0, value], np.float32), 2)
    with pytest.raises(DataError, match=message):
        randomized_svd(A, 1, np.random.default_rng(0))


@pytest.mark.usefixtures("never_dense")
@pytest.mark.parametrize(
    ("rank", "n_passes", "block_size", "widths"),
    [
        (5, 1000, 8, [8] * 12),  # 100 // 8 passes
        (5, 1000, 1000, [12] * 8),  # 100 // 8 columns: not fewer passes than by default
        (5, 2, 1000, [50] * 2),
        (5, 3, 30, [30] * 3),  # within the cap: as asked
        (40, 1000, 50, [20] * 8),  # four times the rank where that is more
        (200, 1000, 50, [500]),  # a rank that needs everything: the exact route on A'A
    ],
)
def test_the_space_is_capped(
    monkeypatch: pytest.MonkeyPatch, rank: int, n_passes: int, block_size: int, widths: list[int]
) -> None:
    monkeypatch.setattr(kernel, "SPACE", 100)
    found = []
    product_with_gram = SparseMatrix.gram_times

    def noted(self: SparseMatrix, X: np.ndarray) -> np.ndarray:
        found.append(X.shape[1])
        return product_with_gram(self, X)

    monkeypatch.setattr(SparseMatrix, "gram_times", noted)
    dense = decaying(600, 500)
    svd = randomized_svd(compress(dense), rank, np.random.default_rng(0), n_passes, block_size)
    assert found == widths
    assert orthonormality_error(svd) < 1e-4
    assert residual(dense, svd) <= 1.1 * best_residual(dense, rank)


@pytest.mark.parametrize(("n_passes", "block_size"), [(0, 32), (4, 0)])
def test_no_passes_or_columns_are_refused(n_passes: int, block_size: int) -> None:
    with pytest.raises(DataError, match="give at least 1 of each"):
        randomized_svd(compress(skewed(40, 60)), 5, np.random.default_rng(0), n_passes, block_size)
