"""Popularity tiers: which movies are the head, the middle and the tail of the catalogue.

Ranked by ratings in train, head = the first 10% of the movies, mid = the next 40%, tail = the last 50%.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HEAD, MID, TAIL = 0, 1, 2
TIER_NAMES = ("head", "mid", "tail")
HEAD_SHARE = 0.10
MID_SHARE = 0.40


def popularity_tiers(counts: npt.ArrayLike) -> np.ndarray:
    """Return the tier of every movie, (n_movies,) int8: 0 head, 1 mid, 2 tail.

    counts: (n_movies,) ratings of each movie in train. The borders, 10% and 50% of n_movies, are rounded up, so that
    a catalogue of any size has a head. Equal counts at a border go by row, the earlier row to the higher tier.
    Cost O(n log n).

    >>> popularity_tiers([5, 100, 7, 7, 1, 0, 2, 3, 4, 6]).tolist()
    [1, 0, 1, 1, 2, 2, 2, 2, 2, 1]
    """
    values = np.asarray(counts)
    order = np.argsort(-values.astype(np.int64), kind="stable")
    # A tiny amount off, so that 0.1 * 30 = 3.0000000000000004 is 3 movies, not 4.
    n_head = int(np.ceil(HEAD_SHARE * len(values) - 1e-9))
    n_above_tail = int(np.ceil((HEAD_SHARE + MID_SHARE) * len(values) - 1e-9))
    tiers = np.full(len(values), TAIL, dtype=np.int8)
    tiers[order[:n_above_tail]] = MID
    tiers[order[:n_head]] = HEAD
    return tiers
