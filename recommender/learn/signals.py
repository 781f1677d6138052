"""Signals: which value a cell of the user x movie matrix holds.

    ones       1 for every rating: what people chose to watch
    binary     1 for a rating of at least 4: what they liked
    centered   rating - the user's mean
    weighted   (rating - the user's mean) x popularity weight x time weight   (recommender/data/weighting.py)

A cell without a rating is 0 in every signal. Where all of a person's ratings are equal, or none is a like, the
row is 0 and the person is scored like somebody unknown.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..data import weighting
from ..data.errors import ChoiceError
from ..data.interactions import LIKED, Interactions

SIGNALS = ("binary", "ones", "centered", "weighted")


def check_signal(name: str) -> str:
    """Return `name`, or raise `ChoiceError` where no signal is called so."""
    if name not in SIGNALS:
        raise ChoiceError(f"no signal is called {name!r}: choose from {', '.join(SIGNALS)}")
    return name


def signal_values(
    name: str,
    data: Interactions,
    movie_counts: np.ndarray,
    newest: int,
    means: Optional[np.ndarray] = None,
    half_life_days: float = weighting.HALF_LIFE_DAYS,
    popularity_power: float = weighting.POPULARITY_POWER,
) -> np.ndarray:
    """Return the signal of every rating in `data`, (n_ratings,) float32.

    means: (n_users,) each user's mean rating; None takes it from `data` itself.  movie_counts: (n_movies,) ratings of
    each movie in train; newest: train's largest time, in seconds.  `weighted` alone uses these two, half_life_days and
    popularity_power; with those of the preprocessing it is the `final_rating` that was stored there, bit for bit.

    >>> data = Interactions.from_columns([1, 1, 1], [10, 20, 30], [5, 4, 3], [0, 0, 0])
    >>> [signal_values(name, data, data.movie_counts(), 0).tolist() for name in ("binary", "centered", "weighted")]
    [[1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]
    """
    check_signal(name)
    if name == "ones":
        return np.ones(data.n_ratings, dtype=np.float32)
    if name == "binary":
        return (data.ratings >= LIKED).astype(np.float32)
    if means is None:
        means, _ = weighting.user_means(data)
    if name == "centered":
        return (data.ratings - np.repeat(means, np.diff(data.indptr))).astype(np.float32)
    return weighting.final_rating(
        data, means, weighting.pop_weight(movie_counts, popularity_power), newest, half_life_days
    )
