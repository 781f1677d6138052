"""Where a user stands whose tower reads ids: their row of the table is learned, everything else stays fixed.

    x <- x - step of Adam along dL/dx        from the mean row of the users in training
    L(x) = 1/n sum over the ratings (u . m_i + c_i - r_i)^2                            of a loss on ratings
    L(x) = -1/n sum over the likes ln softmax over all movies of (u . m_i + c_i)       of a loss that compares movies

m and c are outputs of the movie tower. A user without a rating stays at the mean. A tower that reads histories needs
none of this.
"""

from __future__ import annotations

import numpy as np

from ...data.interactions import Interactions
from . import layers
from .adam import Adam, Parameter
from .losses import LOSSES
from .network import Parameters, TwoTowerSettings, tower, tower_backward

RATE, STEPS = 0.05, 100
_BLOCK = 256  # users at a time: the softmax holds their scores of all movies


def fold_in(
    parameters: Parameters, settings: TwoTowerSettings, m: np.ndarray, c: np.ndarray, history: Interactions
) -> np.ndarray:
    """Return the user tower's outputs, (n_users, k), for the users of `history`, all ratings of which count.

    parameters: the user layer, and "mean" (k,), where all begin.  m: (n_movies, k).  c: (n_movies,).
    Cost O(STEPS n_users n_movies k) for the softmax, O(STEPS n_ratings k) for the squared error.
    """
    outputs = np.empty((history.n_users, m.shape[1]), dtype=m.dtype)
    for low in range(0, history.n_users, _BLOCK):
        block = history.select(np.arange(low, min(low + _BLOCK, history.n_users)))
        x = Parameter(np.tile(parameters["mean"], (block.n_users, 1)))
        for t in range(1, STEPS + 1):
            u = tower(x.weights, "user", settings.user_layer, parameters)
            du = loss_gradient(u, settings.objective, m, c, block)
            x.step(tower_backward(du, x.weights, u, "user", settings.user_layer, parameters, {}), t, Adam(RATE))
        outputs[low : low + _BLOCK] = tower(x.weights, "user", settings.user_layer, parameters)
    return outputs


def loss_gradient(u: np.ndarray, objective: str, m: np.ndarray, c: np.ndarray, history: Interactions) -> np.ndarray:
    """Return dL/du of each user's own L, (B, k), from the outputs u (B, k) for the B users of `history`."""
    b, rows, counts = history.user_rows(), history.movie_rows, np.diff(history.indptr)
    share = (1 / np.maximum(counts, 1)).astype(u.dtype)[b]  # 1/n for each rating
    if not LOSSES[objective].in_batch:
        s = layers.rowwise_dot(u[b], m[rows]) + c[rows]
        return layers.bag(m, history.indptr, rows, share * 2 * (s - history.ratings))  # ds = 2 (s - r) / n, du = ds m
    s = u @ m.T + c  # (B, n_movies)
    ds = np.exp(s - s.max(axis=1, keepdims=True))
    ds /= ds.sum(axis=1, keepdims=True)  # p
    ds[b, rows] -= share  # ds = p - 1/n at each of n likes
    ds[counts == 0] = 0
    return ds @ m
