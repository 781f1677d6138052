"""Training the two towers: its batches and steps, going on after a stop, refusals."""

from typing import Any

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.two_tower.adam import Adam, Parameter
from recommender.learn.two_tower.losses import log_frequencies
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import RECIPE, loss_and_gradient
from recommender.learn.two_tower.training import shuffled_batches

from .test_models_contract import catalog, ratings
from .test_two_tower import a_batch, training


def test_batches_hold_every_row_once_and_every_place_is_as_likely() -> None:
    rng = np.random.default_rng(1)
    for n, size in ((10, 3), (9, 3), (1, 4), (0, 4)):
        batches = list(shuffled_batches(n, size, rng))
        assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(n))
        assert all(len(rows) == size for rows in batches[:-1])
    hits = sum(0 in next(iter(shuffled_batches(8, 2, rng))) for _ in range(2000))
    assert abs(hits - 500) < 4 * 19.4  # standard deviations


def test_log_frequency_is_the_mean_number_in_a_batch() -> None:
    """Batches of 5 of 20 examples. A movie without examples has the least of the others."""
    np.testing.assert_allclose(np.exp(log_frequencies(np.array([12, 6, 2, 0]), 5)), [3, 1.5, 0.5, 0.5])


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
        user = int(run.user_rows[answer])
        read = bags.movie_rows[bags.indptr[line] : bags.indptr[line + 1]]
        assert max(order[user, movie] for movie in read.tolist()) < answer
        columns = np.flatnonzero(np.isin(batch.movie_rows, read)).tolist()
        assert {column for other, column in masked if other == line} == set(columns)
    assert not any((line, column) in masked for line, column in enumerate(batch.positive.tolist()))


def test_l2_pulls_at_vectors_and_leaves_biases_alone() -> None:
    plain, pulled = (TwoTower(factors=3, batch=999, l2=l2).start(ratings()) for l2 in (0.0, 5.0))
    for run in (plain, pulled):
        run.run_epoch()
        assert run.steps_done == 1
    np.testing.assert_array_equal(plain.parameters["bias"], pulled.parameters["bias"])
    for name in ("movies", "history"):
        assert (plain.parameters[name] != pulled.parameters[name]).any()


def test_a_step_of_training_is_adam_s_with_every_step_counted() -> None:
    chosen = {"factors": 3, "batch": 40, "rate": 0.02, "epochs": 2, "l2": 0.0, "user_layer": "linear"}
    run = TwoTower(**chosen).start(ratings())
    batch = a_batch(run)
    planned = 2 * -(-len(run.examples) // 40)
    expected = {name: Parameter(values) for name, values in run.parameters.items()}
    for done in range(5):
        _, gradient = loss_and_gradient(run.parameters, batch, run.settings)
        adam = Adam(0.02 * (1 - done / planned))
        for name, (rows, values) in gradient.rows.items():
            expected[name].step_rows(rows, values, done + 1, adam)
        for name, values in gradient.dense.items():
            expected[name].step(values, done + 1, adam)
        run.step(gradient)
    for name, parameter in expected.items():
        np.testing.assert_allclose(run.parameters[name], parameter.weights, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"user_layer": "relu", "movie_layer": "linear"}])
def test_the_model_scores_as_the_network_that_was_trained(settings: dict[str, Any]) -> None:
    data = ratings()
    model = TwoTower(catalog(), objective="mse", factors=4, rate=0.05, batch=40, **settings)
    run = model.start(data)
    for _ in range(3):
        run.run_epoch()
    model.take_over(run)
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
