"""The conditional Gaussian: the fit against a dense covariance, the scores against a Gaussian conditioned otherwise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model import train_session_model
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder
from recommender.facade import Recommender
from recommender.learn.features import pseudo_users
from recommender.session.gaussian import N_KEPT, ConditionalGaussian, Gaussian, GaussianSettings, load_gaussian
from recommender.session.policy import PolicySettings
from recommender.session.rules import MovingAverage
from recommender.session.state import ANSWERS, Event
from recommender.session.taste_covariance import CenteredMatrix, fit_gaussian, save_gaussian
from tests.test_session import about, make_catalog
from tests.tiny import make_processed, random_ratings


def made_up(seed: int = 0) -> Gaussian:
    rng = np.random.default_rng(seed)
    vectors, limits = rng.normal(0, 0.3, (90, 6)), ((0, 0.4), (0.1, 0.3), (0, 0.5))  # of means, noise, base
    return Gaussian(*(part.astype(np.float32) for part in (vectors, *(rng.uniform(*one, 90) for one in limits))), 400)


def some_events(seed: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    answers = ["favorite"] * 4 + rng.choice(ANSWERS, 20).tolist()
    return [Event(row, answer) for row, answer in zip(rng.permutation(90).tolist(), answers)]


@pytest.mark.parametrize(("seed", "weight", "familiarity"), [(0, 1.0, 1.0), (1, 0.25, 0.6), (2, 0.5, 0.0)])
def test_scores_are_the_conditional_mean_of_the_joint_gaussian(seed, weight, familiarity):
    # the other way: the covariance of all movies and all answers, inverted as a whole
    fitted, settings = made_up(seed=seed), GaussianSettings()
    policy = PolicySettings(familiarity=familiarity, not_interested_weight=weight, later_weight=0.3)
    rule, events = ConditionalGaussian(fitted, settings, policy), some_events(seed)
    heard = [event for event in events if event.answer != "skip"]
    rows = [event.row for event in heard]
    rest = np.setdiff1d(np.arange(90), rows)

    V = fitted.vectors.astype(np.float64)
    own = 0.6 * fitted.noise.astype(np.float64)  # of which the movie itself
    movies = V @ V.T + np.diag(own)
    trust = np.array([weight if event.answer == "not interested" else 1.0 for event in heard])
    later = np.array([0.3 if event.answer in ("later", "seen") else 1.0 for event in heard])
    prior = (V[rows] ** 2).sum(axis=1)
    noise = (prior + fitted.noise[rows] / trust) / later - prior - own[rows]
    across = movies[np.ix_(rest, rows)]
    joint = np.block([[movies[np.ix_(rest, rest)], across], [across.T, movies[np.ix_(rows, rows)] + np.diag(noise)]])
    precision = np.linalg.inv(joint)
    value = {"dislike": settings.low_value, "not interested": 0.0}
    surprise = np.array([value.get(event.answer, 1.0) for event in heard]) - fitted.means[rows]
    n = len(rest)
    sd = np.sqrt((V**2).sum(axis=1) + fitted.noise)
    scale = (sd / sd.mean())[rest] ** -(1 - familiarity)
    expected = -scale * np.linalg.solve(precision[:n, :n], precision[:n, n:] @ surprise)
    expected += (0.2 + 0.8 * familiarity**1.5) * fitted.base[rest]
    np.testing.assert_allclose(rule.scores(events)[rest], expected, atol=2e-6)


def test_scores_do_not_depend_on_what_was_scored_before():
    rng, kinds = np.random.default_rng(4), ("favorite", *ANSWERS)
    sessions = [[Event(row, str(rng.choice(kinds))) for row in rng.permutation(90).tolist()] for _ in range(3)]
    sessions[2][:50] = sessions[1][:50]  # parts after its first block
    words = [about(rng.normal(size=6).astype(np.float32), noise, 0.5) for noise in (0.0, 0.04)]  # one exactly known
    asked = [session[:n] for n in (31, 32, 33, 70, 90, 60, 64) for session in sessions]
    asked += [[*session[:20], word, *session[20:40]] for session in sessions for word in words]
    used = ConditionalGaussian(made_up(), GaussianSettings())
    for events in asked + asked[::-1]:
        fresh = ConditionalGaussian(made_up(), GaussianSettings())
        np.testing.assert_array_equal(used.scores(events), fresh.scores(events))
        weights = used.event_weights(events)
        heard, V, noise, surprise = used._equations(events)
        np.testing.assert_allclose(weights[heard], np.linalg.solve(V @ V.T + np.diag(noise), surprise), rtol=1e-6)
        table = used.contributions(events, np.arange(90))
        np.testing.assert_allclose(table.sum(axis=0), used.scores(events), atol=1e-5)
    assert len(used._kept) <= N_KEPT
    assert {len(known.events) for known in used._kept} == {32, 64}


def test_later_alone_is_a_share_of_a_like_however_well_known_the_movie():
    fitted = made_up()
    known = fitted._replace(vectors=fitted.vectors * np.linspace(0.1, 9, 90, dtype=np.float32)[:, None])
    rule = ConditionalGaussian(known, GaussianSettings(), PolicySettings(later_weight=0.3))
    for row in (0, 40, 89):
        later, like = (rule.contributions([Event(row, answer)], np.arange(90))[1] for answer in ("later", "like"))
        np.testing.assert_allclose(later, 0.3 * like, rtol=1e-5, atol=1e-7)


def test_a_pseudo_item_is_as_a_like_of_one_more_movie():
    fitted = made_up()
    vector = np.random.default_rng(2).normal(size=6).astype(np.float32)
    added = (vector[None], [0.0], [0.08], [0.0])
    parts = (np.concatenate((part, more)).astype(np.float32) for part, more in zip(fitted, added))
    rule, larger = (
        ConditionalGaussian(one, GaussianSettings(), PolicySettings(familiarity=1))  # else the mean deviation differs
        for one in (fitted, Gaussian(*parts, 400))
    )
    events = [Event(3, "favorite"), Event(9, "dislike"), about(vector, 0.04, 0.5), Event(20, "skip")]
    others = [Event(90, "like") if event.item else event for event in events]
    np.testing.assert_allclose(rule.event_weights(events), larger.event_weights(others), rtol=1e-5)
    np.testing.assert_allclose(rule.scores(events), larger.scores(others)[:90], atol=1e-6)
    rows = np.array([1, 30])
    np.testing.assert_allclose(rule.contributions(events, rows), larger.contributions(others, rows), atol=1e-6)


@pytest.mark.parametrize("name", ["conditional-gaussian", "moving-average"])
def test_a_skip_and_an_answer_of_no_weight_say_nothing(name):
    events, policy = some_events(3), PolicySettings(not_interested_weight=0)
    rule = MovingAverage(made_up().vectors, policy)
    if name == "conditional-gaussian":
        rule = ConditionalGaussian(made_up(), GaussianSettings(), policy)
    without = [event for event in events if event.answer not in ("skip", "not interested")]
    np.testing.assert_array_equal(rule.scores(events), rule.scores(without))
    np.testing.assert_allclose(rule.contributions(events, np.arange(90)).sum(axis=0), rule.scores(events), atol=1e-5)


@pytest.mark.parametrize("largest_dense", [10**6, 0])
def test_fit_is_the_best_low_rank_part_of_the_covariance(largest_dense, monkeypatch):
    monkeypatch.setattr("recommender.linalg.randomized_svd.DENSE_CELLS", largest_dense)
    data, catalog = random_ratings(0, 70, 40), make_catalog(40)
    settings = GaussianSettings(rank=7, genre_weight=0.3, low_value=0.2)
    x = np.zeros((70, 40))
    for row, movie, rating in zip(data.user_rows(), data.movie_rows, data.ratings):
        x[row, movie] = 1.0 if rating >= 4 else settings.middling_value if rating >= 3 else settings.low_value
    weights = np.diff(data.indptr).astype(float) ** -settings.activity_exponent
    weights /= weights.sum()
    mu = weights @ x
    ratings_part = (x - mu).T @ ((x - mu) * weights[:, None])
    sd = np.sqrt(np.diag(ratings_part))
    bumps = [[max(0.0, 1 - abs(int(year) - t) / 20) for t in range(1920, 2021, 10)] for year in catalog.years]
    near = [[np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a in bumps] for b in bumps]
    genres = [set(catalog.movie(i).genres) for i in range(40)]
    cosine = [[len(a & b) / np.sqrt(len(a) * len(b)) for a in genres] for b in genres]
    C = ratings_part + 0.3 * sd[:, None] * np.multiply(cosine, near) * sd
    fitted = fit_gaussian(data, catalog, settings)
    np.testing.assert_allclose(fitted.means, mu, atol=1e-6)
    values, vectors = np.linalg.eigh(C)
    best = (vectors[:, -7:] * values[-7:]) @ vectors[:, -7:].T
    np.testing.assert_allclose(fitted.vectors @ fitted.vectors.T, best, atol=1e-5)
    noise = np.diag(C - best) + settings.noise_share * np.diag(ratings_part) + settings.noise / np.sqrt(70)
    np.testing.assert_allclose(fitted.noise, noise, atol=1e-5)
    base = weights @ (x == 1) - settings.popularity_discount * np.log(1 + 100 * (x > 0).mean(axis=0))
    np.testing.assert_allclose(fitted.base, base, atol=1e-6)
    assert fitted.n_users == 70


def test_people_without_ratings_change_nothing_and_the_rank_is_cut_to_the_data():
    data, catalog, settings = random_ratings(0, 70, 40), make_catalog(40), GaussianSettings(rank=5)
    columns = (data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows], data.ratings, data.times)
    wider = Interactions.from_columns(*columns, data.movie_ids, np.append(data.user_ids, [1000, 2000]))
    for one, other in zip(*(fit_gaussian(each, catalog, settings) for each in (data, wider))):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(DataError, match="no ratings"):
        fit_gaussian(data.take(np.zeros(data.n_ratings, dtype=bool)), catalog, settings)
    most, enough = (fit_gaussian(data, catalog, GaussianSettings(rank=rank)) for rank in (500, 40))
    np.testing.assert_allclose(most.vectors @ most.vectors.T, enough.vectors @ enough.vectors.T, atol=1e-6)


def test_every_setting_changes_the_scores():
    data, catalog = random_ratings(0, 70, 40), make_catalog(40)
    events = [Event(0, "favorite"), Event(1, "dislike"), Event(2, "skip"), Event(3, "like")]

    def scores(**changed: float) -> np.ndarray:
        settings = dataclasses.replace(GaussianSettings(rank=6), **changed)
        return ConditionalGaussian(fit_gaussian(data, catalog, settings), settings).scores(events)

    np.testing.assert_array_equal(usual := scores(), scores())
    changes = {"rank": 5, "middling_value": 0.7, "low_value": 0.05, "noise": 2.0}
    changes |= dict.fromkeys(("noise_share", "popularity_discount", "activity_exponent", "genre_weight"), 0.0)
    assert {field.name for field in dataclasses.fields(GaussianSettings)} == {*changes, "seed"}
    for name, value in changes.items():
        assert np.abs(scores(**{name: value}) - usual).max() > 1e-4, name


def test_pseudo_users_leave_out_what_is_unknown():
    listed = (("A (1990)", "(no genres listed)"), ("B", "Drama"), ("C (1800)", "Drama"))
    movies = [{"movieId": str(i), "title": title, "genres": genres} for i, (title, genres) in enumerate(listed)]
    squares = (pseudo_users(Catalog(movies), np.array([1.0, 1.0, 2.0])) ** 2).sum(axis=1)
    assert squares.tolist() == pytest.approx([0, 0, 4])  # scale squared: an old movie counts as one of 1920


def test_centered_matrix_multiplies_like_the_dense_one():
    A, roots = (np.random.default_rng(0).random((71, 40)) < 0.3).astype(np.float32), np.append(np.full(70, 70**-0.5), 0)
    rows = np.append(0, A.sum(axis=1).cumsum().astype(int)), np.nonzero(A)[1].astype(np.int32), A[A != 0]
    matrix, dense = CenteredMatrix(rows, roots @ A, roots), A - np.outer(roots, roots @ A)
    np.testing.assert_allclose(matrix.transposed_times(A), dense.T @ A, atol=1e-4)
    assert matrix.energy() == pytest.approx((dense**2).sum(), rel=1e-5)


def test_saved_and_loaded_it_is_the_same_and_what_does_not_fit_is_refused(tmp_path):
    data, catalog, settings = random_ratings(0, 70, 40), make_catalog(40), GaussianSettings(rank=6, noise=1.5)
    fitted = fit_gaussian(data, catalog, settings)
    with pytest.raises(ArtifactError, match="train_session_model"):
        load_gaussian(tmp_path, data.movie_ids)
    save_gaussian(tmp_path, fitted, settings, data.movie_ids, "train")
    again, found = load_gaussian(tmp_path, data.movie_ids)
    assert found == settings
    assert all(np.array_equal(one, other) for one, other in zip(fitted, again))
    with pytest.raises(ArtifactError, match="another movie list"):
        load_gaussian(tmp_path, data.movie_ids + 1)


def test_the_shipped_model_is_what_the_program_makes(tmp_path, capsys):
    train_session_model.main(["--output", str(tmp_path / "out")])
    assert "2,672 users" in capsys.readouterr().out
    processed = default_folder("processed")
    ids = Catalog.load(processed).movie_ids
    made, settings = load_gaussian(tmp_path / "out", ids)
    shipped, shipped_settings = load_gaussian(processed / "artifacts" / "session", ids)
    assert settings == shipped_settings == GaussianSettings()
    for one, other in zip(made, shipped):
        np.testing.assert_allclose(one, other, atol=2e-5)  # another BLAS rounds differently


def test_a_recommender_learns_by_the_rule_of_its_policy(tmp_path):
    shipped = Recommender.load(policy=PolicySettings(familiarity=0.7))
    rates = {"learning_rate": 0.3, "negative_weight": 0.7}
    average = Recommender.load(policy=PolicySettings(learning_rule="moving-average", **rates))
    without = Recommender.load(make_processed(tmp_path))  # it has no artifacts/session
    assert isinstance(shipped.rule, ConditionalGaussian)
    assert all(isinstance(one.rule, MovingAverage) for one in (average, without))
    assert (shipped.rule.policy.familiarity, shipped.notes, average.notes) == (0.7, [], [])
    assert rates.items() <= vars(average.rule.policy).items()
    assert "run python -m model.train_session_model" in "".join(without.notes)
