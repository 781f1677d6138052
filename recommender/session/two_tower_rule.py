"""A session on the two towers: the moving average over the movie tower's vectors, with the biases beneath.

    v_i = m_i - mean of m        s^2 = mean of |v_i|^2        score_i = u . v_i + BIAS_WEIGHT s^2 c_i

u: the moving average (rules.py). What all movies' vectors have in common says nothing about a person, so it is taken
off. The products u . v are of the size s^2, whatever scale the network found; the biases c are on the scale of the
loss: unscaled they would leave only popularity, and without them the session would show what hardly anybody knows.
BIAS_WEIGHT was chosen in the replay (model/replay_sessions.py), for two networks of different scale.
"""

from __future__ import annotations

import numpy as np

from .policy import PolicySettings
from .rules import MovingAverage

BIAS_WEIGHT = 0.22


def two_tower_rule(movie_vectors: np.ndarray, movie_biases: np.ndarray, policy: PolicySettings) -> MovingAverage:
    """Return the rule over vectors (n_movies, k) and biases (n_movies,); policy: both steps of the average."""
    vectors = movie_vectors - movie_vectors.mean(axis=0)
    size = np.einsum("nk,nk->n", vectors, vectors).mean()
    base = np.float32(BIAS_WEIGHT) * size * movie_biases
    return MovingAverage(vectors, policy.learning_rate, policy.negative_weight, base)
