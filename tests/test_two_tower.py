"""The two-tower model: gradients of every configuration, no look at the answer, unrated movies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.features import item_features
from recommender.learn.two_tower.gradient_check import check_gradient
from recommender.learn.two_tower.history import Reading, bags_before, draw_moments
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import Batch, Gradient, Parameters, loss_and_gradient
from recommender.learn.two_tower.settings import RECIPE
from recommender.learn.two_tower.training import Training

N_USERS, N_MOVIES = 30, 24


def ratings(seed: int = 0) -> Interactions:
    """People of two tastes: u likes movies of u's parity, in random order, and dislikes some of the others."""
    rng = np.random.default_rng(seed)
    users, movies, values, times = [], [], [], []
    for user in range(N_USERS):
        liked = rng.permutation(np.arange(user % 2, N_MOVIES, 2))[:9]
        others = rng.permutation(np.arange(1 - user % 2, N_MOVIES, 2))[:4]
        order = rng.permutation(13)
        users += [user] * 13
        movies += np.concatenate([liked, others])[order].tolist()
        values += np.concatenate([rng.choice([4, 4.5, 5], 9), rng.choice([1, 2, 3], 4)])[order].tolist()
        times += (1000 * user + np.arange(13)).tolist()
    return Interactions.from_columns(users, movies, values, times, np.arange(N_MOVIES))


def catalog(n_movies: int = N_MOVIES) -> Catalog:
    """Even movies are comedies of the eighties, odd ones westerns of the fifties."""
    return Catalog(
        [
            {
                "movieId": str(i),
                "title": f"Movie {i}",
                "year": str((1980, 1950)[i % 2] + i % 10),
                "genres": ("Comedy", "Western")[i % 2],
                "director": ("Ann Lee", "Bo Ray")[i % 2],
                "cast": f"Extra {i}",
                "keywords": "heist" if i % 3 == 0 else "",
            }
            for i in range(n_movies)
        ]
    )


def training(**settings: Any) -> Training:
    """Return a float64 training, one epoch in so that nothing is at its first value."""
    model = TwoTower(catalog(), **{"factors": 5, "batch": 40, "rate": 0.02, "scale": 0.6, **settings})
    features = item_features(model.settings.side_features, model.catalog, np.arange(N_MOVIES))
    found = Training(ratings(), features, model.settings, np.float64)
    found.run_epoch()
    return found


def a_batch(run: Training) -> Batch:
    moments = run.examples - 0  # everything before the movie that is asked for
    return run.make_batch(np.arange(33), moments[:33], np.random.default_rng(3))


def dense(gradient: Gradient, parameters: Parameters) -> Parameters:
    """Return the gradient with every table in full."""
    full = dict(gradient.dense)
    for name, (rows, values) in gradient.rows.items():
        full[name] = np.zeros_like(parameters[name])
        np.add.at(full[name], rows, values)
    return full


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "recipe": {**RECIPE, "factors": 5, "batch": 40},
    "recipe, linear last layer": {**RECIPE, "factors": 5, "batch": 40, "user_layer": "linear", "movie_layer": "linear"},
    "ids, softmax": {"user_input": "id", "user_layer": "relu", "movie_layer": "relu"},
    "normalised": {"normalised": True, "temperature": 0.3},
    "history, MSE, with bias": {"objective": "mse", "temperature": 1.7},
    "side features": {"side_features": "metadata", "drop_ids": 0.4, "movie_layer": "relu", "temperature": 0.8},
    "side features without bias": {"side_features": "genres", "movie_bias": False},
    "sums without a layer": {"user_layer": "none", "extra_negatives": 9},
    "one sum, ReLU": {"user_layer": "relu", "short_span": 0.0},
    "ids, normalised, negatives": {"user_input": "id", "normalised": True, "extra_negatives": 30, "temperature": 0.5},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_gradient_of_the_whole_network(name: str) -> None:
    run = training(**CONFIGURATIONS[name])
    batch = a_batch(run)
    parameters = {key: value.copy() for key, value in run.parameters.items()}
    _, gradient = loss_and_gradient(parameters, batch, run.design)
    full = dense(gradient, parameters)
    assert set(full) == set(parameters)
    assert all(np.abs(part).max() > 0 for part in full.values())
    check_gradient(
        lambda point: loss_and_gradient(point, batch, run.design)[0], full, parameters, np.random.default_rng(0)
    )


def test_the_recipe_is_the_network_of_the_requirements() -> None:
    """Embedding, Linear + ReLU in each tower, a dot product, the squared error of the rating: written out."""
    run = training(**{**RECIPE, "factors": 5})
    p, batch = run.parameters, a_batch(run)
    assert set(p) == {"people", "movies", "user_W", "user_b", "movie_W", "movie_b"}
    u = np.maximum(p["people"][batch.people] @ p["user_W"] + p["user_b"], 0)
    m = np.maximum(p["movies"][batch.movie_rows] @ p["movie_W"] + p["movie_b"], 0)
    lines = np.arange(33)
    assert (batch.people == run.user_rows[lines]).all()
    assert (batch.movie_rows == run.data.movie_rows[lines]).all()
    expected = np.mean(((u * m).sum(axis=1) - run.data.ratings[lines]) ** 2)
    assert loss_and_gradient(p, batch, run.design)[0] == pytest.approx(expected)


def test_a_history_worked_by_hand() -> None:
    data = Interactions.from_columns([1, 1, 1, 2], [10, 20, 30, 20], [5, 3, 1, 4], [1, 2, 3, 4])
    ends, people = np.array([3, 2, 4, 3]), np.array([0, 0, 1, 1])
    short, long = bags_before(data, ends, people, Reading(0.5, 0.0, (2.0, np.inf), 2))
    (both,) = bags_before(data, ends, people, Reading(0.5, 0.0, (2.0, np.inf), 2, added=True))
    # person 1 after three ratings, two of which are read: the poor one says nothing
    recent, middling = np.exp(-1 / 2), 0.5
    lines = [
        ([1], [np.sqrt(middling * recent)], [np.sqrt(middling)]),
        ([0, 1], np.array([recent, middling]) / np.sqrt(recent + middling), np.array([1, middling]) / np.sqrt(1.5)),
        ([1], [1.0], [1.0]),
        ([], [], []),  # before the first rating of person 2
    ]
    for line, (rows, in_short, in_long) in enumerate(lines):
        for bags, expected in ((short, in_short), (long, in_long), (both, np.add(in_short, in_long))):
            part = slice(bags.indptr[line], bags.indptr[line + 1])
            assert bags.movie_rows[part].tolist() == rows
            np.testing.assert_allclose(bags.weights[part], expected, rtol=1e-6)
    forgotten, _ = bags_before(data, np.array([3]), np.array([0]), Reading(0.5, 0.2, (0.1, np.inf), 9))
    assert forgotten.movie_rows.tolist() == [2]


def test_a_moment_lies_before_the_answer_and_after_something() -> None:
    places = np.arange(1, 2001)
    rng = np.random.default_rng(0)
    for ahead, anywhere in ((0.0, 0.0), (10.0, 0.0), (10.0, 1.0), (1e9, 0.5), (1e300, 0.0)):
        moments = draw_moments(places, ahead, anywhere, rng)
        assert (moments >= 1).all()
        assert (moments <= places).all()
    assert (draw_moments(places, 0.0, 0.0, rng) == places).all()
    skipped = places - draw_moments(places, 10.0, 0.0, rng)
    # the mean of floor(Exp(10)) is 9.51, its standard deviation 10; 1900 draws have a standard error of .23
    assert abs(skipped[100:].mean() - 9.51) < 4 * 0.23


@pytest.mark.parametrize("ahead", [0.0, 3.0])
def test_training_never_reads_the_answer_nor_calls_a_known_movie_wrong(ahead: float) -> None:
    run = training(ahead=ahead)
    lines = np.arange(len(run.examples))
    batch = run.make_batch(lines, run._draw_moments(np.random.default_rng(0)), np.random.default_rng(0))
    assert batch.bags is not None
    assert batch.hidden is not None
    assert batch.own is not None
    hidden = set(zip(batch.hidden[0].tolist(), batch.hidden[1].tolist()))
    order = {}  # (person, movie) -> place
    for place, (person, movie) in enumerate(zip(run.user_rows.tolist(), run.data.movie_rows.tolist())):
        order[person, movie] = place
    bags = batch.bags[-1]
    for line in lines.tolist():
        answer = run.examples[line]
        person = int(run.user_rows[answer])
        read = bags.movie_rows[bags.indptr[line] : bags.indptr[line + 1]]
        assert len(read)
        assert all(order[person, movie] < answer for movie in read.tolist())
        columns = np.flatnonzero(np.isin(batch.movie_rows, read)).tolist()
        assert {column for other, column in hidden if other == line} == set(columns)
    assert not any((line, own) in hidden for line, own in enumerate(batch.own.tolist()))


@pytest.mark.parametrize("drop_ids", [0.0, 0.5])
def test_a_movie_that_nobody_rated_is_placed_by_its_features(drop_ids: float) -> None:
    """Movies 20 to 23 lose all their ratings: side features alone must tell whom they are for."""
    data = ratings()
    data = data.take(data.movie_rows < 20)
    rows = np.arange(N_USERS)
    settings = {"factors": 8, "epochs": 30, "batch": 64}
    for features, right in (("genres", True), ("metadata", True), ("none", False)):
        model = TwoTower(catalog(), **settings, side_features=features, drop_ids=drop_ids).fit(data)
        new = model.score(data, rows)[:, 20:]
        of_own_kind = (rows[:, None] + np.arange(20, 24)) % 2 == 0
        told = [new[u][of_own_kind[u]].min() > new[u][~of_own_kind[u]].max() for u in rows]
        assert bool(np.mean(told) > 0.9) == right, (features, np.mean(told))
        assert (model.movie_vectors[20:] == 0).all() == (not right)  # nothing but features moves them
    vectors = {i: [1.0, 0.0] if i % 2 else [0.0, 1.0] for i in range(N_MOVIES)}
    model = TwoTower(None, vectors, **settings, drop_ids=drop_ids).fit(data)
    new = model.score(data, rows)[:, 20:]
    assert all(new[u][u % 2 :: 2].min() > new[u][1 - u % 2 :: 2].max() for u in rows)


def test_side_features_have_equal_blocks_and_know_missing_movies() -> None:
    ids = np.array([0, 1, 999])
    assert item_features("none", catalog(), ids).shape == (3, 0)
    genres = item_features("genres", catalog(), ids)
    np.testing.assert_allclose((genres**2).sum(axis=1), [2, 2, 0], atol=1e-6)  # genre and year
    ids = np.arange(N_MOVIES)
    everything = item_features("metadata", catalog(), ids, {0: [3.0, 4.0]})
    lengths = (everything.astype(float) ** 2).sum(axis=1)
    # genre, year, director; every third has the keyword, and movie 0 a vector from elsewhere
    np.testing.assert_allclose(lengths, 3 + (ids % 3 == 0) + (ids == 0), atol=1e-5)
    np.testing.assert_allclose(everything[0, -2:], [0.6, 0.8], atol=1e-6)
    with pytest.raises(DataError, match="unequal shapes"):
        item_features("none", None, ids, {0: [1.0], 1: [1.0, 2.0]})


def test_a_rare_keyword_says_more_than_a_common_one() -> None:
    """Of 12 movies six share one keyword and three of them another: ln 2 to ln 4, a half."""
    words = ["heist|noir"] * 3 + ["heist"] * 3 + [""] * 6
    movies = [{"movieId": str(i), "title": f"Movie {i}", "keywords": word} for i, word in enumerate(words)]
    found = item_features("metadata", Catalog(movies), np.arange(12))
    np.testing.assert_allclose(np.sort(found[0][found[0] > 0]), np.array([1, 2]) / np.sqrt(5), rtol=1e-6)


def test_the_default_learns_that_order_matters() -> None:
    """All watch the same ten movies in random order, and then the one that belongs to the last: only order tells."""
    n = 10
    orders = np.array([np.random.default_rng(user).permutation(n) for user in range(120)])
    shown = np.concatenate([orders, n + orders[:, -1:]], axis=1)
    users, times = np.divmod(np.arange(shown.size), n + 1)
    data = Interactions.from_columns(users, shown.ravel(), np.full(shown.size, 5.0), times, np.arange(2 * n))
    asked = data.take(data.movie_rows < n)

    def hits(**settings: Any) -> float:
        model = TwoTower(factors=12, epochs=25, batch=128, rate=0.03, ahead=0.0, anywhere=0.0, **settings).fit(data)
        return float((model.recommend(asked, np.arange(120), 1)[0][:, 0] == shown[:, -1]).mean())

    assert hits(short_span=1.0) > 0.9
    assert hits(short_span=0.0) < 0.1 + 4 * 0.03  # one in ten by chance, standard error .027
