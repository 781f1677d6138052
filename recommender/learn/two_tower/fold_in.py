"""Places somebody in front of a user tower that reads ids: their row of the table is learned, all else stays fixed.

    x  <- x - step of Adam along dL/dx         from the mean row of the people trained on
    L(x) = 1/n sum over their ratings (u . m_i / T + c_i - r_i)^2                               (mse)
    L(x) = -1/n sum over their likes ln softmax over all movies of (u . m_i / T + c_i)          (softmax)

It is what training would do for one more person while everybody else holds still, so it comes near the row that
training would have found, at a cost that only a few people bear at a time. Someone without a rating stays at the mean.
The movie tower's outputs m and biases c are given. A tower that reads histories needs none of this.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...data.interactions import Interactions
from . import layers
from .adam import Adam, dense_step
from .network import Design, Parameters, tower, tower_backward

RATE = 0.05
_BLOCK = 256  # people at a time: the softmax holds their scores of all movies


class Told(NamedTuple):
    """The ratings of some people: those of line b are `indptr[b]` to `indptr[b + 1]` of the other arrays."""

    indptr: np.ndarray  # (B + 1,)
    lines: np.ndarray
    rows: np.ndarray  # of movies
    ratings: np.ndarray
    shares: np.ndarray  # of one rating in its person's loss, 1/n

    @classmethod
    def of(cls, history: Interactions, user_rows: np.ndarray, dtype: npt.DTypeLike) -> Told:
        """Return the ratings of `user_rows` (B,) of `history`."""
        counts = np.diff(history.indptr)[user_rows]
        indptr = np.concatenate(([0], np.cumsum(counts)))
        lines = np.repeat(np.arange(len(user_rows)), counts)
        places = np.arange(indptr[-1]) + np.repeat(history.indptr[user_rows] - indptr[:-1], counts)
        shares = (1 / np.maximum(counts, 1)).astype(dtype)[lines]
        return cls(indptr, lines, history.movie_rows[places], history.ratings[places], shares)


def fold_in(
    parameters: Parameters,
    design: Design,
    movies: tuple[np.ndarray, np.ndarray],
    history: Interactions,
    user_rows: np.ndarray,
    n_steps: int,
) -> np.ndarray:
    """Return the user tower's outputs, (B, k), for rows of `history`, of which all ratings count (softmax: give likes).

    parameters: the user layer, and "mean" (k_in,), where everybody begins.  movies: m (n_movies, k), c (n_movies,).
    Cost O(n_steps B n_movies k) for the softmax, O(n_steps n_ratings k) for the MSE.
    """
    blocks = [
        _fold_in_block(parameters, design, movies, history, user_rows[low : low + _BLOCK], n_steps)
        for low in range(0, len(user_rows), _BLOCK)
    ]
    return np.concatenate(blocks)


def _fold_in_block(
    parameters: Parameters,
    design: Design,
    movies: tuple[np.ndarray, np.ndarray],
    history: Interactions,
    user_rows: np.ndarray,
    n_steps: int,
) -> np.ndarray:
    told = Told.of(history, user_rows, movies[0].dtype)
    x = np.tile(parameters["mean"], (len(user_rows), 1))
    first, second = np.zeros_like(x), np.zeros_like(x)
    for step in range(1, n_steps + 1):
        passed = tower(x, "user", design.user_layer, design.normalised, parameters)
        du = slopes(passed.output, design, movies, told)
        dx = tower_backward(du, passed, "user", design.user_layer, parameters, {})
        dense_step(x, dx, first, second, step, Adam(RATE))
    return tower(x, "user", design.user_layer, design.normalised, parameters).output


def slopes(u: np.ndarray, design: Design, movies: tuple[np.ndarray, np.ndarray], told: Told) -> np.ndarray:
    """Return dL/du of each person's own L, (B, k), from the outputs u (B, k): with s_ui = u . m_i / T + c_i

    mse:     dL/ds_ui = 2 (s_ui - r_i) / n of each rating                 du = sum_i dL/ds_ui m_i / T
    softmax: dL/ds_ui = softmax(s_u)_i - 1/n where i is one of n likes    over all movies i
    """
    m, c = movies
    if design.objective == "mse":
        predicted = layers.rowwise_dot(u[told.lines], m[told.rows]) / design.temperature + c[told.rows]
        return layers.bag(m, told.indptr, told.rows, told.shares * 2 * (predicted - told.ratings) / design.temperature)
    ds = softmax(u @ m.T / design.temperature + c)  # (B, n_movies)
    ds[told.lines, told.rows] -= told.shares
    ds[np.diff(told.indptr) == 0] = 0
    du = ds @ m / design.temperature
    return du


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return exp(s) / sum of exp(s) of each row."""
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return chances
