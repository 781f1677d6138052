"""The two-tower network: from users and movies to scores, and the gradient of every loss by hand.

    user    x_u = a row of the table "users", or a weighted sum of rows of the table "history" (see `users`)
    movie   x_i = z_i V_i + F_i P          V_i a row of the table "movies", F_i what is known of it (genres, year ...)
    tower   y = x,  y = x W + b,  or  y = relu(x W + b)
    score   s_ui = y_u . y_i + c_i         c_i = z_i a_i + F_i p, the movie's bias

z_i is 1, but training sets it to 0 at random, so that P learns to do without V, and a movie that nobody rated gets its
vector from F_i P (Volkovs, Yu and Poutanen, DropoutNet, NIPS 2017). Behind ReLU no entry of y is negative, and so no
dot product: signed targets need a linear last layer. Towers have one layer at most. Source: Covington, Adams and
Sargin, Deep neural networks for YouTube recommendations (RecSys 2016), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np

from ...data.settings import setting
from . import layers
from .losses import LOSSES

Parameters = dict[str, np.ndarray]
LAYERS = ("none", "linear", "relu")
FEATURES = ("none", "genres")

# Requirements' recipe: tables of users and movies, a ReLU layer on each, the rating as the target.
RECIPE: dict[str, Any] = {
    "objective": "mse",
    "user_input": "id",
    "user_layer": "relu",
    "movie_layer": "relu",
    "factors": 64,
    "movie_bias": False,
    "side_features": "none",
    "drop_ids": 0.0,
    "rate": 1e-3,
    "rate_falls": False,
    "batch": 1024,
    "epochs": 10,
    "l2": 0.0,
}


@dataclass(frozen=True)
class TwoTowerSettings:
    """The settings of `TwoTower`; defaults chosen on the validation part of ml-latest-small."""

    objective: str = setting("softmax", "pick the liked movie, or predict the rating", choices=tuple(LOSSES))
    user_input: str = setting("history", "what the user tower reads", choices=("history", "id"))
    user_layer: str = setting("none", "last layer of the user tower; relu twice: no product below 0", choices=LAYERS)
    movie_layer: str = setting("none", "last layer of the movie tower", choices=LAYERS)
    factors: int = setting(64, "length of the vectors", 1, 100_000)
    movie_bias: bool = setting(True, "whether a movie's popularity is learned beside its vector")
    side_features: str = setting("genres", "what else the movie tower reads", choices=FEATURES)
    drop_ids: float = setting(0.1, "share of movies whose own vector is omitted in a step", 0, 1)
    short_span: float = setting(5.0, "ratings after which the recent sum has decayed to 1/e; 0 = no such sum", 0)
    long_span: float = setting(1000.0, "the same for the lasting sum", 0)
    longest_history: int = setting(100, "ratings that are read at most", 1, 1_000_000)
    middling_weight: float = setting(0.3, "weight of a rating of 3 or 3.5 in the history, a like being 1", 0, 1000)
    poor_weight: float = setting(0.1, "weight of a rating below 3", 0, 1000)
    ahead: float = setting(3.0, "mean number of ratings between the end of the history and the answer", 0)
    anywhere: float = setting(0.3, "share of examples whose history ends anywhere before instead", 0, 1)
    batch: int = setting(512, "examples a step", 1)
    epochs: int = setting(15, "passes over all examples", 1)
    rate: float = setting(3e-3, "step size of Adam", 1e-9)
    rate_falls: bool = setting(True, "whether the step size falls to 0 over the epochs")
    l2: float = setting(1e-4, "l2 times the weight is added to the gradient of each row touched", 0)
    scale: float = setting(0.05, "standard deviation of the first vectors", 1e-9)
    seed: int = setting(0, "seed of everything drawn", 0)


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
