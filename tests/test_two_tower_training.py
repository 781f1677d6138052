"""Training the two towers: its steps, negatives and L2, going on after a stop, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.learn.two_tower.adam import Adam, EmbeddingTable, dense_step
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import loss_and_gradient
from recommender.learn.two_tower.settings import RECIPE

from .test_two_tower import N_USERS, a_batch, catalog, ratings, training


@pytest.mark.parametrize("settings", [{}, RECIPE, {"side_features": "genres", "drop_ids": 0.5, "extra_negatives": 9}])
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(settings: dict[str, Any]) -> None:
    data = ratings()
    model = TwoTower(catalog(), **{**settings, "factors": 6, "batch": 32, "epochs": 4})
    whole = model.start(data)
    losses = [whole.run_epoch() for _ in range(4)]
    first = model.start(data)
    begun = [first.run_epoch() for _ in range(2)]
    stored = first.state()
    first.run_epoch()  # what is stored is a copy
    second = TwoTower(catalog(), **{**settings, "factors": 6, "batch": 32, "epochs": 4}).start(data)
    second.set_state(stored)
    assert [*begun, second.run_epoch(), second.run_epoch()] == losses
    assert second.epochs_done == 4
    for name, part in whole.state().items():
        np.testing.assert_array_equal(part, second.state()[name])
    np.testing.assert_array_equal(
        model.take_over(second).score(data, np.arange(N_USERS)), model.fit(data).score(data, np.arange(N_USERS))
    )


def test_l2_pulls_at_vectors_and_leaves_biases_alone() -> None:
    """A popular movie is not to be shrunk to the mean: after one step the biases are those without L2."""
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
    tables = {name: EmbeddingTable(table.weights) for name, table in run.tables.items()}
    dense = {name: [values.copy(), 0 * values, 0 * values] for name, values in run.dense.items()}
    for done in range(5):
        _, gradient = loss_and_gradient(run.parameters, batch, run.design)
        adam = Adam(0.02 * (1 - done / planned))
        for name, (rows, values) in gradient.rows.items():
            tables[name].step(rows, values, done + 1, adam)
        for name, values in gradient.dense.items():
            weights, first, second = dense[name]
            dense_step(weights, values, first, second, done + 1, adam)
        run.step(gradient)
    expected = {name: table.weights for name, table in tables.items()}
    expected.update({name: parts[0] for name, parts in dense.items()})
    assert {"movies", "history", "bias", "user_W", "user_b"} == set(expected) == set(run.parameters)
    for name, values in expected.items():
        np.testing.assert_allclose(run.parameters[name], values, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"normalised": True}, {"user_layer": "relu", "movie_layer": "linear"}])
def test_the_model_scores_as_the_network_that_was_trained(settings: dict[str, Any]) -> None:
    """The squared error of one rating, asked of the network, is that of the model's score from the history before."""
    data = ratings()
    model = TwoTower(catalog(), objective="mse", temperature=0.4, factors=4, rate=0.05, batch=40, **settings)
    run = model.start(data)
    for _ in range(3):
        run.run_epoch()
    model.take_over(run)
    for person in range(5):
        last = int(data.indptr[person + 1]) - 1
        line = np.flatnonzero(run.examples == last)
        batch = run.make_batch(line, run.examples[line], np.random.default_rng(0))._replace(kept=None)
        loss, _ = loss_and_gradient(run.parameters, batch, run.design)
        history = data.take(np.arange(data.n_ratings) != last)
        score = model.score(history, np.array([person]))[0, data.movie_rows[last]]
        assert loss == pytest.approx((score - data.ratings[last]) ** 2, rel=1e-3)


def test_negatives_beside_a_batch_are_candidates_and_count_in_q() -> None:
    for n_extra in (0, 200):
        run = training(extra_negatives=n_extra)
        batch = run.make_batch(np.arange(3), run.examples[:3], np.random.default_rng(0))
        assert batch.own is not None
        assert (batch.movie_rows[batch.own] == run.data.movie_rows[run.examples[:3]]).all()
        assert (len(batch.movie_rows) > 12) == (n_extra > 0)
        assert np.exp(run.log_q).sum() == pytest.approx(40 + n_extra)  # of 24 movies, all of which can turn up


def test_a_stored_training_of_another_network_is_refused() -> None:
    data = ratings()
    stored = TwoTower(factors=6).start(data).state()
    with pytest.raises(DataError, match=r"does not fit at 'history\.m'"):
        TwoTower(factors=5).start(data).set_state(stored)
    with pytest.raises(DataError, match="does not fit at"):
        TwoTower(factors=6, user_layer="linear").start(data).set_state(stored)


def test_nothing_to_learn_from_is_refused() -> None:
    disliked = Interactions.from_columns([1, 1], [1, 2], [1, 2], [1, 2])
    with pytest.raises(DataError, match="no rating to learn from"):
        TwoTower().fit(disliked)


def test_the_loss_of_an_epoch_is_the_mean_over_examples_whatever_the_batches() -> None:
    chosen = {**RECIPE, "rate": 1e-9, "factors": 4}
    found = [TwoTower(**{**chosen, "batch": batch}).start(ratings()).run_epoch() for batch in (999, 47, 1)]
    assert found[1:] == pytest.approx(found[:1] * 2, rel=1e-5)
