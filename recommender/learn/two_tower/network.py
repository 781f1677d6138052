"""The two-tower network: from users and movies to scores, and the gradient of every loss by hand.

    user    x_u = a row of the table "users", or a weighted sum of rows of the table "history" (see `history`)
    movie   x_i = z_i V_i + F_i P          V_i a row of the table "movies", F_i what is known of it (genres, year ...)
    tower   y = x,  y = x W + b,  or  y = relu(x W + b)
    score   s_ui = y_u . y_i + c_i         c_i = z_i a_i + F_i p, the movie's bias

z_i is 1, but training sets it to 0 at random, so that P learns to do without V, and a movie that nobody rated gets its
vector from F_i P (Volkovs, Yu and Poutanen, DropoutNet, NIPS 2017). Behind ReLU no entry of y is negative, and so no
dot product: signed targets need a linear last layer. Towers have one layer at most. Source: Covington, Adams and
Sargin, Deep neural networks for YouTube recommendations (RecSys 2016), section 3.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from . import layers
from .losses import LOSSES
from .settings import TwoTowerSettings

Parameters = dict[str, np.ndarray]


class Bags(NamedTuple):
    """A weighted sum of movies for each row of a batch: row b has the occurrences indptr[b] to indptr[b + 1]."""

    indptr: np.ndarray  # (B + 1,)
    movie_rows: np.ndarray  # (n_occurrences,)
    weights: np.ndarray  # (n_occurrences,)


class Batch(NamedTuple):
    """Some examples; what the loss or a tower does not use is None."""

    movie_rows: np.ndarray  # (C,) different ones where a loss compares movies, else each row's own, C = B
    user_rows: np.ndarray  # (B,)
    bags: Optional[Bags] = None  # in place of rows of the table "users"
    features: Optional[np.ndarray] = None  # (C, n_features), F
    kept: Optional[np.ndarray] = None  # (C, 1), z; None = all 1
    ratings: Optional[np.ndarray] = None  # (B,)
    positive: Optional[np.ndarray] = None  # (B,) column of each row's liked movie
    offsets: Optional[np.ndarray] = None  # (2, C), see losses.sampled_softmax
    masked: Optional[tuple[np.ndarray, np.ndarray]] = None


class Gradient(NamedTuple):
    """What a step needs: of each table the rows touched and a gradient for each, and the gradients of all others."""

    rows: dict[str, tuple[np.ndarray, np.ndarray]]  # equal rows are to be summed
    dense: Parameters


def tower(x: np.ndarray, side: str, layer: str, parameters: Parameters) -> np.ndarray:
    """Return y (B, k) of x (B, k) in the tower `side`, "user" or "movie"; layer: "none", "linear" or "relu"."""
    if layer == "none":
        return x
    y = layers.linear(x, parameters[f"{side}_W"], parameters[f"{side}_b"])
    return layers.relu(y) if layer == "relu" else y


def tower_backward(
    dy: np.ndarray, x: np.ndarray, y: np.ndarray, side: str, layer: str, parameters: Parameters, dense: Parameters
) -> np.ndarray:
    """Return dx for y = tower(x); the layer's own gradients go into `dense`."""
    if layer == "none":
        return dy
    dz = layers.relu_backward(dy, y) if layer == "relu" else dy
    dx, dense[f"{side}_W"], dense[f"{side}_b"] = layers.linear_backward(dz, x, parameters[f"{side}_W"])
    return dx


def movie_inputs(
    parameters: Parameters, rows: np.ndarray, features: Optional[np.ndarray], kept: Optional[np.ndarray] = None
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Return x (C, k) and the biases (C, 1) of the movies `rows`; None if the network has no biases."""

    def read(table: str, P: str) -> np.ndarray:  # z_i V_i + F_i P
        x = layers.lookup(parameters[table], rows)
        x = x if kept is None else x * kept
        return x if features is None else x + features @ parameters[P]

    return read("movies", "feature_P"), read("bias", "feature_p") if "bias" in parameters else None


def loss_and_gradient(parameters: Parameters, batch: Batch, settings: TwoTowerSettings) -> tuple[float, Gradient]:
    """Return the loss of a batch, without L2 terms, and its gradient.

    Cost O(B C k) where the loss compares movies, else O(B k^2).
    """
    loss = LOSSES[settings.objective]
    if batch.bags is None:
        x_u = layers.lookup(parameters["users"], batch.user_rows)  # (B, k)
    else:
        x_u = layers.bag(parameters["history"], *batch.bags)
    x_m, bias = movie_inputs(parameters, batch.movie_rows, batch.features, batch.kept)  # (C, k), (C, 1)
    u = tower(x_u, "user", settings.user_layer, parameters)
    m = tower(x_m, "movie", settings.movie_layer, parameters)
    dots = u @ m.T if loss.in_batch else layers.rowwise_dot(u, m)  # (B, C) or (B,)
    value, ds = loss.function(dots, None if bias is None else bias[:, 0], batch)

    if loss.in_batch:  # S = U M', so dU = dS M and dM = dS' U; each bias is in its whole column
        du, dm, dbias = ds @ m, ds.T @ u, np.ones(len(ds), dtype=ds.dtype) @ ds
    else:
        (du, dm), dbias = layers.rowwise_dot_backward(ds, u, m), ds
    gradient = Gradient({}, {})
    if bias is not None:
        _movie_gradient(dbias[:, None], batch, "bias", "feature_p", gradient)
    dx = tower_backward(dm, x_m, m, "movie", settings.movie_layer, parameters, gradient.dense)
    _movie_gradient(dx, batch, "movies", "feature_P", gradient)
    dx = tower_backward(du, x_u, u, "user", settings.user_layer, parameters, gradient.dense)
    if batch.bags is None:
        gradient.rows["users"] = batch.user_rows, dx
    else:
        gradient.rows["history"] = layers.bag_backward(dx, *batch.bags)
    return value, gradient


def _movie_gradient(dx: np.ndarray, batch: Batch, table: str, P: str, gradient: Gradient) -> None:
    """Add what x_i = z_i V_i + F_i P hands back through dx (C, k) to `table`, V, and to P."""
    if batch.features is not None:
        gradient.dense[P] = batch.features.T @ dx  # every movie of the batch uses P: dP = F' dx
    gradient.rows[table] = batch.movie_rows, dx if batch.kept is None else dx * batch.kept  # dV_i = z_i dx_i
