"""Where movies that nobody rated lie, predicted from their texts.

    y_i = bridge(x_i)       for the movies i without a rating; the bridge is a ridge regression (linalg/ridge.py) on
                            all others, each weighing n_i / (n_i + 20) by its number of ratings

x: text vectors. For the conditional Gaussian y is a movie's vector, its mean and its base; its noise is the median of
the others'.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.catalog import Catalog
from ..linalg.ridge import fit_ridge
from ..text.vectors import VectorTable
from .gaussian import Gaussian

FEW_RATINGS = 20.0  # number of ratings at which the weight is 1/2


def rating_weights(n_ratings: np.ndarray) -> np.ndarray:
    """Return the weight of movies by number of ratings, 0 to 1."""
    return np.asarray(n_ratings / (n_ratings + FEW_RATINGS))


def load_texts(folder: Path, catalog: Catalog, backend: str) -> np.ndarray:
    """Return the movies' vectors of `backend` (n_movies, d); raises `ArtifactError` if they are missing."""
    return VectorTable.load(folder / "artifacts" / "text" / backend).vectors_for(catalog.movie_ids.tolist())


def fill(texts: np.ndarray, targets: np.ndarray, n_ratings: np.ndarray) -> np.ndarray:
    """Return `targets` (n_movies, k) with predicted rows for movies that have a text in `texts` and no ratings."""
    has_text = texts.any(axis=1)
    unrated, known = has_text & (n_ratings == 0), has_text & (n_ratings > 0)
    filled = targets.copy()
    if unrated.any() and known.sum() > 1:
        filled[unrated] = fit_ridge(texts, targets, rating_weights(n_ratings) * has_text)(texts[unrated])
    return filled


def fill_gaussian(texts: np.ndarray, fitted: Gaussian, n_ratings: np.ndarray) -> Gaussian:
    """Return `fitted` with predictions for movies without ratings."""
    filled = fill(texts, np.column_stack((fitted.vectors, fitted.means, fitted.base)), n_ratings)
    noise, unrated = fitted.noise.copy(), n_ratings == 0
    if unrated.any() and not unrated.all():
        noise[unrated] = np.median(noise[~unrated])
    vectors, means, base = np.ascontiguousarray(filled[:, :-2]), np.maximum(filled[:, -2], 0), filled[:, -1].copy()
    return Gaussian(vectors, means, noise, base, fitted.n_users)
