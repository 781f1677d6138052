"""Which ratings are known and which are held out: the one rule for every program here.

Per user (what `preprocess/split_data.py` writes): each person's ratings in order of time, equal times by movie id;
of n ratings the first floor(a n) are train, the next floor(b n) val, all others test, for fractions a, b, c that
add up to 1; but each part has at least one. So n = 20 gives 14 / 3 / 3, n = 10 gives 7 / 1 / 2, n = 3 gives
1 / 1 / 1. The floor is of the exact product: 0.7 x 90 is 63, where `int(0.7 * 90)` gives 62.

Global time: one moment for all. A per-user split lets a model learn from what others rated after the moment at
which it is asked (Ji, Sun, Zhang and Li 2023, "A critical study on data leakage in recommender system offline
evaluation"); this one does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import SettingsError
from .interactions import Interactions

TRAIN, VAL, TEST, SKIPPED = 0, 1, 2, -1
FRACTIONS = (0.70, 0.15, 0.15)
# 0.7 * 90 is 62.99999999999999: far closer to its whole number than any fraction of a count can be.
_ROUNDING = 1e-9


def part_per_user(indptr: np.ndarray, fractions: Sequence[float] = FRACTIONS, min_ratings: int = 3) -> np.ndarray:
    """Name the part of each rating: TRAIN, VAL or TEST, SKIPPED for users with fewer than `min_ratings`.

    indptr: (n_users + 1,) bounds of each user's ratings, which are in order of time, then movie id.
    Returns (n_ratings,) int8; cost O(n_ratings).

    >>> part_per_user(np.array([0, 10, 12]))
    array([ 0,  0,  0,  0,  0,  0,  0,  1,  2,  2, -1, -1], dtype=int8)
    """
    train_share, val_share = check_fractions(fractions)[:2]
    if min_ratings < 3:
        raise SettingsError(f"min_ratings {min_ratings}: three parts need at least 3 ratings of each user")
    counts = np.diff(indptr)
    n_val = np.maximum(np.floor(val_share * counts + _ROUNDING).astype(np.int64), 1)
    n_train = np.maximum(np.floor(train_share * counts + _ROUNDING).astype(np.int64), 1)
    # Where a part would be empty, val gives up what it has beyond one rating, then train.
    n_val = np.minimum(n_val, np.maximum(counts - n_train - 1, 1))
    n_train = np.minimum(n_train, counts - n_val - 1)
    lengths = np.column_stack((n_train, n_val, counts - n_train - n_val, np.zeros_like(counts)))  # (n_users, 4)
    skipped = counts < min_ratings
    lengths[skipped] = 0
    lengths[skipped, 3] = counts[skipped]
    labels = np.tile(np.array([TRAIN, VAL, TEST, SKIPPED], dtype=np.int8), len(counts))
    return np.repeat(labels, lengths.reshape(-1))


def part_by_time(times: np.ndarray, fractions: Sequence[float] = FRACTIONS) -> np.ndarray:
    """Name the part of each rating by two moments that all users share.

    The moments are the times of the ratings at floor(a n) and floor((a + b) n) in order of time; a rating at
    exactly such a moment belongs to the later part, so nothing known is as late as anything held out.
    times: (n_ratings,) int64 seconds, any order.  Returns (n_ratings,) int8; cost O(n log n).

    >>> part_by_time(np.array([50, 10, 20, 30, 30, 40, 60, 70, 80, 90]), (0.3, 0.4, 0.3))
    array([1, 0, 0, 1, 1, 1, 1, 2, 2, 2], dtype=int8)
    """
    train_share, val_share = check_fractions(fractions)[:2]
    part = np.full(len(times), TEST, dtype=np.int8)
    if not len(times):
        return part
    in_order = np.sort(times)
    for share, name in ((train_share + val_share, VAL), (train_share, TRAIN)):
        place = min(int(np.floor(share * len(times) + _ROUNDING)), len(times) - 1)
        part[times < in_order[place]] = name
    return part


def split_per_user(
    data: Interactions, fractions: Sequence[float] = FRACTIONS, min_ratings: int = 3
) -> tuple[Interactions, Interactions, Interactions]:
    """Return train, val and test of the per-user split; each keeps both vocabularies of `data`."""
    return _take_parts(data, part_per_user(data.indptr, fractions, min_ratings))


def split_by_time(
    data: Interactions, fractions: Sequence[float] = FRACTIONS
) -> tuple[Interactions, Interactions, Interactions]:
    """Return train, val and test of the global-time split; each keeps both vocabularies of `data`."""
    return _take_parts(data, part_by_time(data.times, fractions))


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Return three fractions, or raise `SettingsError` where they are not shares that add up to 1."""
    shares = tuple(float(share) for share in fractions)
    if len(shares) != 3 or not all(0 < share < 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise SettingsError(f"split fractions {shares}: give three shares above 0 that add up to 1")
    return shares


def _take_parts(data: Interactions, part: np.ndarray) -> tuple[Interactions, Interactions, Interactions]:
    return data.take(part == TRAIN), data.take(part == VAL), data.take(part == TEST)
