"""What a person's history says to the user tower: sums of movie vectors, recent ones weighing more.

    x_s = sum over the history of w_j E_j / (sum of w_j)^(1/2)        s = 1 .. n_spans
    w_j = g(r_j) exp(-d_j / span_s)                                   d_j = how many were rated after j, 0 = the latest

g is 1 for a liked movie (4 stars or more), less for a middling one (3 or 3.5) and a poor one, since people choose
what they watch. Two spans, a short and a long one, are the present mood and the lasting taste. They are added up, or
stand side by side where a layer follows that can learn what to make of each. Divided by the root of the sum, not the
sum: a long history should say more than a short one, though not as many times more as it is longer.

Somebody whom the network never met is served as well as anybody, from the ratings that they just gave.

Training asks what somebody will like from what they had rated before. Held-out parts begin at some moment and go on
for a while, so the question is not only what comes next: the movie is the g-th after the moment, g drawn anew each
epoch from an exponential distribution, and for a share of the examples the moment is anywhere before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...data.interactions import Interactions, grades
from .network import Bags

FORGOTTEN = 7.0  # spans after which a movie no longer counts: exp(-7) is less than a thousandth


class Reading(NamedTuple):
    """How histories are read: g of middling and of poor ratings, the spans, how far back at most.

    added: whether the sums are added up to one, x = sum of x_s, where no layer is to tell them apart.
    """

    middling: float
    poor: float
    spans: Sequence[float]
    longest: int
    added: bool = False

    def values(self, ratings: np.ndarray) -> np.ndarray:
        """Return g, (n_ratings,) in the dtype of the ratings."""
        return grades(ratings, self.middling, self.poor)


def bags_before(data: Interactions, ends: np.ndarray, user_rows: np.ndarray, reading: Reading) -> list[Bags]:
    """Return the sums over the histories of `user_rows` (B,) up to, not including, place `ends` (B,) of `data`.

    One `Bags` for each span, or a single one where they are added. Movies with weight 0 are left out; a history
    without any is an empty sum. Cost O(B n_spans longest).
    """
    counts = np.minimum(ends - data.indptr[user_rows], reading.longest)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    line = np.repeat(np.arange(len(counts)), counts)
    since = indptr[line + 1] - 1 - np.arange(indptr[-1])  # 0 = the latest
    places = ends[line] - 1 - since
    values = reading.values(data.ratings[places])
    sums = []
    for span in reading.spans:
        weights = values * np.exp(-since / span).astype(values.dtype) * (since < FORGOTTEN * span)
        totals = np.bincount(line, weights, minlength=len(counts))
        sums.append(weights / np.sqrt(np.maximum(totals, 1e-12))[line].astype(values.dtype))
    if reading.added:
        sums = [np.sum(sums, axis=0)]
    bags = []
    for weights in sums:
        said = weights > 0
        kept_before = np.concatenate(([0], np.cumsum(said)))
        bags.append(Bags(kept_before[indptr], data.movie_rows[places[said]], weights[said]))
    return bags


def draw_moments(places: np.ndarray, ahead: float, anywhere: float, rng: np.random.Generator) -> np.ndarray:
    """Return how many ratings each person had given at the moment asked from, (n,), at least 1 where `places` is.

    places: (n,) how many ratings came before the movie that is asked for.  ahead: mean of g above.
    anywhere: share of the examples with a moment drawn evenly from all before.
    """
    skipped = np.floor(rng.exponential(ahead, len(places))) if ahead > 0 else np.zeros(len(places))
    evenly = rng.random(len(places)) < anywhere
    skipped = np.where(evenly, np.floor(rng.random(len(places)) * places), skipped)
    return np.maximum(places - np.minimum(skipped, places).astype(np.int64), np.minimum(places, 1))
