"""The two-tower model: gradients of every configuration, histories, batches, steps, unrated movies, placing users."""

from typing import Any

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.two_tower.adam import Adam, Parameter
from recommender.learn.two_tower.gradient_check import check_gradient
from recommender.learn.two_tower.losses import LOSSES
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import RECIPE, Batch, Parameters, TwoTowerSettings, loss_and_gradient
from recommender.learn.two_tower.training import Training, shuffled_batches
from recommender.learn.two_tower.users import bags_before, draw_ends

from .test_models_contract import N_MOVIES, N_USERS, catalog, ratings


def training(**settings: Any) -> Training:
    """Return a float64 training, one epoch in so that nothing is at its first value."""
    model = TwoTower(catalog(), **{"factors": 5, "batch": 40, "rate": 0.02, "scale": 0.6, **settings})
    data = ratings()
    found = Training(data, model.start(data).features, model.settings, np.float64)
    found.run_epoch()
    return found


def a_batch(run: Training) -> Batch:
    return run.make_batch(np.arange(33), run.examples[:33], np.random.default_rng(3))


def trained(model: TwoTower, data: Interactions, epochs: int) -> Training:
    run = model.start(data)
    for _ in range(epochs):
        run.run_epoch()
    model.take_over(run)
    return run


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    **{f"recipe, {loss}": {**RECIPE, "objective": loss} for loss in LOSSES},
    "recipe, linear last layer": {**RECIPE, "user_layer": "linear", "movie_layer": "linear"},
    **{f"history, {loss}": {"objective": loss, "user_layer": "relu"} for loss in LOSSES},
    "side features": {"side_features": "genres", "drop_ids": 0.4, "movie_layer": "relu"},
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


@pytest.mark.parametrize(("objective", "layer"), [("mse", "relu"), ("softmax", "linear")])
def test_the_recipe_is_the_network_of_the_requirements(objective: str, layer: str) -> None:
    layers = {"user_layer": layer, "movie_layer": layer}
    run = training(**{**RECIPE, **layers, "objective": objective, "factors": 5, "batch": 33})
    p, examples = run.parameters, run.examples[:33]
    assert set(p) == {"users", "movies", "user_W", "user_b", "movie_W", "movie_b"}
    users, rows = run.user_rows[examples], run.data.movie_rows[examples]
    least = 0 if layer == "relu" else -np.inf
    u = np.maximum(p["users"][users] @ p["user_W"] + p["user_b"], least)
    m = np.maximum(p["movies"][rows] @ p["movie_W"] + p["movie_b"], least)
    expected = np.mean(((u * m).sum(axis=1) - run.data.ratings[examples]) ** 2)
    if objective == "softmax":
        liked = run.data.take(run.data.ratings >= 4)
        scores = u @ m.T - np.log(33 * liked.movie_counts()[rows] / liked.n_ratings)
        known = np.array([np.isin(rows, liked.movie_rows[liked.row(user)]) for user in users])
        scores[known & ~np.eye(33, dtype=bool)] = -np.inf
        expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    assert loss_and_gradient(p, a_batch(run), run.settings)[0] == pytest.approx(expected)


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
    n_before, rng = np.arange(1, 2001), np.random.default_rng(0)
    for ahead, anywhere in ((0.0, 0.0), (10.0, 0.0), (10.0, 1.0), (1e9, 0.5), (1e300, 0.0)):
        ends = draw_ends(n_before, ahead, anywhere, rng)
        assert ((ends >= 1) & (ends <= n_before)).all()
    assert (draw_ends(n_before, 0.0, 0.0, rng) == n_before).all()
    skipped = n_before - draw_ends(n_before, 10.0, 0.0, rng)
    # the mean of floor(Exp(10)) is 9.51, its standard deviation 10; 1900 draws have a standard error of .23
    assert abs(skipped[100:].mean() - 9.51) < 4 * 0.23


@pytest.mark.parametrize("ahead", [0.0, 3.0])
def test_training_never_reads_the_answer_nor_calls_a_known_movie_wrong(ahead: float) -> None:
    run = training(ahead=ahead)
    lines = np.arange(len(run.examples))
    batch = run.make_batch(lines, run.draw_ends(np.random.default_rng(0)), np.random.default_rng(0))
    bags = batch.bags
    masked = set(zip(batch.masked[0].tolist(), batch.masked[1].tolist()))
    order = {pair: i for i, pair in enumerate(zip(run.user_rows.tolist(), run.data.movie_rows.tolist()))}
    for line in lines.tolist():
        answer = run.examples[line]
        read = bags.movie_rows[bags.indptr[line] : bags.indptr[line + 1]]
        assert max(order[int(run.user_rows[answer]), movie] for movie in read.tolist()) < answer
        columns = np.flatnonzero(np.isin(batch.movie_rows, read)).tolist()
        assert {column for other, column in masked if other == line} == set(columns)
    assert not any((line, column) in masked for line, column in enumerate(batch.positive.tolist()))


def test_batches_hold_every_row_once_in_random_order() -> None:
    rng = np.random.default_rng(1)
    for n, size in ((10, 3), (9, 3), (1, 4), (0, 4)):
        batches = list(shuffled_batches(n, size, rng))
        assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(n))
        assert all(len(rows) == size for rows in batches[:-1])
    hits = sum(0 in next(shuffled_batches(8, 2, rng)) for _ in range(2000))
    assert abs(hits - 500) < 4 * 19.4  # standard deviations


class Walk:
    """Gradients that depend on where a walk stands, for rows that repeat; the last row is never touched."""

    steps, shape, batch = 25, (12, 3), 10
    adam = Adam(rate=0.05, beta1=0.8, beta2=0.95, epsilon=1e-3)  # an epsilon that is felt tells where it is added

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.start, self.targets = rng.normal(size=self.shape), rng.normal(size=self.shape)
        self.rows = rng.integers(self.shape[0] - 1, size=(self.steps, self.batch))
        self.noise = rng.normal(size=(self.steps, self.batch, self.shape[1]))

    def gradient(self, step: int, weights: np.ndarray) -> np.ndarray:
        rows = self.rows[step]
        return weights[rows] - self.targets[rows] + 0.3 * self.noise[step]

    def textbook(self, lazy: bool, l2: float) -> np.ndarray:
        w, m, v, path = self.start.copy(), np.zeros(self.shape), np.zeros(self.shape), []
        rate, beta1, beta2, epsilon = self.adam
        for step in range(self.steps):
            t, each = step + 1, self.gradient(step, w)
            for row in range(len(w)):
                mine = self.rows[step] == row
                if lazy and not mine.any():
                    continue
                g = each[mine].sum(axis=0) + l2 * w[row]
                m[row] = beta1 * m[row] + (1 - beta1) * g
                v[row] = beta2 * v[row] + (1 - beta2) * g**2
                m_hat, v_hat = m[row] / (1 - beta1**t), v[row] / (1 - beta2**t)
                w[row] -= rate * m_hat / (v_hat**0.5 + (epsilon / (1 - beta2**t) ** 0.5 if lazy else epsilon))
            path.append(w.copy())
        return np.array(path)

    def ours(self, lazy: bool, l2: float, dtype: type) -> np.ndarray:
        table, path = Parameter(self.start.astype(dtype)), []
        for step in range(self.steps):
            each = self.gradient(step, table.weights).astype(dtype)
            if lazy:
                table.step_rows(self.rows[step], each, step + 1, self.adam, l2)
            else:
                whole = np.zeros(self.shape, dtype=dtype)
                np.add.at(whole, self.rows[step], each)
                table.step(whole, step + 1, self.adam)
            path.append(table.weights.copy())
        return np.array(path)


@pytest.mark.parametrize(("lazy", "l2"), [(True, 0.0), (True, 0.4), (False, 0.0)])
def test_steps_of_adam_are_the_textbook_s(lazy: bool, l2: float) -> None:
    for walk in map(Walk, range(2)):
        expected = walk.textbook(lazy, l2)
        np.testing.assert_allclose(walk.ours(lazy, l2, np.float64), expected, rtol=0, atol=1e-12)
        single = walk.ours(lazy, l2, np.float32)
        assert single.dtype == np.float32
        assert not np.shares_memory(Parameter(walk.start).weights, walk.start)
        np.testing.assert_allclose(single, expected, rtol=0, atol=2e-5)


def test_a_step_of_training_is_adam_s_with_every_step_counted_and_biases_are_not_pulled() -> None:
    run = TwoTower(factors=3, batch=40, rate=0.02, epochs=2, l2=0.3, user_layer="linear").start(ratings())
    batch = a_batch(run)
    planned = 2 * -(-len(run.examples) // 40)
    expected = {name: Parameter(values) for name, values in run.parameters.items()}
    for done in range(5):
        _, gradient = loss_and_gradient(run.parameters, batch, run.settings)
        adam = Adam(0.02 * (1 - done / planned))
        for name, (rows, values) in gradient.rows.items():
            expected[name].step_rows(rows, values, done + 1, adam, 0.0 if name == "bias" else 0.3)
        for name, values in gradient.dense.items():
            expected[name].step(values, done + 1, adam)
        run.step(gradient)
    for name, parameter in expected.items():
        np.testing.assert_allclose(run.parameters[name], parameter.weights, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"user_layer": "relu", "movie_layer": "linear"}])
def test_the_model_scores_as_the_network_that_was_trained(settings: dict[str, Any]) -> None:
    data = ratings()
    model = TwoTower(catalog(), objective="mse", factors=4, rate=0.05, batch=40, **settings)
    run = trained(model, data, 3)
    for user in range(5):
        last = int(data.indptr[user + 1]) - 1
        line = np.flatnonzero(run.examples == last)
        batch = run.make_batch(line, run.examples[line], np.random.default_rng(0))._replace(kept=None)
        loss, _ = loss_and_gradient(run.parameters, batch, run.settings)
        history = data.take(np.arange(data.n_ratings) != last)
        score = model.score(history, np.array([user]))[0, data.movie_rows[last]]
        assert loss == pytest.approx((score - data.ratings[last]) ** 2, rel=1e-3)


def test_nothing_to_learn_from_and_the_loss_of_an_epoch_is_the_mean_over_examples_whatever_the_batches() -> None:
    with pytest.raises(DataError, match="no rating to learn from"):
        TwoTower().fit(Interactions.from_columns([1, 1], [1, 2], [1, 2], [1, 2]))
    chosen = {**RECIPE, "rate": 1e-9, "factors": 4}
    found = [TwoTower(**{**chosen, "batch": batch}).start(ratings()).run_epoch() for batch in (999, 47, 1)]
    assert found[1:] == pytest.approx(found[:1] * 2, rel=1e-5)


@pytest.mark.parametrize("drop_ids", [0.0, 0.5])
def test_a_movie_that_nobody_rated_is_placed_by_its_features(drop_ids: float) -> None:
    """The last four have no ratings: side features alone must tell whom they are for."""
    data, rows = ratings(), np.arange(N_USERS)
    for features in ("genres", "none"):
        chosen = {"factors": 8, "epochs": 30, "batch": 64, "side_features": features, "drop_ids": drop_ids}
        model = TwoTower(catalog(), **chosen).fit(data)
        new = model.score(data, rows)[:, N_MOVIES:]
        of_own_kind = (rows[:, None] + np.arange(N_MOVIES, N_MOVIES + 4)) % 2 == 0
        found = [new[u][of_own_kind[u]].min() > new[u][~of_own_kind[u]].max() for u in rows]
        assert (np.mean(found) > 0.9) == (features == "genres"), np.mean(found)
        assert (model.movie_vectors_[N_MOVIES:] == 0).all() == (features == "none")  # nothing else moves them


def test_the_default_learns_that_order_matters() -> None:
    """All watch the same ten movies in random order, and then the one that belongs to the last: only order tells."""
    n = 10
    orders = np.array([np.random.default_rng(user).permutation(n) for user in range(120)])
    shown = np.concatenate([orders, n + orders[:, -1:]], axis=1)
    users, times = np.divmod(np.arange(shown.size), n + 1)
    data = Interactions.from_columns(users, shown.ravel(), np.full(shown.size, 5.0), times, np.arange(2 * n))
    asked = data.take(data.movie_rows < n)
    for span, least, most in ((1.0, 0.9, 1), (0.0, 0, 0.1 + 4 * 0.03)):  # one in ten by chance, standard error .027
        chosen = {"factors": 12, "epochs": 25, "batch": 128, "rate": 0.03, "ahead": 0.0, "anywhere": 0.0}
        model = TwoTower(**chosen, short_span=span).fit(data)
        assert least <= (model.recommend(asked, np.arange(120), 1)[0][:, 0] == shown[:, -1]).mean() <= most


@pytest.mark.parametrize("objective", LOSSES)
def test_fold_in_comes_near_what_training_found(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ratings()
    model = TwoTower(**{**RECIPE, "objective": objective, "epochs": 80, "rate": 0.01, "batch": 64, "factors": 8})
    p = trained(model, data, 80).parameters
    wanted = np.maximum(p["users"] @ p["user_W"] + p["user_b"], 0) @ model.movie_vectors_.T
    likeness = lambda a, b: np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b)])  # noqa: E731
    assert likeness(model.score(data, np.arange(N_USERS)), wanted) > 0.8
    monkeypatch.setattr("recommender.learn.two_tower.users.STEPS", 300)
    found = model.score(data, np.arange(N_USERS))
    assert likeness(found, wanted) > 0.9
    assert likeness(found, np.roll(wanted, 1, axis=0)) < 0.3


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
