"""The two-tower model: gradients of every configuration, histories, unrated movies, placing users, files."""

from typing import Any

import numpy as np
import pytest

from recommender.data.interactions import Interactions
from recommender.learn.two_tower.gradient_check import check_gradient
from recommender.learn.two_tower.losses import LOSSES
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import RECIPE, Batch, Parameters, TwoTowerSettings, loss_and_gradient
from recommender.learn.two_tower.training import Training
from recommender.learn.two_tower.users import bags_before, draw_ends

from .test_models_contract import N_MOVIES, N_USERS, catalog, ratings


def training(**settings: Any) -> Training:
    """Return a float64 training, one epoch in so that nothing is at its first value."""
    model = TwoTower(catalog(), **{"factors": 5, "batch": 40, "rate": 0.02, "scale": 0.6, **settings})
    data = ratings()
    found = Training(data, model.features(data.movie_ids), model.settings, np.float64)
    found.run_epoch()
    return found


def a_batch(run: Training) -> Batch:
    return run.make_batch(np.arange(33), run.examples[:33], np.random.default_rng(3))


LINEAR = {**RECIPE, "user_layer": "linear", "movie_layer": "linear"}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    **{f"recipe, {loss}": {**RECIPE, "objective": loss} for loss in LOSSES},
    "recipe, linear last layer": LINEAR,
    **{f"history, {loss}": {"objective": loss, "user_layer": "relu"} for loss in LOSSES},
    "side features": {"side_features": "metadata", "drop_ids": 0.4, "movie_layer": "relu"},
    "side features without bias": {"side_features": "genres", "movie_bias": False, "user_layer": "linear"},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_gradient_of_the_whole_network(name: str) -> None:
    run = training(**{**CONFIGURATIONS[name], "factors": 5, "batch": 40})
    batch = a_batch(run)
    parameters = {key: value.copy() for key, value in run.parameters.items()}
    _, gradient = loss_and_gradient(parameters, batch, run.settings)
    full = dict(gradient.dense)
    for table, (rows, values) in gradient.rows.items():
        full[table] = np.zeros_like(parameters[table])
        np.add.at(full[table], rows, values)
    assert set(full) == set(parameters)
    assert all(np.abs(part).max() > 0 for part in full.values())
    loss = lambda point: loss_and_gradient(point, batch, run.settings)[0]  # noqa: E731
    check_gradient(loss, full, parameters, np.random.default_rng(0))


@pytest.mark.parametrize("layer", ["relu", "linear"])
@pytest.mark.parametrize("objective", ["mse", "softmax"])
def test_the_recipe_is_the_network_of_the_requirements(objective: str, layer: str) -> None:
    layers = {"user_layer": layer, "movie_layer": layer}
    run = training(**{**RECIPE, **layers, "objective": objective, "factors": 5, "batch": 33})
    p, batch, examples = run.parameters, a_batch(run), run.examples[:33]
    assert set(p) == {"users", "movies", "user_W", "user_b", "movie_W", "movie_b"}
    users, rows = run.user_rows[examples], run.data.movie_rows[examples]
    u = p["users"][users] @ p["user_W"] + p["user_b"]
    m = p["movies"][rows] @ p["movie_W"] + p["movie_b"]
    if layer == "relu":
        u, m = np.maximum(u, 0), np.maximum(m, 0)
    expected = np.mean(((u * m).sum(axis=1) - run.data.ratings[examples]) ** 2)
    if objective == "softmax":
        liked = run.data.take(run.data.ratings >= 4)
        q = 33 * liked.movie_counts()[rows] / liked.n_ratings
        scores = u @ m.T - np.log(q)
        known = np.array([np.isin(rows, liked.movie_rows[liked.row(user)]) for user in users])
        scores[known & ~np.eye(33, dtype=bool)] = -np.inf
        expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    assert loss_and_gradient(p, batch, run.settings)[0] == pytest.approx(expected)


def test_a_history_worked_by_hand() -> None:
    data = Interactions.from_columns([1, 1, 1, 2], [10, 20, 30, 20], [5, 3, 1, 4], [1, 2, 3, 4])
    chosen = {"middling_weight": 0.5, "poor_weight": 0.0, "longest_history": 2, "short_span": 2.0}
    ends, users, recent, neutral = np.array([3, 2, 4, 3]), np.array([0, 0, 1, 1]), np.exp(-1 / 2), 0.5
    # user 1 after three ratings, two of which are read: the dislike says nothing; user 2 before the first rating
    short = [[np.sqrt(neutral * recent)], np.array([recent, neutral]) / np.sqrt(recent + neutral), [1.0], []]
    lasting = [[np.sqrt(neutral)], np.array([1, neutral]) / np.sqrt(1.5), [1.0], []]
    both = [np.add(a, b) for a, b in zip(short, lasting)]
    for spans, expected in (({"long_span": 0.0}, short), ({"long_span": 1e12}, both)):
        bags = bags_before(data, ends, users, TwoTowerSettings(**chosen, **spans))
        assert [len(part) for part in expected] == np.diff(bags.indptr).tolist()
        assert bags.movie_rows.tolist() == [1, 0, 1, 1]
        np.testing.assert_allclose(bags.weights, np.concatenate(expected), rtol=1e-6)
    brief = TwoTowerSettings(short_span=0.1, long_span=0.0, poor_weight=0.2)
    assert bags_before(data, np.array([3]), np.array([0]), brief).movie_rows.tolist() == [2]


def test_a_history_ends_before_the_answer_and_after_something() -> None:
    n_before = np.arange(1, 2001)
    rng = np.random.default_rng(0)
    for ahead, anywhere in ((0.0, 0.0), (10.0, 0.0), (10.0, 1.0), (1e9, 0.5), (1e300, 0.0)):
        ends = draw_ends(n_before, ahead, anywhere, rng)
        assert ((ends >= 1) & (ends <= n_before)).all()
    assert (draw_ends(n_before, 0.0, 0.0, rng) == n_before).all()
    skipped = n_before - draw_ends(n_before, 10.0, 0.0, rng)
    # the mean of floor(Exp(10)) is 9.51, its standard deviation 10; 1900 draws have a standard error of .23
    assert abs(skipped[100:].mean() - 9.51) < 4 * 0.23


@pytest.mark.parametrize("drop_ids", [0.0, 0.5])
def test_a_movie_that_nobody_rated_is_placed_by_its_features(drop_ids: float) -> None:
    """The last four have no ratings: side features alone must tell whom they are for."""
    data, rows = ratings(), np.arange(N_USERS)
    for features, right in (("genres", True), ("metadata", True), ("none", False)):
        chosen = {"factors": 8, "epochs": 30, "batch": 64, "side_features": features, "drop_ids": drop_ids}
        model = TwoTower(catalog(), **chosen).fit(data)
        new = model.score(data, rows)[:, N_MOVIES:]
        of_own_kind = (rows[:, None] + np.arange(N_MOVIES, N_MOVIES + 4)) % 2 == 0
        found = [new[u][of_own_kind[u]].min() > new[u][~of_own_kind[u]].max() for u in rows]
        assert bool(np.mean(found) > 0.9) == right, (features, np.mean(found))
        assert (model.movie_vectors_[N_MOVIES:] == 0).all() == (not right)  # nothing but features moves them


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


@pytest.mark.parametrize("objective", LOSSES)
def test_fold_in_comes_near_what_training_found(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ratings()
    model = TwoTower(**{**RECIPE, "objective": objective, "epochs": 80, "rate": 0.01, "batch": 64, "factors": 8})
    run = model.start(data)
    for _ in range(80):
        run.run_epoch()
    model.take_over(run)
    p = run.parameters
    trained = np.maximum(p["users"] @ p["user_W"] + p["user_b"], 0) @ model.movie_vectors_.T
    likeness = lambda a, b: np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b)])  # noqa: E731
    assert likeness(model.score(data, np.arange(N_USERS)), trained) > 0.8
    monkeypatch.setattr("recommender.learn.two_tower.users.STEPS", 300)
    found = model.score(data, np.arange(N_USERS))
    assert likeness(found, trained) > 0.9
    assert likeness(found, np.roll(trained, 1, axis=0)) < 0.3


@pytest.mark.parametrize("objective", ["mse", "softmax"])
def test_the_gradient_of_fold_in(objective: str) -> None:
    data = Interactions.from_columns([1, 1, 1, 3, 3], [10, 20, 40, 20, 30], [5, 3, 1, 4, 2], range(5))
    known = data.select(np.array([1, 0, 1]))
    rng = np.random.default_rng(1)
    u, m, c = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)

    def loss(p: Parameters) -> float:
        total = 0.0
        for line, (movies, values) in enumerate((([1, 2], [4, 2]), ([0, 1, 3], [5, 3, 1]), ([1, 2], [4, 2]))):
            s = m @ p["u"][line] + c
            parts = (s[movies] - values) ** 2 if objective == "mse" else np.log(np.exp(s).sum()) - s[movies]
            total += float(np.mean(parts))
        return total

    check_gradient(loss, {"u": LOSSES[objective].of_users(u, m, c, known)}, {"u": u}, np.random.default_rng(0))
    nobody = LOSSES[objective].of_users(u, m, c, known.take(known.user_rows() > 0))
    assert (nobody != 0).any(axis=1).tolist() == [False, True, True]
