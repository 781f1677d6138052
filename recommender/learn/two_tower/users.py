"""Where the user tower finds a user: in the sum of their history's movie vectors, or at a learned place.

History (`user_input` "history"): recent movies weigh more, by a short span, the mood, and a long one, the taste.

    x        = sum over the history of w_j E_j          w_j = sum over both spans of w_j^span
    w_j^span = g(r_j) exp(-d_j / span) / (sum over the history of the same)^(1/2)     d_j = how many came after j

g is 1 for a like (4 stars or more), less for a neutral rating (3 or 3.5) and a dislike, since users choose what they
watch. Divided by the root of the sum, not the sum: a long history says more than a short one, though not as many times
more as it is longer. Training asks what a user will like from what they had rated before. Held-out parts continue for
a while, so the movie asked for is some steps after the end of the history, how many is drawn in each epoch from an
exponential distribution; and for a share of the examples the history ends anywhere before.

Fold-in (`user_input` "id"): the user's row of the table is learned anew, everything else stays fixed.

    x <- x - step of Adam along dL/dx        from the mean row of the users in training; L: `Loss.of_users`
"""

from __future__ import annotations

import numpy as np

from ...data.interactions import Interactions, grades
from .adam import Adam, Parameter
from .losses import LOSSES
from .network import Bags, Parameters, TwoTowerSettings, tower, tower_backward

RATE, STEPS = 0.05, 100
_BLOCK = 256  # users folded in at a time: the softmax holds their scores of all movies
FORGOTTEN = 7.0  # spans after which a movie no longer counts: exp(-7) is less than a thousandth


def bags_before(data: Interactions, ends: np.ndarray, user_rows: np.ndarray, settings: TwoTowerSettings) -> Bags:
    """Return the sums over the histories of `user_rows` (B,) up to, not including, rating `ends` (B,) of `data`.

    Movies with weight 0 are left out; a history without any is an empty sum. Cost O(B longest_history).
    """
    counts = np.minimum(ends - data.indptr[user_rows], settings.longest_history)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    b = np.repeat(np.arange(len(counts)), counts)  # (n_occurrences,), whose history
    since = indptr[b + 1] - 1 - np.arange(indptr[-1])  # d_j, 0 = the latest
    position = ends[b] - 1 - since  # in data
    g = grades(data.ratings[position], settings.middling_weight, settings.poor_weight)
    weights = np.zeros_like(g)
    for span in [span for span in (settings.short_span, settings.long_span) if span > 0] or [np.inf]:
        decayed = g * np.exp(-since / span).astype(g.dtype) * (since < FORGOTTEN * span)
        totals = np.bincount(b, decayed, minlength=len(counts))  # (B,)
        weights += decayed / np.sqrt(np.maximum(totals, 1e-12))[b].astype(g.dtype)
    used = weights > 0
    used_before = np.concatenate(([0], np.cumsum(used)))
    return Bags(used_before[indptr], data.movie_rows[position[used]], weights[used])


def draw_ends(n_before: np.ndarray, ahead: float, anywhere: float, rng: np.random.Generator) -> np.ndarray:
    """Return how many ratings each example's history has, (n,): at least 1 where `n_before` is, at most `n_before`.

    n_before: (n,) how many ratings came before the movie that is asked for.  ahead: mean number of them skipped.
    anywhere: share of the examples whose end is drawn evenly from all before.
    """
    skipped = np.floor(rng.exponential(ahead, len(n_before))) if ahead > 0 else np.zeros(len(n_before))
    evenly = rng.random(len(n_before)) < anywhere
    skipped = np.where(evenly, np.floor(rng.random(len(n_before)) * n_before), skipped)
    return np.maximum(n_before - np.minimum(skipped, n_before).astype(np.int64), np.minimum(n_before, 1))


def fold_in(
    parameters: Parameters, settings: TwoTowerSettings, m: np.ndarray, c: np.ndarray, history: Interactions
) -> np.ndarray:
    """Return the user tower's outputs, (n_users, k), for the users of `history`, all ratings of which count.

    A user without a rating stays at the mean.

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
