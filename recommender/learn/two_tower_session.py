"""A session on the two towers: the moving average over the movie tower's vectors, with the biases beneath.

    u = moving average of what was told (rules.py)      score_i = u . m_i + BIAS_WEIGHT * c_i

In training u is made of a whole history, in a session it is the mean of a few vectors and so much shorter, while the
biases c_i are as large as ever: taken whole they would leave only popularity, left out the session would show what
hardly anybody knows. Of .03, .05, .1, .2, .5 and 1 as BIAS_WEIGHT, the replay (model/replay_sessions.py) shows most
liked films at .05 for the rule alone, and at .1 under the policy that ships.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..policy import PolicySettings
from ..rules import MovingAverage

F32 = npt.NDArray[np.float32]
BIAS_WEIGHT = 0.1


def two_tower_rule(movie_vectors: F32, movie_biases: F32, policy: PolicySettings) -> MovingAverage:
    """Return the rule over vectors (n_movies, k) and biases (n_movies,); policy: both steps of the average."""
    base = np.float32(BIAS_WEIGHT) * movie_biases
    return MovingAverage(movie_vectors, policy.learning_rate, policy.negative_weight, base)
