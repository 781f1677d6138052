"""Keep the users and movies with enough ratings: the one rule for every program here.

`movies_first=False` is the rule of `preprocess/filter_data.py`: users with at least `min_user` ratings, then movies
with at least `min_movie` on what is left. One pass can leave users below their limit again; `iterative` repeats
both until nothing changes, which is the k-core of the user x movie graph.
"""

from __future__ import annotations

import numpy as np

from .errors import SettingsError
from .interactions import Interactions


def active_mask(
    user_rows: np.ndarray,
    movie_rows: np.ndarray,
    min_user: int,
    min_movie: int,
    movies_first: bool = False,
    iterative: bool = False,
) -> np.ndarray:
    """Return which ratings stay, (n_ratings,) bool; cost O(n_ratings) a pass.

    user_rows, movie_rows: (n_ratings,) whole numbers from 0, one pair for each rating.

    >>> active_mask(np.array([0, 0, 1]), np.array([0, 1, 1]), min_user=2, min_movie=1)
    array([ True,  True, False])
    """
    for name, value in (("min_user", min_user), ("min_movie", min_movie)):
        if value < 0:
            raise SettingsError(f"{name} {value} is negative: give a number of ratings, 0 keeps all")
    steps = [(user_rows, min_user), (movie_rows, min_movie)]
    if movies_first:
        steps.reverse()
    keep = np.ones(len(user_rows), dtype=bool)
    while True:
        before = int(keep.sum())
        for rows, least in steps:
            counts = np.bincount(rows[keep], minlength=int(rows.max(initial=-1)) + 1)
            keep &= counts[rows] >= least
        if not iterative or int(keep.sum()) == before:
            return keep


def keep_active(
    data: Interactions, min_user: int, min_movie: int, movies_first: bool = False, iterative: bool = False
) -> Interactions:
    """Return the ratings that stay, with vocabularies of the users and movies that still have a rating."""
    keep = active_mask(data.user_rows(), data.movie_rows, min_user, min_movie, movies_first, iterative)
    return Interactions.from_columns(
        data.user_ids[data.user_rows()[keep]],
        data.movie_ids[data.movie_rows[keep]],
        data.ratings[keep],
        data.times[keep],
    )
