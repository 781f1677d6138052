"""The two losses of a two-tower network, each with its gradient.

    mse:             L = 1/B sum_b (p_b - r_b)^2                      predict the rating
    sampled softmax: L = -1/B sum_b ln softmax(s_b)[own movie of b]   pick the movie out of those at hand

The second is the one that ranks: it compares movies with each other. Its softmax should run over all movies, which
is too dear; it runs over the movies of the batch and some drawn beside them. A movie j gets into that set q_j times
a batch on average, popular movies more often, and so would be pushed down too often. Subtracting ln q_j from its
score makes up for it (importance sampling: exp(s - ln q) = exp(s) / q, so each movie counts once on average).

Sources: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations (RecSys 2019),
section 3, equations 2 to 5; Bengio and Senecal, Adaptive importance sampling to accelerate training of a neural
probabilistic language model (IEEE Transactions on Neural Networks 2008).
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np


def mse(predicted: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean squared error and its gradient by `predicted`, (B,).

    L = 1/B sum_b (p_b - r_b)^2, so dL/dp_b = 2 (p_b - r_b) / B.

    >>> mse(np.array([3.0, 4.0]), np.array([4.0, 4.0]))
    (0.5, array([-1.,  0.]))
    """
    error = predicted - ratings
    loss = float(np.dot(error, error)) / len(error)
    error *= 2 / len(error)
    return loss, error


class SoftmaxGradient(NamedTuple):
    """Loss, and its gradient by the users (B, k), the candidates (C, k) and the candidates' biases (C,)."""

    loss: float
    users: np.ndarray
    movies: np.ndarray
    biases: np.ndarray


def sampled_softmax(
    users: np.ndarray,
    movies: np.ndarray,
    own: np.ndarray,
    corrections: np.ndarray,
    temperature: float = 1.0,
    hidden: Optional[tuple[np.ndarray, np.ndarray]] = None,
) -> SoftmaxGradient:
    """Return the loss of picking each person's own movie out of C different candidates, with its gradient.

        s_bj = u_b . m_j / T + c_j          c_j = ln(times movie j was drawn) - ln q_j,   own movie: -ln q_j
        L    = -1/B sum_b ln p_b,own(b)     p_b = softmax of s_b
        ds_bj = (p_bj - [j = own(b)]) / B
        du_b = sum_j ds_bj m_j / T          dm_j = sum_b ds_bj u_b / T

    ds is the derivative of -ln softmax: of -s_own it is -1 at the own movie, of ln sum_j exp(s_j) it is p_j.

    A movie that is in the batch n times is one candidate that counts n times, hence ln n: the same sum with fewer
    products. For a person whose own movie it is, the other n - 1 are no negatives (accidental hits), and it counts
    once. `batch_candidates` makes `own` and `corrections` from a batch.

    users: (B, k).  movies: (C, k), candidates that differ.  own: (B,) column of each person's movie.
    corrections: (2, C), c_j as another person's and as the own movie. A bias of a movie is added to both, and
    `biases`, sum_b ds_bj, is its gradient.
    hidden: pairs (lines, columns) that are left out: movies that the same person liked too. Never the own one.
    temperature: T > 0.  Cost O(B C k), twice again for the gradient; memory O(B C).
    """
    lines = np.arange(len(users))
    scores = (users / temperature) @ movies.T  # (B, C)
    own_scores = scores[lines, own] + corrections[1, own]
    scores += corrections[0]
    scores[lines, own] = own_scores
    if hidden is not None:
        scores[hidden] = -np.inf
    top = scores.max(axis=1, keepdims=True)
    scores -= top
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1, keepdims=True)  # (B, 1)
    loss = float(np.mean(np.log(totals[:, 0]) + top[:, 0] - own_scores))
    scores *= 1 / (len(users) * totals)  # each pass over (B, C) costs, so 1/B comes along
    scores[lines, own] -= 1 / len(users)
    ones = np.ones(len(users), dtype=scores.dtype)
    return SoftmaxGradient(loss, scores @ movies / temperature, scores.T @ (users / temperature), ones @ scores)


def batch_candidates(
    movie_rows: np.ndarray, log_q: np.ndarray, extra_rows: Optional[np.ndarray] = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the different movies of a batch, (C,) ascending rows, with `own` and `corrections` for the softmax.

    movie_rows: (B,) each person's own movie.  log_q: (n_movies,), ln of how often a batch holds each movie on average,
    drawn ones included.  extra_rows: movies drawn beside the batch; they are nobody's own unless they are in it too.
    Cost O((B + n_extra) log).

    >>> rows, own, corrections = batch_candidates(np.array([5, 3, 5]), np.full(6, -1.0))
    >>> rows.tolist(), own.tolist(), corrections.round(2).tolist()
    ([3, 5], [1, 0, 1], [[1.0, 1.69], [1.0, 1.0]])
    """
    drawn = movie_rows if extra_rows is None else np.concatenate((movie_rows, extra_rows))
    rows, places, counts = np.unique(drawn, return_inverse=True, return_counts=True)
    own = places.reshape(-1)[: len(movie_rows)]
    corrections = np.empty((2, len(rows)), dtype=log_q.dtype)
    np.negative(log_q[rows], out=corrections[1])
    np.add(corrections[1], np.log(counts), out=corrections[0], casting="same_kind")
    return rows, own, corrections
