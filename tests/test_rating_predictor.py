"""The rating predictor: the process against textbook formulas written out, the model against planted tastes."""

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.rating_predictor import (
    RatingPredictor,
    covariance,
    damped_means,
    expected_taste,
    left_out_errors,
)

N_MOVIES = 24
PROCESS = RatingPredictor.Settings(
    bias=0.3, bias_drift=0.2, bias_drift_span=5.0, taste_drift=0.4, taste_drift_span=8.0, rare=3.0, taste_range=1.0
)
SIZES = {"cooccurrence_factors": 4, "user_factors": 4}
RNG = np.random.default_rng(0)
ONE_HISTORY = RNG.normal(size=(7, 3)), RNG.normal(size=7), RNG.integers(1, 50, 7).astype(float)
OFF = {"cooccurrence": 0.0, "quality": 0.0, "fame": 0.0}


def joint_covariance(phi: np.ndarray, counts: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return the covariance of all ratings, noise included, cell by cell as the module's header writes it."""
    c, n = PROCESS, len(phi)
    K = np.diag(1 + c.rare / (counts + 1))
    for i in range(n):
        for j in range(n):
            taste = scale * float(phi[i] @ phi[j])
            taste *= 1 - c.taste_drift + c.taste_drift * np.exp(-abs(i - j) / c.taste_drift_span)
            K[i, j] += taste + c.bias + c.bias_drift * np.exp(-abs(i - j) / c.bias_drift_span)
    return K


def conditional_mean(K: np.ndarray, y: np.ndarray, which: int) -> float:
    others = np.delete(np.arange(len(y)), which)
    return float(K[which, others] @ np.linalg.inv(K[np.ix_(others, others)]) @ y[others])


def test_the_process_is_the_conditional_gaussian_of_the_header() -> None:
    phi, y, counts = ONE_HISTORY
    shared, rest = covariance(phi, counts, PROCESS)
    np.testing.assert_allclose(2 * shared + rest, joint_covariance(phi, counts, 2.0), rtol=1e-12)
    K = joint_covariance(phi, counts)
    weights, shift = expected_taste(phi[:-1], y[:-1], counts[:-1], PROCESS)
    assert phi[-1] @ weights + shift == pytest.approx(conditional_mean(K, y, len(y) - 1), rel=1e-10)
    errors = [y[n] - conditional_mean(K, y, n) for n in range(len(y))]
    np.testing.assert_allclose(left_out_errors(phi, y, counts, PROCESS), errors, rtol=1e-10)
    nothing, level = expected_taste(np.zeros((0, 3)), np.zeros(0), np.zeros(0), PROCESS)
    assert (nothing.tolist(), level) == ([0, 0, 0], 0)


def test_taste_scales_mix_by_evidence() -> None:
    """Against the density of a Student's t with 4 degrees of freedom."""
    phi, y, counts = ONE_HISTORY
    past, target = slice(0, len(y) - 1), len(y) - 1
    means, densities = [], []
    for scale in (0.5, 1.0, 2.0):
        K = joint_covariance(phi, counts, scale)
        means.append(conditional_mean(K, y, target))
        S = 0.55 * K[past, past]
        kernel = 1 + y[past] @ np.linalg.solve(S, y[past]) / 4
        densities.append(kernel ** (-(4 + target) / 2) / np.linalg.det(S) ** 0.5)
    mixed = RatingPredictor.Settings(**{**vars(PROCESS), "taste_range": 2.0})
    weights, shift = expected_taste(phi[past], y[past], counts[past], mixed)
    assert phi[-1] @ weights + shift == pytest.approx(np.average(means, weights=densities), rel=1e-6)


def test_damped_means_solve_the_ridge_problem() -> None:
    data = planted_data()
    design = np.zeros((data.n_ratings, data.n_users + N_MOVIES))
    design[np.arange(data.n_ratings), data.user_rows()] = 1
    design[np.arange(data.n_ratings), data.n_users + data.movie_rows] = 1
    penalty = np.diag(np.r_[np.full(data.n_users, 3.0), np.full(N_MOVIES, 2.0)])
    mu = data.ratings.mean(dtype=np.float64)
    solution = np.linalg.solve(design.T @ design + penalty, design.T @ (data.ratings - mu))
    mean, b_i, b_u = damped_means(data, 2.0, 3.0)
    assert mean[0] == pytest.approx(mu, rel=1e-6)
    np.testing.assert_allclose(np.r_[b_u, b_i], solution, atol=1e-3)


def catalog() -> Catalog:
    titles = [f"Movie {i} ({1980 + i * 35 // N_MOVIES})" for i in range(N_MOVIES)]
    genres = N_MOVIES // 2 * ["Comedy", "Drama"]
    return Catalog([{"movieId": str(i), "title": titles[i], "genres": genres[i]} for i in range(N_MOVIES)])


def planted_data(shuffle: bool = False, seed: int = 1) -> Interactions:
    """Return 80 users who give one parity 4.5 or 4 and the other 2 or 1.5, and rate more of what they like."""
    rng = np.random.default_rng(seed)
    fitting = (np.arange(N_MOVIES) % 2 == 0) == (rng.random(80) < 0.5)[:, None]
    users, movies = np.nonzero(rng.random((80, N_MOVIES)) < np.where(fitting, 0.8, 0.4))
    ratings = np.where(fitting[users, movies], 4.25, 1.75) + rng.choice([-0.25, 0.25], len(users))
    if shuffle:
        for user in range(80):
            ratings[users == user] = rng.permutation(ratings[users == user])
    times = rng.permutation(len(users))
    return Interactions.from_columns(users, movies, ratings, times, np.arange(N_MOVIES), np.arange(80))


def held_out_rmse(data: Interactions, model: RatingPredictor) -> float:
    late = np.arange(data.n_ratings) >= np.repeat(data.indptr[1:], np.diff(data.indptr)) - 3
    known, rest = data.take(~late), data.take(late)
    scores = np.clip(model.fit(known).score(known, np.arange(80)), 0.5, 5)
    return float(np.sqrt(np.mean((scores[rest.user_rows(), rest.movie_rows] - rest.ratings) ** 2)))


@pytest.mark.parametrize("parts", [catalog(), None])
def test_planted_tastes_are_learned_and_shuffled_ones_are_not(parts: Catalog) -> None:
    for shuffle in (False, True):
        data = planted_data(shuffle)
        means = held_out_rmse(data, RatingPredictor(genres=0, years=0, residual=0, **OFF, **SIZES))
        error = held_out_rmse(data, RatingPredictor(parts, **SIZES))
        assert error > 0.97 * means if shuffle else error < 0.6 * means


def test_a_user_without_ratings_gets_what_all_think_and_the_oldest_ratings_are_left_out() -> None:
    data = planted_data()
    model = RatingPredictor(catalog(), residual_bias=0.0).fit(data)
    nobody = data.take(data.user_rows() != 2)
    np.testing.assert_allclose(model.score(nobody, [2])[0], model.mean_ + model.movie_bias_, atol=1e-6)
    # the place among users, which uses all ratings, is switched off
    model = RatingPredictor(catalog(), longest_history=5, residual=0.0).fit(data)
    recent = data.take(np.arange(data.n_ratings) >= np.repeat(data.indptr[1:], np.diff(data.indptr)) - 5)
    np.testing.assert_allclose(model.score(data, [0, 1]), model.score(recent, [0, 1]), atol=1e-6)
    with pytest.raises(DataError, match="no ratings"):
        RatingPredictor().fit(data.take(np.zeros(data.n_ratings, dtype=bool)))


def test_features_and_residual_weights_are_as_the_header_says() -> None:
    data = planted_data()
    model = RatingPredictor(catalog(), longest_history=10, **SIZES).fit(data)
    chosen, phi, counts = model.settings, model.movie_features_.astype(np.float64), data.movie_counts()
    blocks = {"cooccurrence": phi[:, :4], "genres": phi[:, 4:6], "years": phi[:, 6:-2]}
    for name, part in blocks.items():
        np.testing.assert_allclose(np.square(part).sum(axis=1), getattr(chosen, name), rtol=1e-4)
    assert np.average(phi[:, -1], weights=counts) == pytest.approx(0, abs=1e-5)
    assert np.average(phi[:, -1] ** 2, weights=counts) == pytest.approx(chosen.fame, rel=1e-4)
    assert np.average(phi[:, -2] ** 2, weights=counts) == pytest.approx(chosen.quality, rel=1e-4)
    P, errors = [], []
    for row in range(data.n_users):
        seen = data.movie_rows[data.row(row)]
        y = (data.ratings[data.row(row)] - model.mean_ - model.movie_bias_[seen]).astype(np.float64)
        place = model.cooccurrence_vectors_[seen].sum(axis=0)
        psi = np.append(np.sqrt(chosen.residual) * place / np.linalg.norm(place), np.sqrt(chosen.residual_bias))
        cuts = np.arange(len(seen) % 10, len(seen), 10)
        for piece, ratings in zip(np.split(seen, cuts), np.split(y, cuts)):
            errors += left_out_errors(phi[piece], ratings, counts[piece].astype(float), chosen).tolist()
        P += [psi] * len(seen)
    for movie in range(0, N_MOVIES, 5):
        rated = data.movie_rows == movie
        X = np.array(P)[rated]
        z = np.linalg.solve(X.T @ X + np.eye(5), X.T @ np.array(errors)[rated])
        np.testing.assert_allclose(model.residual_weights_[movie], z, rtol=1e-3, atol=1e-4)
