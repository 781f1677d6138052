"""Users' vectors against a user-by-user loop in plain Python, and against sums worked out by hand."""

import numpy as np
import pytest

from recommender.data.interactions import Interactions
from recommender.text.people import METHODS, UserVectors, UserVectorSettings, mix, mix_users, user_vectors

DAY = 86_400


def ratings(n_users: int = 60, n_movies: int = 40, seed: int = 3) -> Interactions:
    """Some people rate 2 movies, some all; some give one value to all; the last of the users rate nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        n = int(rng.integers(2, n_movies + 1)) if user % 3 else n_movies
        movies = rng.permutation(n_movies)[:n]
        stars = np.full(n, 4.5) if user % 10 == 7 else rng.integers(1, 11, n) / 2
        rows += [(user, int(f), float(s), int(rng.integers(900)) * DAY) for f, s in zip(movies, stars)]
    users, movies, stars, times = np.array(rows).T
    return Interactions.from_columns(
        users * 2, movies * 7, stars, times, np.arange(n_movies) * 7, np.arange(n_users + 2) * 2
    )


def vectors(n_movies: int = 40, d: int = 5, without: int = 6) -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((n_movies, d)).astype(np.float32)
    found[:without] = 0
    return found


def by_hand(data: Interactions, movies: np.ndarray, s: UserVectorSettings) -> dict[int, np.ndarray]:
    result = {}
    for user in range(data.n_users):
        part = range(data.indptr[user], data.indptr[user + 1])
        known = [i for i in part if movies[data.movie_rows[i]].any()]
        weights = {i: 1.0 for i in known if data.ratings[i] >= s.rating_threshold}
        if len(weights) < s.min_movies:
            continue
        mean = sum(float(data.ratings[i]) for i in part) / len(part)
        above = {i: float(data.ratings[i]) - mean for i in part[-s.n_last :] if i in known}
        above = {i: weight for i, weight in above.items() if weight > 1e-6 and s.method == "weighted"}
        if s.method == "temporal" or above:  # from the last rating of all: the scale drops out
            ages = {i: (data.times[part[-1]] - data.times[i]) / DAY for i in part}
            weights = {i: weight * 0.5 ** (ages[i] / s.half_life_days) for i, weight in (above or weights).items()}
        total = sum(weight * movies[data.movie_rows[i]].astype(np.float64) for i, weight in weights.items())
        result[int(data.user_ids[user])] = total / np.linalg.norm(total)
    return result


def run(data: Interactions, movies: np.ndarray, **settings: object) -> UserVectors:
    return user_vectors(data, movies, UserVectorSettings(**settings), np.random.default_rng(0))


@pytest.mark.parametrize("method", ["average", "temporal", "weighted"])
@pytest.mark.parametrize("n_last", [3, 50])
def test_the_loop_over_people_gives_the_same(method: str, n_last: int) -> None:
    data, movies = ratings(), vectors()
    settings = UserVectorSettings(method=method, n_last=n_last, half_life_days=100)
    expected = by_hand(data, movies, settings)
    found = user_vectors(data, movies, settings, np.random.default_rng(0))
    assert found.user_ids.tolist() == sorted(expected)
    np.testing.assert_allclose(found.vectors, [expected[user] for user in found.user_ids.tolist()], atol=2e-5)
    assert len(found.user_ids) + sum(found.left_out.values()) == data.n_users
    if method == "weighted":
        assert found.fallbacks >= 5  # those who give one value to all


def test_who_is_left_out_is_counted_by_reason() -> None:
    users, ids = [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4], [1, 2, 1, 2, 3, 1, 2, 4, 1, 5, 2]
    data = Interactions.from_columns(users, ids, [4] * 11, range(11))
    movies = np.array([[1, 0], [0, 1], [0, 0], [1, 1], [-1, -2]], dtype=np.float32)
    found = run(data, movies)
    assert (found.user_ids.tolist(), list(found.left_out.values())) == ([3, 4], [1, 1])


def test_ratings_years_before_the_last_one_still_count() -> None:
    data = Interactions.from_columns([1] * 4, [1, 2, 3, 4], [5, 4.5, 4, 1], [0, 0, 0, 9000 * DAY])
    for method, weights in (("temporal", [1, 1, 1]), ("weighted", [1.375, 0.875, 0.375])):
        found = run(data, np.eye(4, dtype=np.float32), method=method, half_life_days=1)
        np.testing.assert_allclose(found.vectors, [[*weights / np.linalg.norm(weights), 0]], rtol=1e-5)
        assert found.fallbacks == 0


def test_all_methods_keep_the_same_people_and_every_setting_matters() -> None:
    data, movies = ratings(), vectors()
    found = {method: run(data, movies, method=method) for method in METHODS}
    assert len({tuple(part.user_ids) for part in found.values()}) == 1
    assert len({part.vectors.tobytes() for part in found.values()}) == len(METHODS)
    again = run(data, movies, method="random").vectors
    other = user_vectors(data, movies, UserVectorSettings(method="random"), np.random.default_rng(1)).vectors
    assert np.array_equal(again, found["random"].vectors)
    assert not np.allclose(other, again)
    base = {"method": "weighted", "n_last": 10}
    changes = ({"rating_threshold": 5.0}, {"min_movies": 12}, {"n_last": 5}, {"half_life_days": 10.0})
    results = [run(data, movies, **{**base, **change}).vectors.tobytes() for change in ({}, *changes)]
    assert len(set(results)) == len(results)
    nobody = Interactions.from_columns([], [], [], [], np.array([1, 2]))
    for method in METHODS:
        assert run(nobody, np.ones((2, 3), np.float32), method=method).vectors.shape == (0, 3)


X, Y, NONE = (np.array([row], np.float32) for row in ((1, 0), (0, 1), (0, 0)))


def test_the_share_of_ratings_is_alpha_and_lengths_play_no_part() -> None:
    np.testing.assert_allclose(mix(X * 9, Y * 0.01)[0], np.array([0.7, 0.3]) / np.hypot(0.7, 0.3), atol=1e-6)
    np.testing.assert_allclose(mix(X, Y, 0.2)[0], np.array([0.2, 0.8]) / np.hypot(0.2, 0.8), atol=1e-6)
    for alpha in (0.0, 0.7, 1.0):  # one side missing gives the other
        assert mix(X * 3, NONE, alpha).tolist() == X.tolist()
        assert mix(NONE, Y * 3, alpha).tolist() == Y.tolist()
        assert mix(NONE, NONE, alpha).tolist() == NONE.tolist()


def test_users_are_joined_by_id_whatever_its_type() -> None:
    rated = np.array([[1, 0], [0, 2], [1, 1]], np.float32)
    texts = np.array([[0, 4], [3, 0], [0, 0]], np.float32)
    ids, origins, mixed = mix_users([9, 10, 2], rated, ["10", "redial:5", "77"], texts, 0.7)
    assert ids.tolist() == ["2", "9", "10", "redial:5"]  # nothing is known of 77
    assert origins.tolist() == ["ratings", "ratings", "both", "text"]
    np.testing.assert_allclose(mixed, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 1], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(mix_users([9], X, ["9"], Y, 0.7)[2], mix(X, Y, 0.7))
    assert mix_users([], NONE[:0], ["a"], Y)[2].tolist() == Y.tolist()
    assert mix_users([7], X, [], NONE[:0])[0].tolist() == ["7"]
