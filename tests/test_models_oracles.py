"""Ranking models against sums by hand, `numpy.linalg` and plain loops."""

from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.learn import ease, ranking_network, stacker
from recommender.learn.base import best_unseen, mask_seen
from recommender.learn.baselines import Biases, MostPopular, Trending
from recommender.learn.content import Content
from recommender.learn.directed_ease import DirectedEase, kernel
from recommender.learn.ease import Ease, pair_sums
from recommender.learn.ials import Ials
from recommender.learn.item_knn import ItemKnn
from recommender.learn.stacker import N_BLEND, N_FEATURES, Stacker, cut, cut_lengths, features, standardized
from recommender.linalg.engine import Engine

from .tiny import DAY, all_scores, random_ratings

# three users, four movies
TINY = Interactions.from_columns(
    [1, 1, 1, 2, 2, 3, 3], [10, 20, 30, 10, 20, 20, 40], [5, 4, 2, 4, 5, 4, 3], [1, 2, 3, 4, 5, 6, 7]
)


def history(movies: list[int], stars: list[float], like: Interactions) -> Interactions:
    return Interactions.from_columns([9] * len(movies), movies, stars, range(len(movies)), like.movie_ids)


def test_lists_hold_unseen_movies_and_a_score_that_is_no_number_comes_last() -> None:
    scores = np.array([[np.nan, 1, 2, 2], [5, 5, -np.inf, 5]], dtype=np.float32)
    assert best_unseen(scores.copy(), TINY, np.array([2, 1]), 5).tolist() == [[2, 0, -1, -1, -1], [3, -1, -1, -1, -1]]
    only = best_unseen(scores.copy(), TINY, np.array([2, 1]), 2, np.array([3, 2, 0]))
    assert only.tolist() == [[2, 0], [3, -1]]


def test_popularity_counts_likes_and_breaks_ties_by_ratings() -> None:
    data = Interactions.from_columns([1, 1, 1, 2, 2], [10, 20, 30, 10, 30], [4, 4.5, 3, 5, 1], [1, 2, 3, 4, 5])
    model = MostPopular().fit(data)
    assert model.likes_.astype(int).tolist() == [2, 1, 0]
    ids, _ = model.recommend(Interactions.from_columns([], [], [], [], data.movie_ids, np.array([9])), [0], 3)
    assert ids.tolist() == [[10, 20, 30]]
    assert MostPopular(threshold=0.5).fit(data).likes_.astype(int).tolist() == [2, 1, 2]


def test_biases_by_hand() -> None:
    model = Biases(movie_damping=1, user_damping=2).fit(TINY)
    mu = 27 / 7
    assert model.mean_[0] == pytest.approx(mu)
    b = [(9 - 2 * mu) / 3, (13 - 3 * mu) / 4, (2 - mu) / 2, (3 - mu) / 2]
    np.testing.assert_allclose(model.movie_bias_, b, rtol=1e-5)
    b_u = ((5 - mu - b[0]) + (4 - mu - b[1]) + (2 - mu - b[2])) / 5
    np.testing.assert_allclose(model.score(TINY, 0)[0], mu + b_u + np.array(b), rtol=1e-5)


def test_trending_counts_by_a_plain_loop_and_never_looks_ahead() -> None:
    data = random_ratings(days=4000)
    data = data.take(data.times <= data.times[data.ratings >= 4].max())  # the newest is a like
    model, newest = Trending(half_life_days=100).fit(data), int(data.times.max())
    moments = np.array([-5, 1000 * DAY, int(data.times[7]), newest, newest + 1, 9000 * DAY])
    faded, likes, age = model.before(moments)
    for line, moment in enumerate(moments.tolist()):
        for movie in range(15):
            mine = (data.movie_rows == movie) & (data.times < moment)
            liked = data.times[mine & (data.ratings >= 4)]
            assert likes[line, movie] == len(liked)
            assert faded[line, movie] == pytest.approx((2.0 ** (-(moment - liked) / (100 * DAY))).sum(), rel=1e-9)
            assert age[line, movie] == pytest.approx((moment - data.times[mine].min()) / DAY if mine.any() else 0)


def test_neighbours_by_hand() -> None:
    """Likes: 1 -> {10, 20}, 2 -> {10, 20}, 3 -> {20}."""
    model = ItemKnn(weighting="cosine", shrinkage=0.5, neighbours=1).fit(TINY)
    assert model.neighbours_[:2].tolist() == [[1], [0]]
    assert model.similarities_[:2, 0] == pytest.approx([2 / (np.sqrt(6) + 0.5)] * 2)
    assert not model.similarities_[2:].any()
    assert model.score(history([20, 40], [4, 2], TINY), 0)[0] == pytest.approx([2 / (np.sqrt(6) + 0.5), 0, 0, 0])
    two, one = np.log(4) - np.log(3), np.log(4) - np.log(2)
    expected = 2 * two**2 / (np.sqrt(2 * two**2) * np.sqrt(2 * two**2 + one**2))
    tfidf = ItemKnn(weighting="tfidf", neighbours=1).fit(TINY)
    assert tfidf.similarities_[0, 0] == pytest.approx(expected, rel=1e-5)


def test_content_by_hand() -> None:
    rows = [("10", "Comedy"), ("20", "Comedy|War"), ("30", "War"), ("40", "")]
    catalog = Catalog([{"movieId": i, "title": i, "genres": g} for i, g in rows])
    model = Content(catalog, popularity=0, liking=0.5).fit(TINY)  # both genres in 2 of 4: equal weights
    half = np.sqrt(0.5)
    np.testing.assert_allclose(model.features_, [[1, 0], [half, half], [0, 1], [0, 0]], rtol=1e-6)
    user = history([10, 30], [5, 2], TINY)
    profile = np.array([1.5 + 0.5, -1.5 + 0.5])  # mean 3.5
    plain = model.score(user, 0)[0]
    np.testing.assert_allclose(plain, model.features_ @ profile / np.linalg.norm(profile), rtol=1e-5)
    popular = Content(catalog, popularity=2).fit(TINY).score(user, 0)[0] - plain
    np.testing.assert_allclose(popular, 2 * np.log1p([2, 3, 0, 0]) / np.log(4), rtol=1e-5)


@pytest.mark.parametrize("values", ["likes", "ratings"])
def test_ease_is_the_constrained_least_squares_solution(values: str) -> None:
    data = random_ratings()
    X = np.zeros((data.n_users, data.n_movies))
    X[data.user_rows(), data.movie_rows] = data.ratings if values == "ratings" else data.ratings >= 4
    model = Ease(values=values, regularisation=3.0).fit(data)
    B = model.item_weights_
    for j in range(data.n_movies):
        others = np.delete(np.arange(data.n_movies), j)
        A = X[:, others]
        ridge = np.linalg.solve(A.T @ A + 3.0 * np.eye(len(others)), A.T @ X[:, j])
        np.testing.assert_allclose(B[others, j], ridge, atol=2e-5)
        assert B[j, j] == 0
    np.testing.assert_allclose(model.score(data, np.arange(data.n_users)), X @ B, atol=1e-5)


def test_pair_sums_equal_a_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "_STRIP", 2)
    data = random_ratings(1, 6, 9)
    x, y = np.random.default_rng(2).random((2, data.n_ratings)).astype(np.float32)
    expected = np.zeros((9, 9))
    for u in range(data.n_users):
        known = range(data.indptr[u], data.indptr[u + 1])
        for p in known:
            for q in known:
                weight = (0.2 + np.exp(-abs(p - q) / 3)) * (1 if q >= p else 0.6)
                expected[data.movie_rows[p], data.movie_rows[q]] += x[p] * y[q] * weight
    longest = int(np.diff(data.indptr).max())
    given = data, x, y, kernel(longest, 0.2, 3, 0.6), Engine()
    np.testing.assert_allclose(pair_sums(*given), expected, rtol=1e-5)
    np.testing.assert_allclose(np.tril(pair_sums(*given, lower=True)), np.tril(expected), rtol=1e-5)


def test_directed_ease_meets_the_optimality_conditions_and_its_profile_is_by_hand() -> None:
    data = random_ratings(4)
    model = DirectedEase(regularisation=2.0, recency_base=0.1, recency_reach=2.0).fit(data)
    longest, stars = int(np.diff(data.indptr).max()), data.ratings
    x = np.select([stars >= 4, stars >= 3], [1, 0.3], 0.1).astype(np.float32)
    y = np.where(stars >= 4, 1, 0.5).astype(np.float32)
    G = pair_sums(data, x, x, kernel(longest, 0.03, 10), Engine()) + 2.0 * np.eye(15)
    T = pair_sums(data, x, y, kernel(longest, 0.05, 30, 0.5), Engine())
    B = model.item_weights_.astype(np.float64)
    gradient = G @ B - T
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-4)
    assert np.abs(np.diag(gradient)).min() > 0.01
    assert not np.diag(B).any()
    weights = [0.3 * (0.1 + np.exp(-1)), 0.1 * (0.1 + np.exp(-0.5)), 1 * (0.1 + 1)]
    user = history([4, 2, 9], [3.5, 1, 5], data)
    np.testing.assert_allclose(model.score(user, [0])[0], weights @ B[[4, 2, 9]], rtol=1e-5)


def test_network_learns_a_rule_that_no_linear_ranking_can_follow() -> None:
    rng = np.random.default_rng(1)
    lists = rng.normal(size=(600, 10, 2)).astype(np.float32)
    best = np.abs(lists[:, :, 0]).argmin(axis=1)
    targets = np.eye(10, dtype=np.float32)[best]
    network = ranking_network.start(np.zeros(2, dtype=np.float32), 8, rng)
    network = ranking_network.train(network, lists[:400], targets[:400], rng, epochs=60, rate=0.02, l2=1e-3)
    found = ranking_network.scores(network, lists[400:]).argmax(axis=1)
    assert (found == best[400:]).mean() > 0.7


def test_features_of_the_stacker_by_hand() -> None:
    scores = np.array([[1.0, 3.0, 100.0], [2.0, 2.0, 2.0]])
    counted = np.array([[True, True, False], [True, True, True]])
    z = 4 * np.sinh(standardized(scores, counted) / 4)
    np.testing.assert_allclose(z, [[-1, 1, 98], [0, 0, 0]], rtol=1e-5)
    ones = np.ones((3, 2, 10), dtype=np.float32)
    lists = features(ones, np.array([0.0, 604_800.0, 1e9]), np.array([3, 50, 50]))
    assert lists.shape == (3, 2, N_FEATURES)
    assert lists[:, 0, 10].tolist() == [0, 1, 1]  # far: how long the break is
    assert lists[:, 0, 12:].max(axis=1).tolist() == [0, 1, 1]
    assert lists[0, 0, 11] < lists[1, 0, 11]


def test_scores_of_the_stacker_are_standardized_over_unseen_movies() -> None:
    data = random_ratings(5, 60, 30, days=30)
    model = Stacker()
    model.fit_parts(data)
    scores = 4 * np.sinh(all_scores(model, data, np.arange(6), np.full(6, 31 * DAY)) / 4)
    for line in range(6):
        unseen = np.setdiff1d(np.arange(30), data.movie_rows[data.row(line)])
        np.testing.assert_allclose(scores[line, unseen].mean(axis=0), 0, atol=1e-5)
        # without a catalog, genres and years say nothing
        np.testing.assert_allclose(scores[line, unseen].std(axis=0), [1] * 5 + [0] + [1] * 3 + [0], atol=1e-5)


def test_cuts_respect_time_and_find_the_break() -> None:
    times = np.concatenate([np.arange(10) + 60, np.arange(10) + np.where(np.arange(10) >= 4, 2 * DAY, 0)])
    data = Interactions.from_columns(np.repeat([1, 2], 10), np.tile(np.arange(10), 2), np.full(20, 4.0), times)
    first, second = cut_lengths(data, DAY, np.random.default_rng(0))
    assert (first.tolist(), second.tolist()) == ([7, 7], [8, 4])
    known, following = cut(data, second)
    assert np.diff(known.indptr).tolist() == [8, 4]
    assert following.movie_rows.tolist() == [8, 9, 4, 5]


def test_no_feature_of_the_stacker_changes_with_what_others_rate_later() -> None:
    data = random_ratings(3, 30, 12, days=200)
    moment = 100 * DAY
    past = data.take(data.times < moment)
    rows = np.flatnonzero(np.diff(past.indptr) > 0)[:5]
    found = []
    for part in (data, past):
        model = Stacker()
        model.fit_parts(part)
        found.append(all_scores(model, past, rows, np.full(5, moment))[:, :, 6:10])
    np.testing.assert_allclose(*found, atol=1e-5)


def test_the_stacker_puts_all_its_candidates_before_the_rest_of_the_blend() -> None:
    data = random_ratings(5, 60, 30, days=30)
    rows = np.arange(6)
    model = Stacker(candidates=5, networks=2, epochs=5).fit(data)
    scores = model.score(data, rows)
    blend = all_scores(model, data, rows, data.times[data.indptr[rows + 1] - 1])[:, :, :N_BLEND].sum(axis=-1)
    for values in (scores, blend):
        mask_seen(values, data, rows)
    order = np.argsort(-blend, axis=1, kind="stable")
    for line in range(6):
        unseen = int(np.isfinite(scores[line]).sum())
        first, others = order[line, :5], order[line, 5:unseen]
        expected = scores[line, first].min() - 1 - (blend[line, first[0]] - blend[line, others])
        np.testing.assert_allclose(scores[line, others], expected, atol=1e-4)


def test_the_stacker_fits_histories_too_short_to_cut() -> None:
    data = Interactions.from_columns([1], [3], [4.0], [5], movie_vocabulary=np.arange(4))
    assert np.isfinite(Stacker().fit(data).score(data, [0])).all()


def test_the_stacker_keeps_the_ridges_that_rank_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, rows = random_ratings(5, 60, 30, days=30), np.arange(60)
    monkeypatch.setattr(stacker, "RIDGES", {"ease": (1e7, 40.0, 400.0), "ials": (1e3, 30.0, 3.0)})
    model = Stacker(candidates=5, networks=1, epochs=1).fit(data)
    known, following = cut(data, cut_lengths(data, DAY, np.random.default_rng(0))[1])
    liked = following.take(following.ratings >= 4)
    ials = Stacker().parts["ials"].settings
    for name, chosen in zip(("ease", "ials"), model.ridges_):
        sums = {}
        for ridge in stacker.RIDGES[name]:
            settings = {**vars(ials), "regularisation": ridge}
            one = Ease(regularisation=ridge) if name == "ease" else Ials(**settings)
            best = known.movie_ids.searchsorted(one.fit(known).recommend(known, rows, 10)[0])
            hits = [np.isin(best[row], liked.movie_rows[liked.row(row)]) for row in rows]
            sums[ridge] = sum(1 / np.log2(place + 2) for hit in hits for place in np.flatnonzero(hit))
        assert chosen == max(sums, key=lambda ridge: sums[ridge])
    model.save(tmp_path)
    assert Stacker.load(tmp_path).score(data, rows).tolist() == model.score(data, rows).tolist()


def test_ials_at_rest_is_the_solution_for_its_movies_too() -> None:
    data = random_ratings(7, 30, 25)
    model = Ials(factors=4, recency_span=0, n_sweeps=200, cg_steps=5, alpha=5, regularisation=20).fit(data)
    X = model.fold_in(data, np.arange(30)).astype(np.float64)
    for movie in range(25):
        users = data.user_rows()[(data.movie_rows == movie) & (data.ratings >= 4)]
        A = X.T @ X + 5 * X[users].T @ X[users] + 20 * np.eye(4)
        np.testing.assert_allclose(model.movie_vectors_[movie], np.linalg.solve(A, 6 * X[users].sum(axis=0)), atol=2e-3)


def test_recent_choices_weigh_more_in_ials() -> None:
    users, movies = np.nonzero((np.arange(50)[:, None] + np.arange(50)) % 2 == 0)
    board = Interactions.from_columns(users, movies, np.full(len(users), 5.0), movies)
    user = history([0, 2, 4, 6, 1, 3], [5] * 6, board)
    model = Ials(factors=2, regularisation=0.1, recency_span=0.9, recency_floor=0.01).fit(board)
    w = 5 * (0.01 + np.exp(-np.arange(6)[::-1] / 0.9))  # alpha (floor + exp(-d / span)), the latest last
    Y = model.movie_vectors_.astype(np.float64)
    chosen = Y[[0, 2, 4, 6, 1, 3]]
    A = Y.T @ Y + chosen.T @ (w[:, None] * chosen) + 0.1 * np.eye(2)
    np.testing.assert_allclose(model.fold_in(user, np.array([0]))[0], np.linalg.solve(A, chosen.T @ (1 + w)), rtol=1e-5)
