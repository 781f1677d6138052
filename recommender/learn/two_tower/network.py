"""The two-tower network: from people and movies to scores, and the gradient of both losses by hand.

    person  x_u = a row of a table of people ("id"), or what their history says ("history", see two_tower_history)
    movie   x_i = z_i V_i + F_i P          V_i its own row, F_i what is known about it (genres, year ...)
    towers  y = x,  y = x W + b,  or  y = relu(x W + b);  then y / |y| if vectors are normalised
    score   s_ui = y_u . y_i / T + c_i,    c_i = a_i + F_i p  the movie's bias

Behind ReLU no entry of y is negative, so with ReLU in both towers no dot product is either: ratings can be met, signed
targets need a linear last layer.

V, P, W, b, a, p are learned. z_i is 1, except that training can set it to 0 at random, so that P must learn to do
without V: then a movie that nobody rated gets a good vector from F_i P alone (Volkovs, Yu and Poutanen, DropoutNet,
NIPS 2017). The towers meet only in the dot product, so all movie vectors can be computed once and searched by an
index: that is what the design is for. Source: Covington, Adams and Sargin, Deep neural networks for YouTube
recommendations (RecSys 2016), section 3; Yi et al. (RecSys 2019), section 3.

A gradient is found by walking back: from the loss to s, from s to both towers' outputs, through each tower to x, and
from x to the rows of the tables. `layers` and `losses` have each step with its derivation.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from . import layers, losses

Parameters = dict[str, np.ndarray]


class Design(NamedTuple):
    """What a network is made of; layers are "none", "linear" or "relu"."""

    objective: str = "softmax"  # or "mse"
    user_layer: str = "linear"
    movie_layer: str = "none"
    normalised: bool = False
    temperature: float = 1.0


class Bags(NamedTuple):
    """One sum over the history of each line of a batch: `weights` times rows of the table "history".

    Line b has the occurrences `indptr[b]` to `indptr[b + 1]`.
    """

    indptr: np.ndarray  # (B + 1,)
    movie_rows: np.ndarray  # (n_occurrences,)
    weights: np.ndarray  # (n_occurrences,)


class Batch(NamedTuple):
    """Some examples; what an objective or a tower does not use is None.

    movie_rows: (C,) the movies: different ones for the softmax, each line's own (C = B) for the MSE.
    """

    movie_rows: np.ndarray
    people: Optional[np.ndarray] = None  # (B,) rows of the table of people
    bags: Optional[list[Bags]] = None  # x is their sums side by side
    features: Optional[np.ndarray] = None  # (C, n_features), F of `movie_rows`
    kept: Optional[np.ndarray] = None  # (C, 1), z above; None = all 1
    ratings: Optional[np.ndarray] = None  # (B,), for the MSE
    own: Optional[np.ndarray] = None  # (B,) column of each line's movie, for the softmax
    corrections: Optional[np.ndarray] = None  # (2, C), see losses.sampled_softmax
    hidden: Optional[tuple[np.ndarray, np.ndarray]] = None


class Gradient(NamedTuple):
    """`rows`: table -> (row of each line, gradient of each line), to be summed by row.  `dense`: all other groups."""

    rows: dict[str, tuple[np.ndarray, np.ndarray]]
    dense: Parameters


class Passed(NamedTuple):
    """What a tower keeps on the way forward for the way back."""

    x: np.ndarray  # (B, k_in)
    y: np.ndarray  # (B, k), after the layer
    unit: Optional[np.ndarray]  # (B, k), y / |y| where vectors are normalised
    lengths: Optional[np.ndarray]

    @property
    def output(self) -> np.ndarray:
        return self.y if self.unit is None else self.unit


def tower(x: np.ndarray, side: str, layer: str, normalised: bool, parameters: Parameters) -> Passed:
    """Return the output (B, k) of the tower `side`, "user" or "movie", for its inputs x (B, k_in)."""
    y = x
    if layer != "none":
        y = layers.linear(x, parameters[f"{side}_W"], parameters[f"{side}_b"])
    if layer == "relu":
        y = layers.relu(y)
    if not normalised:
        return Passed(x, y, None, None)
    return Passed(x, y, *layers.normalise(y))


def tower_backward(
    dy: np.ndarray, passed: Passed, side: str, layer: str, parameters: Parameters, dense: Parameters
) -> np.ndarray:
    """Return dx from the gradient of the tower's output; the layer's own gradients go into `dense`."""
    if passed.unit is not None and passed.lengths is not None:
        dy = layers.normalise_backward(dy, passed.unit, passed.lengths)
    if layer == "relu":
        dy = layers.relu_backward(dy, passed.y)
    if layer != "none":
        dy, dense[f"{side}_W"], dense[f"{side}_b"] = layers.linear_backward(dy, passed.x, parameters[f"{side}_W"])
    return dy


def user_inputs(parameters: Parameters, batch: Batch) -> np.ndarray:
    """Return x of the people of a batch, (B, k_in)."""
    if batch.bags is None:
        assert batch.people is not None
        return layers.lookup(parameters["people"], batch.people)
    return np.concatenate([layers.bag(parameters["history"], *bags) for bags in batch.bags], axis=1)


def movie_inputs(parameters: Parameters, batch: Batch) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Return x (C, k_in) and the biases (C, 1) of a batch's movies; no biases where the network has none."""
    x = layers.lookup(parameters["movies"], batch.movie_rows)
    bias = layers.lookup(parameters["bias"], batch.movie_rows) if "bias" in parameters else None
    if batch.kept is not None:
        x = x * batch.kept
        bias = None if bias is None else bias * batch.kept
    if batch.features is not None:
        x = x + batch.features @ parameters["feature_P"]
        bias = None if bias is None else bias + batch.features @ parameters["feature_p"]
    return x, bias


def loss_and_gradient(parameters: Parameters, batch: Batch, design: Design) -> tuple[float, Gradient]:
    """Return the loss of a batch, without L2 terms, and its gradient. Cost O(B C k), for the MSE O(B k^2)."""
    T = design.temperature
    user = tower(user_inputs(parameters, batch), "user", design.user_layer, design.normalised, parameters)
    x, bias = movie_inputs(parameters, batch)
    movie = tower(x, "movie", design.movie_layer, design.normalised, parameters)
    u, m = user.output, movie.output
    if design.objective == "mse":
        assert batch.ratings is not None
        predicted = layers.rowwise_dot(u, m) / T
        if bias is not None:
            predicted += bias[:, 0]
        loss, dp = losses.mse(predicted, batch.ratings)
        du, dm = layers.rowwise_dot_backward(dp / T, u, m)
        dbias = dp
    else:
        assert batch.own is not None
        assert batch.corrections is not None
        corrections = batch.corrections if bias is None else batch.corrections + bias[:, 0]
        loss, du, dm, dbias = losses.sampled_softmax(u, m, batch.own, corrections, T, batch.hidden)
    return loss, _backward(parameters, batch, design, (user, movie), (du, dm, dbias[:, None]))


def _backward(
    parameters: Parameters,
    batch: Batch,
    design: Design,
    towers: tuple[Passed, Passed],
    outputs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Gradient:
    """Walk back from the gradients of the towers' outputs, (B, k) and (C, k), and of the biases, (C, 1).

    With dx_i from the movie tower, x_i = z_i V_i + F_i P gives dV_i = z_i dx_i, and P, which every movie of the batch
    has a part in, the sum over movies of F_i' dx_i: dP = F' dx. Likewise da_i = z_i dc_i and dp = F' dc.
    """
    user, movie = towers
    du, dm, dbias = outputs
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    dense: Parameters = {}
    if "bias" in parameters:
        if batch.features is not None:
            dense["feature_p"] = batch.features.T @ dbias
        rows["bias"] = batch.movie_rows, dbias if batch.kept is None else dbias * batch.kept
    dx = tower_backward(dm, movie, "movie", design.movie_layer, parameters, dense)
    if batch.features is not None:
        dense["feature_P"] = batch.features.T @ dx
    rows["movies"] = batch.movie_rows, dx if batch.kept is None else dx * batch.kept
    dx = tower_backward(du, user, "user", design.user_layer, parameters, dense)
    if batch.bags is None:
        assert batch.people is not None
        rows["people"] = batch.people, dx
    else:
        sides = np.split(dx, len(batch.bags), axis=1)
        parts = [layers.bag_backward(side, *bags) for side, bags in zip(sides, batch.bags)]
        rows["history"] = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return Gradient(rows, dense)
