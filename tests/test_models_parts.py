"""Biases, neighbours, content, trends and the stacker's parts against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.learn.baselines import Biases, Trending
from recommender.learn.content import Content
from recommender.learn.item_knn import ItemKnn
from recommender.learn.stacking import ranking_network
from recommender.learn.stacking.stacker import N_FEATURES, Stacker, cut, cut_lengths, features, standardized

DAY = 86_400
# three people, four movies
TINY = Interactions.from_columns(
    [1, 1, 1, 2, 2, 3, 3], [10, 20, 30, 10, 20, 20, 40], [5, 4, 2, 4, 5, 4, 3], [1, 2, 3, 4, 5, 6, 7]
)


def test_biases_by_hand() -> None:
    model = Biases(movie_damping=1, user_damping=2).fit(TINY)
    mu = 27 / 7
    assert model.mean_[0] == pytest.approx(mu)
    b = [(9 - 2 * mu) / 3, (13 - 3 * mu) / 4, (2 - mu) / 2, (3 - mu) / 2]
    np.testing.assert_allclose(model.movie_bias_, b, rtol=1e-5)
    b_u = ((5 - mu - b[0]) + (4 - mu - b[1]) + (2 - mu - b[2])) / 5
    np.testing.assert_allclose(model.score(TINY, 0)[0], mu + b_u + np.array(b), rtol=1e-5)


def test_cosine_neighbours_by_hand() -> None:
    """Likes: 1 -> {10, 20}, 2 -> {10, 20}, 3 -> {20}."""
    model = ItemKnn(weighting="cosine", shrinkage=0.5, neighbours=1).fit(TINY)
    assert model.neighbours_[:2].tolist() == [[1], [0]]
    assert model.similarities_[:2, 0] == pytest.approx([2 / (np.sqrt(6) + 0.5)] * 2)
    assert not model.similarities_[2:].any()
    person = Interactions.from_columns([9, 9], [20, 40], [4, 2], [1, 2], TINY.movie_ids)
    assert model.score(person, 0)[0] == pytest.approx([2 / (np.sqrt(6) + 0.5), 0, 0, 0])


def test_tfidf_neighbours_by_hand() -> None:
    model = ItemKnn(weighting="tfidf", neighbours=1).fit(TINY)
    two, one = np.log(4) - np.log(3), np.log(4) - np.log(2)
    expected = 2 * two**2 / (np.sqrt(2 * two**2) * np.sqrt(2 * two**2 + one**2))
    assert model.similarities_[0, 0] == pytest.approx(expected, rel=1e-5)


def test_content_by_hand() -> None:
    rows = [("10", "Comedy"), ("20", "Comedy|War"), ("30", "War"), ("40", "")]
    catalog = Catalog([{"movieId": i, "title": i, "genres": g} for i, g in rows])
    model = Content(catalog, popularity=0, liking=0.5).fit(TINY)  # both genres in 2 of 4: equal weights
    half = np.sqrt(0.5)
    np.testing.assert_allclose(model.features_, [[1, 0], [half, half], [0, 1], [0, 0]], rtol=1e-6)
    person = Interactions.from_columns([9, 9], [10, 30], [5, 2], [1, 2], TINY.movie_ids)
    profile = np.array([1.5 + 0.5, -1.5 + 0.5])  # mean 3.5
    expected = model.features_ @ profile / np.linalg.norm(profile)
    np.testing.assert_allclose(model.score(person, 0)[0], expected, rtol=1e-5)
    popular = Content(catalog, popularity=2).fit(TINY).score(person, 0)[0] - model.score(person, 0)[0]
    np.testing.assert_allclose(popular, 2 * np.log1p([2, 3, 0, 0]) / np.log(4), rtol=1e-5)


def test_trending_counts_by_a_plain_loop_and_never_looks_ahead() -> None:
    rng = np.random.default_rng(0)
    n = 200
    times = 10**9 + rng.integers(0, 4000 * DAY, n)
    cells = rng.permutation(20 * 15)[:n]
    data = Interactions.from_columns(cells // 15, cells % 15, rng.integers(1, 11, n) / 2, times, np.arange(16))
    model = Trending(half_life_days=100).fit(data)
    moments = np.array([10**9 - 5, 10**9 + 1000 * DAY, int(times[7]), 10**9 + 9000 * DAY])
    faded, likes, age = model.before(moments)
    for line, moment in enumerate(moments.tolist()):
        for movie in range(16):
            mine = (data.movie_rows == movie) & (data.times < moment)
            liked = data.times[mine & (data.ratings >= 4)]
            assert likes[line, movie] == len(liked)
            assert faded[line, movie] == pytest.approx((2.0 ** (-(moment - liked) / (100 * DAY))).sum(), rel=1e-9)
            first = (moment - data.times[mine].min()) / DAY if mine.any() else 0
            assert age[line, movie] == pytest.approx(first)


def test_network_learns_a_rule_that_no_linear_ranking_can_follow() -> None:
    """The relevant one is the candidate whose first feature is nearest to 0."""
    rng = np.random.default_rng(1)
    lists = rng.normal(size=(600, 10, 2)).astype(np.float32)
    best = np.abs(lists[:, :, 0]).argmin(axis=1)
    targets = np.eye(10, dtype=np.float32)[best]
    network = ranking_network.start(np.zeros(2, dtype=np.float32), 8, rng)
    network = ranking_network.train(network, lists[:400], targets[:400], rng, epochs=60, rate=0.02)
    found = ranking_network.scores(network, lists[400:]).argmax(axis=1)
    assert (found == best[400:]).mean() > 0.7
    linear = lists[400:] @ np.array([1.0, 0.3])
    assert (linear.argmax(axis=1) == best[400:]).mean() < 0.2


def test_standardised_over_the_counted_alone() -> None:
    scores = np.array([[1.0, 3.0, 100.0], [2.0, 2.0, 2.0]])
    counted = np.array([[True, True, False], [True, True, True]])
    assert standardized(scores, counted).tolist() == [[-1, 1, 8], [0, 0, 0]]


def test_features_fade_with_the_break() -> None:
    scores = np.ones((3, 2, 10), dtype=np.float32)
    lists = features(scores, np.array([0.0, 604_800.0, 1e9]), np.array([3, 50, 50]))
    assert lists.shape == (3, 2, N_FEATURES)
    assert lists[:, 0, 10].tolist() == [0, 1, 1]  # far
    assert lists[:, 0, 12:].max(axis=1).tolist() == [0, 1, 1]
    assert lists[0, 0, 11] < lists[1, 0, 11]


def test_cuts_respect_time_and_find_the_break() -> None:
    times = np.concatenate([np.arange(10) + 60, np.arange(10) + np.where(np.arange(10) >= 4, 2 * DAY, 0)])
    data = Interactions.from_columns(np.repeat([1, 2], 10), np.tile(np.arange(10), 2), np.full(20, 4.0), times)
    first, second = cut_lengths(data, DAY, np.random.default_rng(0))
    assert first.tolist() == [7, 7]
    assert second.tolist() == [8, 4]
    known, following = cut(data, second)
    assert np.diff(known.indptr).tolist() == [8, 4]
    assert np.diff(following.indptr).tolist() == [2, 2]
    assert following.movie_rows.tolist() == [8, 9, 4, 5]


def test_no_feature_of_the_stacker_changes_with_what_others_rate_later() -> None:
    """The parts that know time: ratings after the moment leave them as they are."""
    rng = np.random.default_rng(3)
    cells = rng.permutation(30 * 12)[:200]
    times = 10**9 + rng.permutation(200) * DAY
    data = Interactions.from_columns(cells // 12, cells % 12, rng.integers(2, 11, 200) / 2, times, np.arange(12))
    moment = 10**9 + 100 * DAY
    past = data.take(data.times < moment)
    timed = slice(6, 10)
    rows = np.flatnonzero(np.diff(past.indptr) > 0)[:5]
    at = np.full(5, moment)
    found = []
    for part in (data, past):
        stacker = Stacker()
        stacker.fit_parts(part)
        found.append(stacker.scores(past, rows, at)[:, :, timed])
    np.testing.assert_allclose(*found, atol=1e-5)


def test_content_takes_the_keywords_of_the_catalogue() -> None:
    """Three movies of one genre; the person liked one with the keyword that movie 3 has and movie 2 has not."""
    words = {1: "heist; paris", 2: "war", 3: "Heist"}
    rows = [{"movieId": str(i), "title": f"Movie {i}", "genres": "Drama", "keywords": words[i]} for i in words]
    catalog = Catalog([*rows, {"movieId": "4", "title": "Movie 4", "genres": "War", "keywords": ""}])
    history = Interactions.from_columns([1, 2], [1, 2], [5, 5], [1, 1], movie_vocabulary=catalog.movie_ids)
    model = Content(catalog, popularity=0, fewest_movies=1).fit(history)
    with_words = model.score(history, [0])[0]
    assert with_words[2] > with_words[1] + 0.1
    without = Content(catalog, tags=(), popularity=0, fewest_movies=1).fit(history).score(history, [0])[0]
    assert without[2] == without[1]
    assert catalog.keywords() == [(1, "heist"), (1, "paris"), (2, "war"), (3, "Heist")]
