"""Placing somebody in front of a user tower that reads ids: the gradient, and that it ends where training does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recommender.data.interactions import Interactions
from recommender.learn.two_tower.fold_in import Told, slopes, softmax
from recommender.learn.two_tower.gradient_check import check_gradient
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import Design, Parameters
from recommender.learn.two_tower.settings import RECIPE

from .test_two_tower import N_USERS, ratings


@pytest.mark.parametrize("objective", ["mse", "softmax"])
def test_fold_in_comes_near_what_training_found(objective: str) -> None:
    """Everybody is folded in from the mean of all: their scores must come near those of their trained rows.

    Somebody else's trained row is the control.
    """
    data = ratings()
    chosen = {**RECIPE, "objective": objective, "epochs": 150, "rate": 0.01, "batch": 64, "factors": 8}
    model = TwoTower(**chosen, fold_in_steps=300)
    run = model.start(data)
    for _ in range(150):
        run.run_epoch()
    model.take_over(run)
    p = run.parameters
    trained = np.maximum(p["people"] @ p["user_W"] + p["user_b"], 0) @ model.movie_vectors.T
    folded = model.score(data, np.arange(N_USERS))

    def likeness(a: Any, b: Any) -> float:
        return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b)]))

    assert likeness(folded, trained) > 0.9
    assert likeness(folded, np.roll(trained, 1, axis=0)) < 0.3


@pytest.mark.parametrize("objective", ["mse", "softmax"])
def test_the_gradient_of_fold_in(objective: str) -> None:
    """Against the loss as its header has it, person by person; Adam hides a factor, so only this tells."""
    data = Interactions.from_columns([1, 1, 1, 3, 3], [10, 20, 40, 20, 30], [5, 3, 1, 4, 2], range(5))
    rng = np.random.default_rng(1)
    u, m, c = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    told = Told.of(data, np.array([1, 0, 1]), np.float64)
    assert told.shares.tolist() == (1 / np.array([2.0, 2, 3, 3, 3, 2, 2])).tolist()
    design = Design(objective, temperature=0.7)

    def loss(p: Parameters) -> float:
        total = 0.0
        for line, (movies, values) in enumerate((([1, 2], [4, 2]), ([0, 1, 3], [5, 3, 1]), ([1, 2], [4, 2]))):
            s = m @ p["u"][line] / 0.7 + c
            rest = (s[movies] - values) ** 2 if objective == "mse" else np.log(np.exp(s).sum()) - s[movies]
            total += float(np.mean(rest))
        return total

    check_gradient(loss, {"u": slopes(u, design, (m, c), told)}, {"u": u}, np.random.default_rng(0))


def test_nobody_is_moved_by_nothing() -> None:
    data = Interactions.from_columns([1, 2], [10, 20], [5, 4], [1, 2]).take(np.array([False, True]))
    told = Told.of(data, np.array([0, 1]), np.float64)
    assert told.shares.tolist() == [1.0]
    for objective in ("mse", "softmax"):
        du = slopes(np.ones((2, 3)), Design(objective), (np.eye(2, 3), np.zeros(2)), told)
        assert (du[0] == 0).all()
        assert (du[1] != 0).any()


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(softmax(np.array([[0.0, np.log(3.0)], [1000.0, 1000.0]])), [[0.25, 0.75], [0.5, 0.5]])
