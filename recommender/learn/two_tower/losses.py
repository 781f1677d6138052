"""Losses of the two-tower network with gradients with respect to the scores, and the correction of sampled movies.

    mse      L = 1/B sum_b (s_b - r_b)^2                      predict the rating r
    softmax  L = -1/B sum_b ln softmax(s_b)[positive of b]    pick the liked movie out of those of the batch

The softmax should run over all movies, which is expensive; it runs over those of the batch. A movie j is in a batch
q_j times on average, popular ones more often, and as a wrong answer would be pushed down too often. Subtracting ln q_j
from its score corrects that (logQ): exp(s - ln q) = exp(s) / q, so that each movie counts once on average. It is this
loss that ranks; the squared error learns nothing from which movies users chose to rate.
A further loss is two functions here, for a batch and for fold-in, and one line in `LOSSES`.
Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations (RecSys 2019),
section 3, equations 2 to 5. There q is estimated from a stream; here it is known, so there is no estimator.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ...data.interactions import Interactions
from . import layers


def mse(predicted: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean squared error and its gradient by `predicted`, (B,).

    >>> mse(np.array([3.0, 4.0]), np.array([4.0, 4.0]))
    (0.5, array([-1.,  0.]))
    """
    error = predicted - ratings
    loss = float(np.dot(error, error)) / len(error)  # L = 1/B sum_b (s_b - r_b)^2
    error *= 2 / len(error)  # dL/ds_b = 2 (s_b - r_b) / B
    return loss, error


def sampled_softmax(
    scores: np.ndarray,
    positive: np.ndarray,
    offsets: np.ndarray,
    masked: Optional[tuple[np.ndarray, np.ndarray]] = None,
) -> tuple[float, np.ndarray]:
    """Return the loss of picking each user's positive out of C different movies, and its gradient by `scores`, (B, C).

    scores: (B, C), changed.  positive: (B,) column of each user's liked movie.  masked: pairs (rows, columns) that are
    left out: movies that the same user liked too, never the positive.  Cost O(B C).
    offsets: (2, C), added to the scores. A movie that is n times in the batch is one column that counts n times,
    ln n - ln q (row 0), but once for a user whose positive it is, -ln q (row 1).
    """
    rows = np.arange(len(scores))
    own = scores[rows, positive] + offsets[1, positive]  # (B,)
    scores += offsets[0]
    scores[rows, positive] = own
    if masked is not None:
        scores[masked] = -np.inf
    # plainly: p = exp(s) / sum_j exp(s_j),  L = -mean(ln p_positive),  ds = (p - [j = positive]) / B
    top = scores.max(axis=1, keepdims=True)  # (B, 1): exp of differences cannot overflow
    scores -= top
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1, keepdims=True)  # (B, 1)
    loss = float(np.mean(np.log(totals[:, 0]) + top[:, 0] - own))
    scores *= 1 / (len(scores) * totals)  # p / B; each pass over (B, C) costs, so 1/B comes along
    scores[rows, positive] -= 1 / len(scores)
    return loss, scores


def batch_candidates(movie_rows: np.ndarray, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the different movies of a batch, (C,) ascending rows, with `positive` and `offsets` for the softmax.

    movie_rows: (B,) each user's liked movie.  log_q: (n_movies,), see `log_frequencies`.  Cost O(B log B).

    >>> rows, positive, offsets = batch_candidates(np.array([5, 3, 5]), np.full(6, -1.0))
    >>> rows.tolist(), positive.tolist(), offsets.round(2).tolist()
    ([3, 5], [1, 0, 1], [[1.0, 1.69], [1.0, 1.0]])
    """
    rows, positive, counts = np.unique(movie_rows, return_inverse=True, return_counts=True)
    offsets = np.empty((2, len(rows)), dtype=log_q.dtype)
    np.negative(log_q[rows], out=offsets[1])  # -ln q_j
    np.add(offsets[1], np.log(counts), out=offsets[0], casting="same_kind")  # ln n_j - ln q_j
    return rows, positive.reshape(-1), offsets


def log_frequencies(counts: np.ndarray, batch: int) -> np.ndarray:
    """Return ln q_j, (n_movies,) float64: q_j = batch count_j / sum(counts) times movie j is in a batch on average.

    counts: (n_movies,) examples of each movie, not all 0. A movie without any gets the least q of another.

    >>> np.exp(log_frequencies(np.array([3, 1]), batch=8)).tolist()
    [6.0, 2.0]
    """
    q = batch * counts.astype(np.float64) / counts.sum(dtype=np.float64)
    return np.log(np.where(q > 0, q, q[q > 0].min()))


class Loss(NamedTuple):
    """A loss as the network uses it: `function(dots, bias, batch)` returns L and dL/ddots, and may change `dots`.

    in_batch: whether dots are u_b . m_j of each user with all movies of the batch, (B, C), their liked movie being
    `batch.positive`; else u_b . m_b of each user's own movie, (B,), rated `batch.ratings`.
    bias: (C,) of the movies, or None; to be added to the dots.  batch: a `network.Batch`.
    of_users: `of_users(u, m, c, history)` returns dL/du of each user's own L, (B, k), from the outputs u (B, k) for the
    users of `history`, m (n_movies, k) and biases c (n_movies,); all ratings count, or all likes if `in_batch`.
    """

    function: Callable[[np.ndarray, Optional[np.ndarray], Any], tuple[float, np.ndarray]]
    in_batch: bool
    of_users: Callable[[np.ndarray, np.ndarray, np.ndarray, Interactions], np.ndarray]


def _mse(dots: np.ndarray, bias: Optional[np.ndarray], batch: Any) -> tuple[float, np.ndarray]:
    return mse(dots if bias is None else dots + bias, batch.ratings)


def _softmax(dots: np.ndarray, bias: Optional[np.ndarray], batch: Any) -> tuple[float, np.ndarray]:
    offsets = batch.offsets if bias is None else batch.offsets + bias
    return sampled_softmax(dots, batch.positive, offsets, batch.masked)


def _mse_of_users(u: np.ndarray, m: np.ndarray, c: np.ndarray, history: Interactions) -> np.ndarray:
    # L(u) = 1/n sum over the ratings (u . m_i + c_i - r_i)^2
    b, rows = history.user_rows(), history.movie_rows
    s = layers.rowwise_dot(u[b], m[rows]) + c[rows]
    ds = _shares(history, u) * 2 * (s - history.ratings)  # ds = 2 (s - r) / n, du = ds m
    return layers.bag(m, history.indptr, rows, ds)


def _softmax_of_users(u: np.ndarray, m: np.ndarray, c: np.ndarray, history: Interactions) -> np.ndarray:
    # L(u) = -1/n sum over the likes ln softmax over all movies of (u . m_i + c_i)
    s = u @ m.T + c  # (B, n_movies)
    ds = np.exp(s - s.max(axis=1, keepdims=True))
    ds /= ds.sum(axis=1, keepdims=True)  # p
    ds[history.user_rows(), history.movie_rows] -= _shares(history, u)  # ds = p - 1/n at each of n likes
    ds[np.diff(history.indptr) == 0] = 0
    return ds @ m


def _shares(history: Interactions, u: np.ndarray) -> np.ndarray:
    """Return 1/n for each of the n ratings of a user, (n_ratings,)."""
    counts = np.diff(history.indptr)
    return np.repeat((1 / np.maximum(counts, 1)).astype(u.dtype), counts)


LOSSES = {"softmax": Loss(_softmax, True, _softmax_of_users), "mse": Loss(_mse, False, _mse_of_users)}
