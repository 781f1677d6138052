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


class Activations(NamedTuple):
    """What a tower keeps on the way forward for the way back."""

    x: np.ndarray  # (B, k)
    y: np.ndarray  # (B, k), the output


def tower(x: np.ndarray, side: str, layer: str, parameters: Parameters) -> Activations:
    """Return the output (B, k) of the tower `side`, "user" or "movie"; layer: "none", "linear" or "relu"."""
    y = x
    if layer != "none":
        y = layers.linear(y, parameters[f"{side}_W"], parameters[f"{side}_b"])
    if layer == "relu":
        y = layers.relu(y)
    return Activations(x, y)


def tower_backward(
    dy: np.ndarray, passed: Activations, side: str, layer: str, parameters: Parameters, dense: Parameters
) -> np.ndarray:
    """Return dx from the gradient of the tower's output; the layer's own gradients go into `dense`."""
    if layer == "relu":
        dy = layers.relu_backward(dy, passed.y)
    if layer != "none":
        dy, dense[f"{side}_W"], dense[f"{side}_b"] = layers.linear_backward(dy, passed.x, parameters[f"{side}_W"])
    return dy


def movie_inputs(
    parameters: Parameters, rows: np.ndarray, features: Optional[np.ndarray], kept: Optional[np.ndarray] = None
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Return x (C, k) and the biases (C, 1) of the movies `rows`; None where the network has no biases."""
    x = layers.lookup(parameters["movies"], rows)
    bias = layers.lookup(parameters["bias"], rows) if "bias" in parameters else None
    if kept is not None:
        x = x * kept  # z_i V_i
        bias = None if bias is None else bias * kept
    if features is not None:
        x = x + features @ parameters["feature_P"]  # + F_i P
        bias = None if bias is None else bias + features @ parameters["feature_p"]
    return x, bias


def loss_and_gradient(parameters: Parameters, batch: Batch, chosen: TwoTowerSettings) -> tuple[float, Gradient]:
    """Return the loss of a batch, without L2 terms, and its gradient.

    Cost O(B C k) where the loss compares movies, else O(B k^2).
    """
    loss = LOSSES[chosen.objective]
    if batch.bags is None:
        x = layers.lookup(parameters["users"], batch.user_rows)
    else:
        x = layers.bag(parameters["history"], *batch.bags)
    user = tower(x, "user", chosen.user_layer, parameters)
    x, bias = movie_inputs(parameters, batch.movie_rows, batch.features, batch.kept)
    movie = tower(x, "movie", chosen.movie_layer, parameters)
    dots = user.y @ movie.y.T if loss.in_batch else layers.rowwise_dot(user.y, movie.y)  # (B, C) or (B,)
    value, ds = loss.function(dots, None if bias is None else bias[:, 0], batch)

    if loss.in_batch:  # S = U M', so dU = dS M and dM = dS' U; each bias is in its whole column
        du, dm, dbias = ds @ movie.y, ds.T @ user.y, np.ones(len(ds), dtype=ds.dtype) @ ds
    else:
        (du, dm), dbias = layers.rowwise_dot_backward(ds, user.y, movie.y), ds
    gradient = Gradient({}, {})
    if bias is not None:
        _movie_gradient(dbias[:, None], batch, "bias", "feature_p", gradient)
    dx = tower_backward(dm, movie, "movie", chosen.movie_layer, parameters, gradient.dense)
    _movie_gradient(dx, batch, "movies", "feature_P", gradient)
    dx = tower_backward(du, user, "user", chosen.user_layer, parameters, gradient.dense)
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
