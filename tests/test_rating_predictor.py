"""The rating predictor: the process against textbook formulas written out, the model against planted tastes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.rating_predictor import RatingPredictor, damped_means
from recommender.learn.taste_process import Covariance, covariance_matrix, expect, left_out_errors

N_MOVIES = 24
PROCESS = Covariance(level=0.3, mood=0.2, mood_span=5.0, drift=0.4, drift_span=8.0, rare=3.0, keenness=1.0)


def one_history(n: int = 7, d: int = 3) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=n), rng.integers(1, 50, n).astype(float)


def cell(i: int, j: int, phi: np.ndarray, c: Covariance, keen: float) -> float:
    """Return cov(f_i, f_j) as the header of taste_process writes it, for places i and j."""
    apart = abs(i - j)
    taste = keen * float(phi[i] @ phi[j]) * (1 - c.drift + c.drift * np.exp(-apart / c.drift_span))
    return float(taste + c.level + c.mood * np.exp(-apart / c.mood_span))


def joint_covariance(phi: np.ndarray, counts: np.ndarray, c: Covariance, keen: float = 1.0) -> np.ndarray:
    """Return the covariance of all ratings, noise included; cell by cell."""
    n = len(phi)
    K = np.array([[cell(i, j, phi, c, keen) for j in range(n)] for i in range(n)])
    return K + np.diag(1 + c.rare / (counts + 1))


def conditional_mean(K: np.ndarray, y: np.ndarray, which: int) -> float:
    """Return E[y_which | all others] of a Gaussian with mean 0, by the formula for blocks."""
    others = np.delete(np.arange(len(y)), which)
    return float(K[which, others] @ np.linalg.inv(K[np.ix_(others, others)]) @ y[others])


def test_covariance_is_as_written() -> None:
    phi, _, counts = one_history()
    expected = joint_covariance(phi, counts, PROCESS, keen=2.0)
    np.testing.assert_allclose(covariance_matrix(phi, counts, PROCESS, keen=2.0), expected, rtol=1e-12)


def test_expectation_of_the_next_rating_is_the_conditional_mean() -> None:
    phi, y, counts = one_history()
    taste = expect(phi[:-1], y[:-1], counts[:-1], PROCESS)
    expected = conditional_mean(joint_covariance(phi, counts, PROCESS), y, len(y) - 1)
    assert phi[-1] @ taste.weights + taste.shift == pytest.approx(expected, rel=1e-10)


def test_left_out_errors_are_those_of_leaving_out() -> None:
    phi, y, counts = one_history()
    K = joint_covariance(phi, counts, PROCESS)
    expected = [y[n] - conditional_mean(K, y, n) for n in range(len(y))]
    np.testing.assert_allclose(left_out_errors(phi, y, counts, PROCESS), expected, rtol=1e-10)


@pytest.mark.dev
def test_keenness_mixes_by_evidence() -> None:
    """Against the density of a Student's t from scipy, an implementation that shares nothing with ours."""
    stats = pytest.importorskip("scipy.stats")
    phi, y, counts = one_history()
    past, target = slice(0, len(y) - 1), len(y) - 1
    means, densities = [], []
    for keen in (0.5, 1.0, 2.0):
        K = joint_covariance(phi, counts, PROCESS, keen)
        means.append(conditional_mean(K, y, target))
        t = stats.multivariate_t(shape=0.55 * K[past, past], df=4)
        densities.append(t.pdf(y[past]))
    expected = np.average(means, weights=densities)
    taste = expect(phi[past], y[past], counts[past], PROCESS._replace(keenness=2.0))
    assert phi[-1] @ taste.weights + taste.shift == pytest.approx(expected, rel=1e-6)


def test_nobody_known_is_expected_at_the_average() -> None:
    taste = expect(np.zeros((0, 3)), np.zeros(0), np.zeros(0), PROCESS)
    assert taste.weights.tolist() == [0, 0, 0]
    assert taste.shift == 0


def test_damped_means_solve_the_ridge_problem() -> None:
    """The same problem as one dense system: a column for each person and each movie."""
    data = planted_data()
    people, movies = data.user_rows(), data.movie_rows
    design = np.zeros((data.n_ratings, data.n_users + N_MOVIES))
    design[np.arange(data.n_ratings), people] = 1
    design[np.arange(data.n_ratings), data.n_users + movies] = 1
    penalty = np.diag(np.r_[np.full(data.n_users, 3.0), np.full(N_MOVIES, 2.0)])
    mu = data.ratings.mean(dtype=np.float64)
    solution = np.linalg.solve(design.T @ design + penalty, design.T @ (data.ratings - mu))
    mean, of_movie, of_person = damped_means(data, 2.0, 3.0)
    assert mean[0] == pytest.approx(mu, rel=1e-6)
    np.testing.assert_allclose(of_movie, solution[data.n_users :], atol=1e-3)
    np.testing.assert_allclose(of_person, solution[: data.n_users], atol=1e-3)


def catalog() -> Catalog:
    """Even movies are comedies, odd ones dramas; years spread over 1980 to 2015."""
    rows = [
        {"movieId": str(i), "title": f"Film {i} ({1980 + i * 35 // N_MOVIES})", "genres": ("Comedy", "Drama")[i % 2]}
        for i in range(N_MOVIES)
    ]
    return Catalog(rows)


def planted_data(shuffle: bool = False, seed: int = 1) -> Interactions:
    """Return 80 people who give one parity 4.5 or 4 and the other 2 or 1.5, and rate more of what they like."""
    rng = np.random.default_rng(seed)
    likes_even = rng.random(80) < 0.5
    fitting = (np.arange(N_MOVIES) % 2 == 0) == likes_even[:, None]
    users, movies = np.nonzero(rng.random((80, N_MOVIES)) < np.where(fitting, 0.8, 0.4))
    fits = fitting[users, movies]
    ratings = np.where(fits, 4.25, 1.75) + rng.choice([-0.25, 0.25], len(users))
    if shuffle:
        for user in range(80):
            own = users == user
            ratings[own] = rng.permutation(ratings[own])
    times = rng.permutation(len(users))
    return Interactions.from_columns(users, movies, ratings, times, np.arange(N_MOVIES), np.arange(80))


def held_out_rmse(data: Interactions, model: RatingPredictor) -> float:
    """Return the error on each person's last three ratings."""
    ends = np.repeat(data.indptr[1:], np.diff(data.indptr))
    late = np.arange(data.n_ratings) >= ends - 3
    known, rest = data.take(~late), data.take(late)
    predicted = model.fit(known).predict(known, rest.user_rows(), rest.movie_rows)
    return float(np.sqrt(np.mean((predicted - rest.ratings) ** 2)))


@pytest.mark.parametrize("with_catalog", [True, False])
def test_planted_tastes_are_learned_and_shuffled_ones_are_not(with_catalog: bool) -> None:
    """Measured against means alone: with every taste variance at 0, only the person's level is left."""
    parts = catalog() if with_catalog else None
    sizes = {"company_factors": 4, "alike_factors": 4}
    for shuffle in (False, True):
        data = planted_data(shuffle)
        means = held_out_rmse(data, RatingPredictor(company=0, genres=0, years=0, quality=0, fame=0, alike=0, **sizes))
        error = held_out_rmse(data, RatingPredictor(parts, **sizes))
        if shuffle:
            assert error > 0.97 * means
        else:
            assert error < 0.6 * means


def test_what_people_alike_found_counts_without_any_feature() -> None:
    """With every taste variance at 0, only psi . z is left that can tell who likes what."""
    data = planted_data()
    off = {"company": 0.0, "quality": 0.0, "fame": 0.0}
    without = held_out_rmse(data, RatingPredictor(alike=0.0, alike_factors=4, **off))
    with_others = held_out_rmse(data, RatingPredictor(alike=1.0, alike_factors=4, **off))
    assert with_others < 0.95 * without


def test_predictions_are_the_scores_clipped() -> None:
    data = planted_data()
    model = RatingPredictor(catalog(), level=5.0).fit(data)
    scores = model.score(data, np.arange(80))
    users, movies = (part.ravel() for part in np.indices(scores.shape))
    predicted = model.predict(data, users, movies).reshape(scores.shape)
    np.testing.assert_allclose(predicted, np.clip(scores, 0.5, 5), atol=1e-5)
    assert predicted.dtype == np.float32


def test_batch_equals_single_and_strangers_need_no_training() -> None:
    model = RatingPredictor(catalog()).fit(planted_data())
    strangers = planted_data(seed=2)
    together = model.score(strangers, [5, 2, 9])
    for line, row in enumerate([5, 2, 9]):
        np.testing.assert_allclose(model.score(strangers, row)[0], together[line], rtol=1e-5, atol=1e-5)
    pairs = model.predict(strangers, [5, 9, 5], [0, 1, 2])
    np.testing.assert_allclose(pairs, np.clip(together[[0, 2, 0], [0, 1, 2]], 0.5, 5), atol=1e-5)


def test_a_person_without_ratings_gets_what_all_think_of_a_film() -> None:
    data = planted_data()
    model = RatingPredictor(catalog(), alike_level=0.0).fit(data)
    nobody = data.take(data.user_rows() != 2)
    np.testing.assert_allclose(model.score(nobody, [2])[0], model.mean + model.movie_bias, atol=1e-6)


def test_the_newest_ratings_of_a_long_history_are_used() -> None:
    """Earlier ones then do not matter for the taste; the place among people, which uses all, is switched off."""
    data = planted_data()
    model = RatingPredictor(catalog(), longest_history=5, alike=0.0).fit(data)
    ends = np.repeat(data.indptr[1:], np.diff(data.indptr))
    recent = data.take(np.arange(data.n_ratings) >= ends - 5)
    np.testing.assert_allclose(model.score(data, [0, 1]), model.score(recent, [0, 1]), atol=1e-6)
    assert (
        np.abs(model.score(data, [0]) - RatingPredictor(catalog(), alike=0.0).fit(data).score(data, [0])).max() > 0.01
    )


def test_fitting_again_equals_fitting_fresh_and_loading(tmp_path: Path) -> None:
    data = planted_data()
    model = RatingPredictor(catalog()).fit(planted_data(seed=4)).fit(data)
    scores = model.score(data, np.arange(80))
    np.testing.assert_array_equal(scores, RatingPredictor(catalog()).fit(data).score(data, np.arange(80)))
    model.save(tmp_path / "predictor")
    loaded = RatingPredictor.load(tmp_path / "predictor")
    np.testing.assert_array_equal(scores, loaded.score(data, np.arange(80)))


OTHER = {
    "longest_history": 4,
    "company_factors": 2,
    "alike_factors": 3,
    "keenness": 1.0,
    "drift": 0.9,
    "liking": 0.9,
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(RatingPredictor.Settings)])
def test_every_setting_changes_the_scores(name: str) -> None:
    if name == "seed":
        pytest.skip("matrices of this size take the exact SVD, where the seed plays no part")
    data = planted_data()
    usual = {"company_factors": 4, "alike_factors": 6}
    before = RatingPredictor(catalog(), **usual).fit(data)
    value = OTHER.get(name, 3 * getattr(before.settings, name) + 0.1)
    after = RatingPredictor(catalog(), **{**usual, name: value}).fit(data)
    rows = np.arange(80)
    assert np.abs(before.score(data, rows) - after.score(data, rows)).max() > 1e-4


def test_bad_input_is_refused() -> None:
    data = planted_data()
    model = RatingPredictor().fit(data)
    with pytest.raises(DataError, match="one length"):
        model.predict(data, [0, 1], [0])
    other = Interactions.from_columns([0], [99], [4], [0])
    with pytest.raises(DataError, match="other movies"):
        model.predict(other, [0], [0])
    with pytest.raises(DataError, match="no ratings"):
        RatingPredictor().fit(data.take(np.zeros(data.n_ratings, dtype=bool)))


def test_features_and_appeals_are_as_the_header_says() -> None:
    """The last two parts of the model again, film by film; ten of a person's ratings are used at a time."""
    data = planted_data()
    model = RatingPredictor(catalog(), longest_history=10, alike_factors=4, company_factors=4).fit(data)
    settings, phi = model.settings, model.movie_features.astype(np.float64)
    counts = data.movie_counts()
    for part, variance in (
        (phi[:, :4], settings.company),
        (phi[:, 4:6], settings.genres),
        (phi[:, 6:-2], settings.years),
    ):
        np.testing.assert_allclose(np.square(part).sum(axis=1), variance, rtol=1e-4)
    assert np.average(phi[:, -1], weights=counts) == pytest.approx(0, abs=1e-5)
    assert np.average(phi[:, -1] ** 2, weights=counts) == pytest.approx(settings.fame, rel=1e-4)
    assert np.average(phi[:, -2] ** 2, weights=counts) == pytest.approx(settings.quality, rel=1e-4)
    process = Covariance(**{name: getattr(settings, name) for name in Covariance._fields})
    P, errors, film = [], [], []
    for row in range(data.n_users):
        seen = data.movie_rows[data.indptr[row] : data.indptr[row + 1]]
        y = data.ratings[data.indptr[row] : data.indptr[row + 1]] - model.mean - model.movie_bias[seen]
        place = model.company_vectors[seen].sum(axis=0)
        psi = np.append(np.sqrt(settings.alike) * place / np.linalg.norm(place), np.sqrt(settings.alike_level))
        cuts = np.arange(len(seen) % 10, len(seen), 10)
        for piece, ratings in zip(np.split(seen, cuts), np.split(y.astype(np.float64), cuts)):
            if len(piece):
                errors += left_out_errors(phi[piece], ratings, counts[piece].astype(float), process).tolist()
        P += [psi] * len(seen)
        film += seen.tolist()
    for movie in range(0, N_MOVIES, 5):
        rated = np.array(film) == movie
        X = np.array(P)[rated]
        z = np.linalg.solve(X.T @ X + np.eye(5), X.T @ np.array(errors)[rated])
        np.testing.assert_allclose(model.appeals[movie], z, rtol=1e-3, atol=1e-4)
