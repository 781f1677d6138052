"""The bridge from text vectors to rating vectors: against lstsq, scikit-learn, and fits without each movie."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.linalg.ridge import fit_ridge


def make(n: int, d: int, k: int = 3, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 0.5
    Y = X @ rng.normal(size=(d, k)) + 2 + noise * rng.normal(size=(n, k))
    return X, Y, rng.uniform(0.2, 4, size=n)


def by_lstsq(X: np.ndarray, Y: np.ndarray, w: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """B and c as one least-squares problem: a row for each movie, and one for each coefficient that is penalised."""
    w = w / w.mean()
    n, d = X.shape
    movies = np.sqrt(w)[:, None] * np.column_stack([X, np.ones(n)])
    penalties = np.column_stack([np.sqrt(ridge) * np.eye(d), np.zeros(d)])
    wanted = np.vstack([np.sqrt(w)[:, None] * Y, np.zeros((d, Y.shape[1]))])
    solution = np.linalg.lstsq(np.vstack([movies, penalties]), wanted, rcond=None)[0]
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(("n", "d"), [(60, 7), (20, 45)])
@pytest.mark.parametrize("ridge", [0.01, 3.0, 200.0])
def test_the_map_is_that_of_least_squares(n: int, d: int, ridge: float) -> None:
    X, Y, w = make(n, d)
    ridge_map = fit_ridge(X, Y, w, [ridge])
    B, c = by_lstsq(X, Y, w, ridge)
    np.testing.assert_allclose(ridge_map.B, B, atol=1e-5)
    np.testing.assert_allclose(ridge_map.c, c, atol=1e-5)
    np.testing.assert_allclose(ridge_map(X[:4]), X[:4] @ B + c, atol=1e-4)


@pytest.mark.dev
def test_the_map_is_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, Y, w = make(50, 12)
    theirs = linear_model.Ridge(alpha=2.5).fit(X, Y, sample_weight=w / w.mean())
    np.testing.assert_allclose(fit_ridge(X, Y, w, [2.5])(X), theirs.predict(X), atol=1e-4)


@pytest.mark.parametrize(("n", "d"), [(30, 6), (16, 25)])
def test_its_quality_is_that_of_movies_left_out_one_by_one(n: int, d: int) -> None:
    X, Y, w = make(n, d, noise=1.0)
    scaled = w / w.mean()
    ridge = 2.0
    predicted, means = np.empty_like(Y), np.empty_like(Y)
    for i in range(n):
        rest = np.arange(n) != i
        # the scale of the weights is that of all movies, as the ridge is
        B, c = by_lstsq(X[rest], Y[rest], w[rest], ridge * scaled.mean() / scaled[rest].mean())
        predicted[i] = X[i] @ B + c
        means[i] = np.average(Y[rest], axis=0, weights=w[rest])
    error = (scaled[:, None] * (Y - predicted) ** 2).sum()
    cosines = (predicted * Y).sum(axis=1) / np.linalg.norm(predicted, axis=1) / np.linalg.norm(Y, axis=1)
    ridge_map = fit_ridge(X, Y, w, [ridge])
    assert ridge_map.r2 == pytest.approx(1 - error / (scaled[:, None] * (Y - means) ** 2).sum(), abs=1e-6)
    assert ridge_map.cosine == pytest.approx(np.average(cosines, weights=w), abs=1e-6)
    np.testing.assert_allclose(
        ridge_map.residual_variance, (scaled[:, None] * (Y - predicted) ** 2).mean(axis=0), rtol=1e-5
    )


def test_the_ridge_chosen_foretells_fresh_movies_best() -> None:
    X, Y, w = make(400, 60, noise=12.0)
    train, fresh = slice(0, 100), slice(100, 400)
    ridges = [0.01, 1.0, 30.0, 1000.0, 1e5]
    errors = [((fit_ridge(X[train], Y[train], w[train], [r])(X[fresh]) - Y[fresh]) ** 2).sum() for r in ridges]
    chosen = fit_ridge(X[train], Y[train], w[train], ridges).ridge
    assert chosen == ridges[int(np.argmin(errors))]
    assert chosen not in (ridges[0], ridges[-1])


def test_nothing_is_predicted_from_shuffled_texts() -> None:
    X, Y, w = make(300, 10)
    assert fit_ridge(X, Y, w).r2 > 0.9
    # Leaving out tells the truth: no map is better than the mean, up to sampling error.
    assert fit_ridge(np.random.default_rng(1).permutation(X), Y, w).r2 < 0.03


def test_movies_without_weight_do_not_count() -> None:
    X, Y, w = make(40, 5)
    w[30:] = 0
    Y[30:] = 1e6
    ridge_map, expected = fit_ridge(X, Y, w), fit_ridge(X[:30], Y[:30], w[:30])
    np.testing.assert_array_equal(ridge_map.B, expected.B)
    assert ridge_map.r2 == expected.r2
