"""The `weighted` signal and popularity tiers, fitted on train.

    rating_norm  = rating - user_mean                      user_mean on train
    pop_weight   = 1 / count ** power                      count of the movie in train, 1 if it has none
    time_weight  = exp(-ln 2 * days_since / half_life)     days before the newest train rating, never below 0
    final_rating = rating_norm * pop_weight * time_weight

On MovieLens 100K this signal ranks worse than popularity, so it is one of several.

Tiers: ranked by ratings in train, head = the first 10% of the movies, mid = the next 40%, tail = the last 50%.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .interactions import Interactions

POPULARITY_POWER = 0.5
HALF_LIFE_DAYS = 365.0
TIER_NAMES = ("head", "mid", "tail")
HEAD, MID, TAIL = 0, 1, 2
HEAD_SHARE, MID_SHARE = 0.10, 0.40
_DAY = 86_400.0
_BLOCK = 1 << 20


def user_means(train: Interactions) -> tuple[np.ndarray, float]:
    """Return each user's mean rating, (n_users,) float64, and the mean of all ratings.

    A user without a rating in `train` gets the overall mean.
    """
    counts = np.diff(train.indptr)
    sums = np.bincount(train.user_rows(), weights=train.ratings, minlength=train.n_users)
    overall = float(sums.sum() / max(train.n_ratings, 1))
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall), overall


def pop_weight(counts: npt.ArrayLike, power: float = POPULARITY_POWER) -> np.ndarray:
    """Return 1 / count ** power for each count, float64; 1 where the count is 0.

    >>> pop_weight([0, 1, 4, 100]).tolist()
    [1.0, 1.0, 0.5, 0.1]
    """
    return 1.0 / np.maximum(np.asarray(counts, dtype=np.float64), 1.0) ** power


def time_weight(times: npt.ArrayLike, newest: int, half_life_days: float = HALF_LIFE_DAYS) -> np.ndarray:
    """Return the weight of ratings made at `times` (seconds), seen from `newest`, float64 in (0, 1].

    >>> time_weight([0, 365 * 86400, 900 * 86400], newest=365 * 86400).tolist()
    [0.5, 1.0, 1.0]
    """
    days = np.maximum((newest - np.asarray(times, dtype=np.float64)) / _DAY, 0.0)
    return np.exp2(-days / half_life_days)


def final_rating(
    data: Interactions, means: np.ndarray, movie_weights: np.ndarray, newest: int, half_life_days: float
) -> np.ndarray:
    """Return `final_rating` of every rating in `data`, (n_ratings,) float32, computed in float64.

    means: (n_users,) from `user_means(train)`.  movie_weights: (n_movies,) from `pop_weight` of train's counts.
    newest: seconds, train's largest time. Cost O(n_ratings), in blocks of ratings to limit memory.
    """
    result = np.empty(data.n_ratings, dtype=np.float32)
    users = data.user_rows()
    for start in range(0, data.n_ratings, _BLOCK):
        part = slice(start, start + _BLOCK)
        value = (data.ratings[part] - means[users[part]]) * movie_weights[data.movie_rows[part]]
        result[part] = value * time_weight(data.times[part], newest, half_life_days)
    return result


def popularity_tiers(counts: npt.ArrayLike) -> np.ndarray:
    """Return the tier of every movie, (n_movies,) int8: 0 head, 1 mid, 2 tail.

    counts: (n_movies,) ratings of each movie in train. The borders, 10% and 50% of n_movies, are rounded up, so a
    catalogue of any size has a head. Ties at a border are broken by row; the earlier row gets the higher tier.

    >>> popularity_tiers([5, 100, 7, 7, 1, 0, 2, 3, 4, 6]).tolist()
    [1, 0, 1, 1, 2, 2, 2, 2, 2, 1]
    """
    order = np.argsort(-np.asarray(counts, dtype=np.int64), kind="stable")
    tiers = np.full(len(order), TAIL, dtype=np.int8)
    for share, tier in ((HEAD_SHARE + MID_SHARE, MID), (HEAD_SHARE, HEAD)):
        # Minus a small tolerance, so that 0.1 * 30 = 3.0000000000000004 is 3 movies, not 4.
        tiers[order[: int(np.ceil(share * len(order) - 1e-9))]] = tier
    return tiers
