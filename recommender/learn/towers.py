"""Two towers: what is known of a person and what is known of a movie, each turned into a vector; they meet in a dot.

    user tower:   u = relu(x_u W_u + b_u)      x_u the person's row of an embedding table (n_users, k)
    movie tower:  m = relu(x_m W_m + b_m)      x_m the movie's row of a table (n_movies, k)
    score:        s = u . m

Without ReLU in its last layer a tower can give negative numbers too, which signed targets need. Training is the
chain rule over `layers` and `losses`:

    mse       p = u . m of each rating;  dp from the loss;  du = dp m, dm = dp u
    softmax   every person's u against all movies of the batch;  du, dm from the loss
    tower     dz = dy [y > 0];  dW = x' dz, db = sum dz, dx = dz W';  dx goes to the table's rows

Both steps run each tower on the distinct rows of a batch only. Popular movies come up many times in 1024 ratings; the
vector of each is computed once, and the gradients of its occurrences are summed before they go back through the
tower. As backpropagation is linear in dy, that is the same gradient, at less work.

Source of the architecture: Covington, Adams and Sargin, Deep neural networks for YouTube recommendations (RecSys
2016); Yi et al. (RecSys 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import layers
from .lazy_adam import Adam, EmbeddingTable, dense_step, group_rows, sum_groups
from .losses import batch_candidates, mse, sampled_softmax

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.integer]


class TowerGradient(NamedTuple):
    """By the rows that went in (n, k_in), by W (k_in, k_out) and by b (k_out,)."""

    x: Floats
    W: Floats
    b: Floats


class Tower:
    """An embedding table under one linear layer, with ReLU behind it or not; W, b and their moments change in place.

    weights: (n, k_in) of the table, copied.  W: (k_in, k_out).  b: (k_out,).  One dtype.
    """

    def __init__(self, weights: Floats, W: Floats, b: Floats, relu: bool = True) -> None:
        self.table = EmbeddingTable(weights)
        self.W, self.b, self.relu = W.copy(), b.copy(), relu
        self.moments = [np.zeros_like(part) for part in (W, W, b, b)]

    @classmethod
    def start(cls, n: int, k: int, rng: np.random.Generator, relu: bool = True) -> Tower:
        """Return a tower (n, k) float32 before training: a table of N(0, 0.1), W of He et al. (2015), b = 0."""
        weights = rng.standard_normal((n, k), dtype=np.float32) * np.float32(0.1)
        W = rng.normal(0, np.sqrt(2 / k), (k, k)).astype(np.float32)
        return cls(weights, W, np.zeros(k, dtype=np.float32), relu)

    def forward(self, x: Floats) -> Floats:
        """Return the vectors (n, k_out) of table rows x (n, k_in)."""
        z = layers.linear(x, self.W, self.b)
        return np.maximum(z, 0, out=z) if self.relu else z

    def backward(self, dy: Floats, x: Floats, y: Floats) -> TowerGradient:
        """Return the gradient from dy (n, k_out), the rows x and the vectors y = forward(x)."""
        dz = layers.relu_backward(dy, y) if self.relu else dy
        return TowerGradient(*layers.linear_backward(dz, x, self.W))

    def step(self, rows: Rows, gradient: TowerGradient, step: int, adam: Adam, l2: float = 0.0) -> None:
        """Move the table's distinct `rows`, W and b; parameters as in `EmbeddingTable.step`."""
        self.table.step_distinct(rows, gradient.x, step, adam, l2)
        first_W, second_W, first_b, second_b = self.moments
        dense_step(self.W, gradient.W, first_W, second_W, step, adam)
        dense_step(self.b, gradient.b, first_b, second_b, step, adam)

    def vectors(self) -> Floats:
        """Return the vectors of all rows of the table, (n, k_out)."""
        return self.forward(self.table.weights)


class BatchGradient(NamedTuple):
    """Loss of a batch, the distinct rows in it, and the gradient of either tower."""

    loss: float
    user_rows: Rows
    users: TowerGradient
    movie_rows: Rows
    movies: TowerGradient


def mse_gradient(users: Tower, movies: Tower, user_rows: Rows, movie_rows: Rows, ratings: Floats) -> BatchGradient:
    """Return loss and gradient of (u . m - r)^2, the mean over a batch; user_rows, movie_rows, ratings: (B,)."""
    by_user, by_movie = group_rows(user_rows), group_rows(movie_rows)
    x_u, x_m = (
        layers.lookup(users.table.weights, by_user.distinct),
        layers.lookup(movies.table.weights, by_movie.distinct),
    )
    u, m = users.forward(x_u), movies.forward(x_m)
    u_each, m_each = layers.lookup(u, by_user.places), layers.lookup(m, by_movie.places)  # (B, k)
    loss, dp = mse(layers.rowwise_dot(u_each, m_each), ratings)
    du_each, dm_each = layers.rowwise_dot_backward(dp, u_each, m_each)
    du, dm = sum_groups(by_user, du_each), sum_groups(by_movie, dm_each)
    return BatchGradient(
        loss, by_user.distinct, users.backward(du, x_u, u), by_movie.distinct, movies.backward(dm, x_m, m)
    )


def softmax_gradient(
    users: Tower, movies: Tower, user_rows: Rows, movie_rows: Rows, log_q: Floats, temperature: float = 1.0
) -> BatchGradient:
    """Return loss and gradient of the sampled softmax over the movies of the batch; log_q: (n_movies,)."""
    by_user = group_rows(user_rows)
    candidates, own, corrections = batch_candidates(movie_rows, log_q)
    x_u, x_m = layers.lookup(users.table.weights, by_user.distinct), layers.lookup(movies.table.weights, candidates)
    u, m = users.forward(x_u), movies.forward(x_m)
    found = sampled_softmax(layers.lookup(u, by_user.places), m, own, corrections, temperature)
    du = sum_groups(by_user, found.users)
    return BatchGradient(
        found.loss, by_user.distinct, users.backward(du, x_u, u), candidates, movies.backward(found.movies, x_m, m)
    )


def apply(users: Tower, movies: Tower, gradient: BatchGradient, step: int, adam: Adam, l2: float = 0.0) -> None:
    """Move both towers by one step along the gradient of a batch; step: counted from 1."""
    users.step(gradient.user_rows, gradient.users, step, adam, l2)
    movies.step(gradient.movie_rows, gradient.movies, step, adam, l2)
