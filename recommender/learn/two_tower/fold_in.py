"""Where a user stands whose tower reads ids: their row of the table is learned, everything else stays fixed.

    x <- x - step of Adam along dL/dx        from the mean row of the users in training

L is the loss of all ratings of a user (`Loss.of_users`) at u = tower(x), m and c the outputs of the movie tower. A user
without a rating stays at the mean. A tower that reads histories needs none of this.
"""

from __future__ import annotations

import numpy as np

from ...data.interactions import Interactions
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
    of_users = LOSSES[settings.objective].of_users
    outputs = np.empty((history.n_users, m.shape[1]), dtype=m.dtype)
    for low in range(0, history.n_users, _BLOCK):
        block = history.select(np.arange(low, min(low + _BLOCK, history.n_users)))
        x = Parameter(np.tile(parameters["mean"], (block.n_users, 1)))
        for t in range(1, STEPS + 1):
            u = tower(x.weights, "user", settings.user_layer, parameters)
            du = of_users(u, m, c, block)
            x.step(tower_backward(du, x.weights, u, "user", settings.user_layer, parameters, {}), t, Adam(RATE))
        outputs[low : low + _BLOCK] = tower(x.weights, "user", settings.user_layer, parameters)
    return outputs
