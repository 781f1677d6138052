"""Popularity, EASE and directed EASE against hand counts, `numpy.linalg` and a plain loop over pairs."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.errors import SettingsError
from recommender.data.interactions import Interactions
from recommender.learn.baselines import MostPopular
from recommender.learn.directed_ease import DirectedEase, keep_largest, kernel, pair_sums
from recommender.learn.ease import Ease
from recommender.linalg.cholesky import inverse


def random_ratings(seed: int = 0, n_users: int = 40, n_movies: int = 15) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(n_users * n_movies) < 0.4)
    ratings = rng.integers(1, 11, len(cells)) / 2
    times = rng.permutation(len(cells))
    return Interactions.from_columns(cells // n_movies, cells % n_movies, ratings, times, np.arange(n_movies))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 30])
@pytest.mark.parametrize("block", [1, 4, 8, 64])
def test_blocked_inverse_is_the_inverse(n: int, block: int) -> None:
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n + 3))
    G = root @ root.T + np.eye(n)
    expected = np.linalg.inv(G)
    upper_garbage = G + np.triu(np.full((n, n), 7.0), 1)
    P = inverse(upper_garbage, block)
    np.testing.assert_allclose(P, expected, rtol=1e-9, atol=1e-12)
    assert P is upper_garbage


def test_blocked_inverse_in_float32_keeps_the_digits_that_conditioning_leaves() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(300, 500))
    G = root @ root.T + 50 * np.eye(300)
    P = inverse(G.astype(np.float32), 64)
    assert P.dtype == np.float32
    error = np.linalg.norm(P - np.linalg.inv(G)) / np.linalg.norm(np.linalg.inv(G))
    assert error < np.finfo(np.float32).eps * np.linalg.cond(G)
    np.testing.assert_array_equal(P, P.T)


def test_blocked_inverse_refuses_what_has_none() -> None:
    with pytest.raises(SettingsError, match="not positive definite"):
        inverse(np.zeros((4, 4)))


def test_popularity_counts_likes_and_breaks_ties_by_ratings() -> None:
    data = Interactions.from_columns([1, 1, 1, 2, 2], [10, 20, 30, 10, 30], [4, 4.5, 3, 5, 1], [1, 2, 3, 4, 5])
    model = MostPopular().fit(data)
    assert model.likes_.astype(int).tolist() == [2, 1, 0]
    ids, _ = model.recommend(Interactions.from_columns([], [], [], [], data.movie_ids, np.array([9])), [0], 3)
    assert ids.tolist() == [[10, 20, 30]]
    assert MostPopular(threshold=0.5).fit(data).likes_.astype(int).tolist() == [2, 1, 2]


@pytest.mark.parametrize("values", ["likes", "ratings"])
def test_ease_is_the_constrained_least_squares_solution(values: str) -> None:
    data = random_ratings()
    X = np.zeros((data.n_users, data.n_movies))
    X[data.user_rows(), data.movie_rows] = data.ratings if values == "ratings" else data.ratings >= 4
    model = Ease(values=values, regularisation=3.0).fit(data)
    for j in range(data.n_movies):
        others = np.delete(np.arange(data.n_movies), j)
        A = X[:, others]
        ridge = np.linalg.solve(A.T @ A + 3.0 * np.eye(len(others)), A.T @ X[:, j])
        np.testing.assert_allclose(model.item_weights_[others, j], ridge, atol=2e-5)
        assert model.item_weights_[j, j] == 0
    np.testing.assert_allclose(model.score(data, np.arange(data.n_users)), X @ model.item_weights_, atol=1e-5)


def test_pair_sums_equal_a_loop_over_all_pairs() -> None:
    data = random_ratings(1, 6, 9)
    rng = np.random.default_rng(2)
    x, y = rng.random((2, data.n_ratings)).astype(np.float32)
    expected = np.zeros((9, 9))
    for u in range(data.n_users):
        known = range(data.indptr[u], data.indptr[u + 1])
        for p in known:
            for q in known:
                weight = 0.2 + np.exp(-abs(p - q) / 3)
                order = 1 if q >= p else 0.6
                expected[data.movie_rows[p], data.movie_rows[q]] += x[p] * y[q] * weight * order
    longest = int(np.diff(data.indptr).max())
    np.testing.assert_allclose(pair_sums(data, x, y, kernel(longest, 0.2, 3, 0.6)), expected, rtol=1e-5)


def test_directed_ease_without_direction_or_distance_is_ease() -> None:
    """Every kernel flat at 1, every rating 1 on both sides: G = T = X'X, and B is EASE's."""
    data = random_ratings(3)
    flat = {"x_middle": 1, "x_low": 1, "y_other": 1, "gram_base": 1, "target_base": 1, "earlier": 1}
    reach = {"gram_reach": 1e9, "target_reach": 1e9}
    directed = DirectedEase(**flat, **reach, regularisation=6).fit(data)  # flat kernel: 1 + exp(0) = 2
    everything = data.take(np.ones(data.n_ratings, dtype=bool))
    object.__setattr__(everything, "ratings", np.full(data.n_ratings, 5, dtype=np.float32))
    plain = Ease(values="likes", regularisation=3).fit(everything)
    np.testing.assert_allclose(directed.item_weights_, plain.item_weights_, atol=2e-5)


def test_directed_ease_meets_the_optimality_conditions() -> None:
    """G B - T must be diagonal: off the diagonal the gradient is zero, on it stand the constraint's multipliers."""
    data = random_ratings(4)
    model = DirectedEase(regularisation=2.0).fit(data)
    longest = int(np.diff(data.indptr).max())
    x, y = model._known(data.ratings), model._wanted(data.ratings)
    G = pair_sums(data, x, x, kernel(longest, 0.03, 10)) + 2.0 * np.eye(15)
    T = pair_sums(data, x, y, kernel(longest, 0.05, 30, 0.5))
    gradient = G @ model.item_weights_.astype(np.float64) - T
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-4)
    assert np.abs(np.diag(gradient)).min() > 0.01
    assert not np.diag(model.item_weights_).any()


def test_directed_ease_profile_by_hand() -> None:
    data = random_ratings(5)
    model = DirectedEase(recency_base=0.1, recency_reach=2.0).fit(data)
    person = Interactions.from_columns([7, 7, 7], [4, 2, 9], [3.5, 1, 5], [1, 2, 3], data.movie_ids)
    weights = [0.3 * (0.1 + np.exp(-1)), 0.1 * (0.1 + np.exp(-0.5)), 1 * (0.1 + 1)]
    np.testing.assert_allclose(model.score(person, [0])[0], weights @ model.item_weights_[[4, 2, 9]], rtol=1e-5)


def test_directed_ease_learns_which_way_people_go() -> None:
    """Everybody rates a chain of movies in one order: after movie k comes movie k + 1, not k - 1."""
    users = np.repeat(np.arange(30), 4)
    starts = np.repeat(np.arange(30) % 10, 4)
    steps = np.tile(np.arange(4), 30)
    data = Interactions.from_columns(users, starts + steps, np.full(120, 4.5), steps)
    person = Interactions.from_columns([0, 0], [5, 6], [5, 5], [1, 2], data.movie_ids)
    ids, _ = DirectedEase(regularisation=1.0).fit(data).recommend(person, [0], 1)
    assert ids.tolist() == [[7]]


def test_keep_largest_keeps_by_size_in_each_row() -> None:
    B = np.array([[0, -3, 2, 1], [5, 4, 0, -6]], dtype=np.float32)
    assert keep_largest(B, 2).tolist() == [[0, -3, 2, 0], [5, 0, 0, -6]]
    np.testing.assert_array_equal(keep_largest(B, 4), B)
