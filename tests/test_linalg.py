"""Sparse products, block Krylov SVD, inverse, ridge regression and iALS's half sweep against `numpy.linalg`.

Of an SVD, products are compared, never raw singular vectors: those of equal singular values may turn.
"""

import itertools
from typing import Callable

import numpy as np
import numpy.typing as npt
import pytest

from recommender.data.errors import DataError, SettingsError
from recommender.linalg import conjugate_gradient, sparse
from recommender.linalg import randomized_svd as kernel
from recommender.linalg.cholesky import inverse
from recommender.linalg.randomized_svd import SVD, captured_energy, dense_svd, randomized_svd, spectral_error
from recommender.linalg.ridge import fit_ridge
from recommender.linalg.sparse import SparseMatrix


def compress(dense: npt.ArrayLike) -> SparseMatrix:
    full = np.asarray(dense)
    rows, columns = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(full)))))
    return SparseMatrix(indptr, columns.astype(np.int32), full[rows, columns].astype(np.float32), full.shape[1])


def skewed(n_rows: int, n_columns: int, seed: int = 0, density: float = 0.06) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(n_rows), rng.permutation(n_columns)
    chance = np.minimum(1, density * 2 * np.outer(1 / (1 + 4 * rows / n_rows), 9 / (1 + 60 * columns / n_columns)))
    dense = np.where(rng.random((n_rows, n_columns)) < chance, rng.standard_normal((n_rows, n_columns)), 0.0)
    dense[rng.integers(n_rows, size=3)] = 0
    dense[:, rng.integers(n_columns, size=3)] = 0
    return dense


def decaying(n_rows: int = 500, n_columns: int = 400, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((n_rows, n_columns)))[0]
    right = np.linalg.qr(rng.standard_normal((n_columns, n_columns)))[0]
    return left * (np.arange(1, n_columns + 1) ** -0.5) @ right


def product(svd: SVD) -> np.ndarray:
    return (svd.U.astype(np.float64) * svd.s) @ svd.Vt


def residual(dense: np.ndarray, svd: SVD) -> float:
    return float(np.linalg.norm(dense - product(svd)))


def best_residual(dense: np.ndarray, rank: int) -> float:
    return float(np.linalg.norm(np.linalg.svd(dense, compute_uv=False)[rank:]))


def orthonormality_error(svd: SVD) -> float:
    eye = np.eye(len(svd.s))
    U, Vt = svd.U.astype(np.float64), svd.Vt.astype(np.float64)
    return float(max(np.abs(U.T @ U - eye).max(), np.abs(Vt @ Vt.T - eye).max()))


@pytest.fixture(autouse=True)
def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "DENSE_CELLS", 0)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 1), (1, 40), (40, 1), (70, 90), (300, 1000)])
@pytest.mark.parametrize("layout", [(), (50, 64, 2.0), (1000, 4096, 1 / 50)])
def test_products_equal_the_dense_ones(monkeypatch, n_rows, n_columns, layout):
    for name, value in zip(("RANGE_ENTRIES", "GATHER_BYTES", "HEAD_SHARE"), layout):
        monkeypatch.setattr(sparse, name, value)  # many ranges, a buffer smaller than a row, no head or a wide one
    dense = skewed(n_rows, n_columns) if min(n_rows, n_columns) > 1 else np.ones((n_rows, n_columns))
    A = compress(dense)
    rng = np.random.default_rng(2)
    np.testing.assert_array_equal(A.dense(), dense.astype(np.float32))
    for width in (1, 5):
        X = rng.standard_normal((n_columns, width)).astype(np.float32)
        Y = rng.standard_normal((n_rows, width)).astype(np.float32)
        for found, wanted in (
            (A.times(X), dense @ X),
            (A.transposed_times(Y), dense.T @ Y),
            (A.gram_times(X), dense.T @ (dense @ X)),
        ):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(1.0, np.abs(wanted).max()))


def test_more_columns_than_16_bits_more_rows_than_fit_beside_them_into_32_and_an_empty_matrix() -> None:
    n, ones = 40_000, np.ones((100_000, 1), np.float32)
    columns = np.stack((np.arange(n), np.arange(60_000, 100_000)), axis=1).astype(np.int32)
    tall = SparseMatrix(np.arange(0, 2 * n + 1, 2), columns.ravel(), np.arange(2 * n, dtype=np.float32), 100_000)
    np.testing.assert_array_equal(tall.times(ones)[:, 0], np.arange(1, 4 * n, 4))
    np.testing.assert_array_equal(tall.transposed_times(ones[:n])[columns, 0], np.arange(2 * n).reshape(n, 2))
    empty = SparseMatrix(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 5)
    assert not empty.gram_times(np.ones((5, 2), dtype=np.float32)).any()


@pytest.mark.parametrize(("cells", "rank", "n_passes", "tolerance"), [(10**6, 50, 1, 2e-6), (0, 20, 16, 1e-4)])
def test_the_exact_route_and_enough_passes_agree_with_numpy(monkeypatch, cells, rank, n_passes, tolerance):
    monkeypatch.setattr(kernel, "DENSE_CELLS", cells)
    dense = skewed(300, 500).astype(np.float32).astype(np.float64)
    U, s, Vt = np.linalg.svd(dense, full_matrices=False)
    svd = randomized_svd(compress(dense), rank, np.random.default_rng(3), n_passes)
    np.testing.assert_allclose(svd.s, s[:rank], rtol=tolerance)
    np.testing.assert_allclose(product(svd), (U[:, :rank] * s[:rank]) @ Vt[:rank], atol=tolerance * s[0])
    assert orthonormality_error(svd) < 1e-5


@pytest.mark.parametrize("make", [decaying, lambda: skewed(600, 900)])
def test_krylov_route_is_orthonormal_near_the_best_residual_and_repeatable(make: Callable[[], np.ndarray]) -> None:
    dense = make()
    svd = randomized_svd(compress(dense), 50, np.random.default_rng(0))
    assert orthonormality_error(svd) < 1e-5
    assert 1 - 1e-5 < residual(dense, svd) / best_residual(dense, 50) < 1.01  # the goal is 1.1
    assert (np.diff(svd.s) <= 0).all()
    assert (svd.Vt[np.arange(50), np.abs(svd.Vt).argmax(axis=1)] > 0).all()
    again, other = (randomized_svd(compress(dense), 50, np.random.default_rng(seed)) for seed in (0, 8))
    np.testing.assert_array_equal(svd.Vt, again.Vt)
    assert not np.array_equal(svd.Vt, other.Vt)
    # negative control: one pass of 50 columns is a range finder without power iterations, and falls behind
    few = (randomized_svd(compress(dense), 50, np.random.default_rng(0), *chosen) for chosen in ((1, 50), (2, 32)))
    ratios = [residual(dense, svd) / best_residual(dense, 50) for svd in few]
    assert ratios[0] > max(1.02, ratios[1])


@pytest.mark.parametrize(("n_rows", "n_columns", "true_rank"), [(300, 350, 1), (300, 350, 40), (60, 400, 60)])
def test_matrices_of_lower_rank_than_asked_for_and_full_rank(n_rows: int, n_columns: int, true_rank: int) -> None:
    rng = np.random.default_rng(4)
    dense = rng.standard_normal((n_rows, true_rank)) @ rng.standard_normal((true_rank, n_columns))
    for A in (dense, dense.T):
        svd = randomized_svd(compress(A), 60, rng)
        assert orthonormality_error(svd) < 1e-5
        assert not svd.s[true_rank:].any()
        assert residual(A, svd) < 1e-5 * np.linalg.norm(A)


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
    assert spectral_error(A, dense_svd(dense, 400), np.random.default_rng(1)) < 1e-5


def test_what_cannot_be_factored_is_refused() -> None:
    for rank in (0, -1, 41):
        with pytest.raises(DataError, match=f"rank {rank} for 40 users and 60 movies: give a rank from 1 to 40"):
            randomized_svd(compress(skewed(40, 60, density=0.5)), rank, np.random.default_rng(0))
    for value, message in ((np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zero")):
        A = SparseMatrix(np.array([0, 1, 2]), np.array([0, 1], np.int32), np.array([0.0, value], np.float32), 2)
        with pytest.raises(DataError, match=message):
            randomized_svd(A, 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("rank", "n_passes", "block_size", "widths"),
    [(5, 3, 30, [30] * 3), (40, 2, 8, [30] * 2), (200, 10, 50, [500])],  # as asked, as the rank needs, all of A'A
)
def test_how_wide_a_pass_is(monkeypatch: pytest.MonkeyPatch, rank: int, n_passes: int, block_size: int, widths) -> None:
    found: list[int] = []
    gram_times = SparseMatrix.gram_times
    monkeypatch.setattr(SparseMatrix, "gram_times", lambda A, X: (found.append(X.shape[1]), gram_times(A, X))[1])
    dense = decaying(600, 500)
    svd = randomized_svd(compress(dense), rank, np.random.default_rng(0), n_passes, block_size)
    assert found == widths
    assert residual(dense, svd) <= 1.1 * best_residual(dense, rank)


def test_blocked_inverse_is_the_inverse_and_float32_keeps_the_digits_that_conditioning_leaves() -> None:
    for n, block in itertools.product((1, 7, 8, 9, 30), (1, 4, 8, 64)):
        root = np.random.default_rng(n).normal(size=(n, n + 3))
        G = root @ root.T + np.eye(n)
        upper_garbage = G + np.triu(np.full((n, n), 7.0), 1)
        P = inverse(upper_garbage, block)
        np.testing.assert_allclose(P, np.linalg.inv(G), rtol=1e-9, atol=1e-12)
        assert P is upper_garbage
    root = np.random.default_rng(0).normal(size=(300, 500))
    G = root @ root.T + 50 * np.eye(300)
    P = inverse(G.astype(np.float32), 64)
    assert P.dtype == np.float32
    error = np.linalg.norm(P - np.linalg.inv(G)) / np.linalg.norm(np.linalg.inv(G))
    assert error < np.finfo(np.float32).eps * np.linalg.cond(G)
    np.testing.assert_array_equal(P, P.T)
    with pytest.raises(SettingsError, match="not positive definite"):
        inverse(np.zeros((4, 4)))


def regression(n: int, d: int, k: int = 3, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 0.5
    Y = X @ rng.normal(size=(d, k)) + 2 + noise * rng.normal(size=(n, k))
    return X, Y, rng.uniform(0.2, 4, size=n)


def by_lstsq(X: np.ndarray, Y: np.ndarray, w: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    w, (n, d) = w / w.mean(), X.shape
    examples = np.sqrt(w)[:, None] * np.column_stack([X, np.ones(n)])
    penalties = np.column_stack([np.sqrt(ridge) * np.eye(d), np.zeros(d)])
    wanted = np.vstack([np.sqrt(w)[:, None] * Y, np.zeros((d, Y.shape[1]))])
    solution = np.linalg.lstsq(np.vstack([examples, penalties]), wanted, rcond=None)[0]
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(("n", "d"), [(60, 7), (20, 45)])
@pytest.mark.parametrize("ridge", [0.01, 3.0, 200.0])
def test_ridge_is_least_squares_and_its_errors_are_those_of_leaving_out(n: int, d: int, ridge: float) -> None:
    X, Y, w = regression(n, d, noise=1.0)
    found = fit_ridge(X, Y, w, [ridge])
    B, c = by_lstsq(X, Y, w, ridge)
    np.testing.assert_allclose(found.coef, B, atol=1e-5)
    np.testing.assert_allclose(found.intercept, c, atol=1e-5)
    np.testing.assert_allclose(found(X[:4]), X[:4] @ B + c, atol=1e-4)
    scaled, predicted = w / w.mean(), np.empty_like(Y)
    for i in range(n):
        rest = np.arange(n) != i
        # the scale of the weights is that of all rows, as the ridge is
        B, c = by_lstsq(X[rest], Y[rest], w[rest], ridge * scaled.mean() / scaled[rest].mean())
        predicted[i] = X[i] @ B + c
    error = (scaled[:, None] * (Y - predicted) ** 2).mean(axis=0)
    np.testing.assert_allclose(found.residual_variance, error, rtol=1e-5)


def test_the_ridge_chosen_predicts_fresh_rows_best_and_nothing_from_shuffled_ones() -> None:
    X, Y, w = regression(400, 60, noise=12.0)
    train, fresh = slice(0, 100), slice(100, 400)
    ridges = [0.01, 1.0, 30.0, 1000.0, 1e5]
    errors = [((fit_ridge(X[train], Y[train], w[train], [r])(X[fresh]) - Y[fresh]) ** 2).sum() for r in ridges]
    chosen = fit_ridge(X[train], Y[train], w[train], ridges).alpha
    assert chosen == ridges[int(np.argmin(errors))] not in (ridges[0], ridges[-1])
    X, Y, w = regression(300, 10)
    variance = (w[:, None] * (Y - np.average(Y, axis=0, weights=w)) ** 2).sum() / w.sum()
    assert fit_ridge(X, Y, w).residual_variance.sum() < 0.1 * variance
    # Leaving out tells the truth: no map is better than the mean, up to sampling error.
    shuffled = fit_ridge(np.random.default_rng(1).permutation(X), Y, w)
    assert shuffled.residual_variance.sum() > 0.97 * variance
    w[50:], Y[50:] = 0, 1e6  # rows without weight do not count
    for found, expected in zip(fit_ridge(X, Y, w), fit_ridge(X[:50], Y[:50], w[:50])):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("buffer", [1 << 17, 90, 12])
def test_both_solvers_find_the_minimizer_whatever_the_buffer(monkeypatch: pytest.MonkeyPatch, buffer: int) -> None:
    monkeypatch.setattr(conjugate_gradient, "_BUFFER", buffer)
    rng = np.random.default_rng(0)  # rows of 0 to 30 observed cells
    share = np.linspace(0, 1, 40)[:, None]
    dense = np.where(rng.random((40, 30)) < share, rng.uniform(0.5, 4, (40, 30)), 0).astype(np.float32)
    where, columns = np.nonzero(dense)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(where, minlength=40))))
    rows = indptr, columns.astype(np.int32), dense[where, columns]
    Y = rng.normal(size=(30, 6)).astype(np.float32)
    A = np.einsum("nm,mk,ml->nkl", 1 + dense.astype(float), Y, Y) + 2 * np.eye(6)
    expected = np.linalg.solve(A, (((1 + dense) * (dense > 0)) @ Y)[:, :, None])[:, :, 0]
    exact = conjugate_gradient.solve_exactly(Y, *rows, 2.0, Y.T.astype(np.float64) @ Y)
    np.testing.assert_allclose(exact, expected, rtol=1e-5, atol=1e-6)
    blocks, gaps = conjugate_gradient.blocks_of_rows(*rows, 30, 6), []
    for n_steps in (1, 2, 3, 7):  # as many as there are factors, and one
        X = np.ones((40, 6), dtype=np.float32)
        conjugate_gradient.conjugate_gradient(X, Y, blocks, 2.0, n_steps)
        gaps.append(np.abs(X - expected).max())
    assert gaps[0] > 1.05 * gaps[1] > 1.1 * gaps[2]
    np.testing.assert_allclose(X, expected, rtol=1e-3, atol=1e-4)
