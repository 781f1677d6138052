"""Components and canonical correlation against numpy's SVD, scikit-learn, scipy and planted answers."""

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.media.projections import Projection, cca, pca


def rows(n: int, d: int, seed: int = 0, rank: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rank or d
    return rng.standard_normal((n, factors)) * np.arange(1, factors + 1) ** -0.7 @ rng.standard_normal((factors, d)) + 3


def project(X: np.ndarray, fitted: Projection) -> np.ndarray:
    return (X - fitted[0]) @ fitted[1]


@pytest.mark.parametrize("shape", [(80, 12), (12, 80), (30, 30)])
def test_components_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    X = rows(*shape)
    mean, directions, strengths = pca(X, 5)
    U, s, Vt = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(strengths, s[:5], rtol=1e-8)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-10)
    assert (directions.max(axis=0) == np.abs(directions).max(axis=0)).all()
    best = (U[:, :5] * s[:5]) @ Vt[:5] + X.mean(axis=0)
    np.testing.assert_allclose((X - mean) @ directions @ directions.T + mean, best, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(60, 20), (15, 40)])
def test_no_more_components_than_the_rank(n: int, d: int) -> None:
    X = rows(n, d, rank=4)
    assert pca(X, 10)[1].shape == (d, 4)
    assert pca(X.astype(np.float32), 10)[1].shape == (d, 4)  # whose rounding is not a direction
    assert pca(rows(6, d), 10)[1].shape == (d, 5)  # of six rows, centred
    # weak components of few long rows are orthonormal all the same
    rng = np.random.default_rng(7)
    left, right = (np.linalg.qr(rng.standard_normal((n, 8)))[0] for n in (12, 50))
    directions = pca(left * np.geomspace(1, 1e-4, 8) @ right.T, 8)[1]
    assert directions.shape == (50, 8)
    np.testing.assert_allclose(directions.T @ directions, np.eye(8), atol=1e-9)


def planted(n: int, correlations: list[float], dx: int, dy: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two views whose true canonical correlations are those given, under arbitrary linear maps."""
    rng = np.random.default_rng(seed)
    k = len(correlations)
    shared, r = rng.standard_normal((n, k)), np.array(correlations)
    u, v = rng.standard_normal((n, dx)), rng.standard_normal((n, dy))
    u[:, :k], v[:, :k] = shared, r * shared + np.sqrt(1 - r**2) * rng.standard_normal((n, k))
    return u @ rng.standard_normal((dx, dx)) + 5, v @ rng.standard_normal((dy, dy)) - 2


def test_planted_correlations_come_back() -> None:
    n, true = 40_000, [0.9, 0.6, 0.3]
    X, Y = planted(n, true, 6, 5)
    x, y = cca(X, Y, 5, regularisation=0.0)
    # The error of a correlation is about (1 - r^2) / sqrt(n); five times the largest.
    r = x[2]
    np.testing.assert_allclose(r[:3], true, atol=5 / np.sqrt(n))
    assert (r[3:] < 6 / np.sqrt(n)).all()
    between = np.corrcoef(project(X, x).T, project(Y, y).T)
    np.testing.assert_allclose(between, np.block([[np.eye(5), np.diag(r)], [np.diag(r), np.eye(5)]]), atol=1e-8)
    np.testing.assert_allclose(project(X, x).var(axis=0, ddof=1), 1, rtol=1e-8)


@pytest.mark.dev
def test_correlations_agree_with_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    X, Y = planted(400, [0.9, 0.7, 0.5], 6, 4)
    a, b = decomposition.CCA(3, max_iter=5000, tol=1e-12).fit_transform(X, Y)
    theirs = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(cca(X, Y, 3, 0.0)[0][2], theirs, atol=1e-6)


def test_regularisation_keeps_wide_views_from_agreeing_by_chance() -> None:
    rng = np.random.default_rng(2)
    X, Y, new_x, new_y = (rng.standard_normal(shape) for shape in ((60, 80), (60, 90), (2000, 80), (2000, 90)))
    x, y = cca(X, Y, 10, 0.0)
    np.testing.assert_allclose(x[2], 1, atol=1e-6)
    assert cca(X, Y, 10, 1.0)[0][2][0] < 0.75
    A, C = cca(X[:, :20], Y, 10, 0.5)[0][1], np.cov(X[:, :20].T)
    np.testing.assert_allclose(A.T @ (C + 0.5 * np.trace(C) / 20 * np.eye(20)) @ A, np.eye(10), atol=1e-8)
    assert abs(np.corrcoef(project(new_x, x)[:, 0], project(new_y, y)[:, 0])[0, 1]) < 5 / np.sqrt(2000)


def test_views_of_low_rank_give_few_pairs() -> None:
    X, Y = rows(100, 20, seed=3, rank=3), rows(100, 10, seed=4, rank=7)
    x, y = cca(X, Y, 64, 0.1)
    assert (x[1].shape, y[1].shape) == ((20, 3), (10, 3))
    assert np.abs(cca(X, X, 64, 0.0)[0][2] - 1).max() < 1e-6


def test_rows_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(DataError, match="are the same"):
        pca(np.ones((5, 3)), 2)
    with pytest.raises(DataError, match="are the same"):
        cca(rows(5, 3), np.ones((5, 3)), 2, 0.1)
