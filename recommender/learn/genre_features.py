"""What genres and years let expect of tastes before anybody rated anything: pseudo-users for a covariance.

Movie i has the features

    F_i,(g,t) = 1 / sqrt(n_genres_i)  for its genres g   *   b_t(year_i) / |b(year_i)|
    b_t(y)    = max(0, 1 - |y - t| / 20)                  t = 1920, 1930, ... 2020

so that F_i . F_j is the cosine of the genres times a nearness in years: 1 for movies of one year and one set of
genres, near 0 across forty years. Adding F F' to a covariance is the same as adding people to the data, one for each
genre and decade, who like the movies of that genre and time; and so it is done here, as sparse rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data.catalog import Catalog

KNOTS = np.arange(1920, 2021, 10)
REACH = 20.0  # years


class SparseRows(NamedTuple):
    """Row r: `columns[indptr[r]:indptr[r + 1]]` (int32, ascending) and their `values` (float32)."""

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray


def pseudo_users(catalog: Catalog, scale: np.ndarray) -> SparseRows:
    """Return diag(scale) F, transposed: one row for each genre and knot, (n_genres * n_knots, n_movies).

    scale: (n_movies,). Movies without a genre, without a known year, or with scale 0 are in no row.
    Cost O(n_movies (n_genres + 4 genres of each movie)).
    """
    near = year_nearness(catalog.years)
    movies, genres = np.nonzero(catalog.genres)
    share = scale[movies] / np.sqrt(catalog.genres.sum(axis=1)[movies])
    cells = share[:, None] * near[movies]  # (n pairs of movie and genre, n_knots)
    pair, knot = np.nonzero(cells)
    rows = genres[pair] * len(KNOTS) + knot
    order = np.argsort(rows, kind="stable")  # stable: movies stay ascending within a row
    counts = np.bincount(rows, minlength=len(catalog.genre_names) * len(KNOTS))
    return SparseRows(
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        movies[pair][order].astype(np.int32),
        cells[pair, knot][order].astype(np.float32),
    )


def year_nearness(years: np.ndarray) -> np.ndarray:
    """Return b(year) / |b(year)|, (n, n_knots) float64; all 0 for an unknown year (0).

    >>> year_nearness(np.array([2020]))[0, -3:].round(3).tolist()
    [0.0, 0.447, 0.894]
    """
    inside = np.clip(years.astype(np.float64), KNOTS[0], KNOTS[-1])
    bumps = np.maximum(0.0, 1.0 - np.abs(inside[:, None] - KNOTS) / REACH)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    result = np.where(years[:, None] > 0, bumps, 0.0)
    return result
