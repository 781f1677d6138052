"""What a movie is, without a single rating, as one vector: its text, its genres, its year.

    z_i = [text_weight t_i, genre_weight g_i, year_weight y_i]

t is a text vector of the backend `local`, fitted on the catalogue's own texts, here with the director; g the genres,
each weighing ln(n_movies / how many have it); y the nearness to decades; all three of length 1.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import DataError
from ..linalg.rows import unit_rows
from ..text.backends.local import LocalBackend
from ..text.movie_text import movie_text
from .content import genre_matrix
from .genre_features import year_nearness


class Weights(NamedTuple):
    """What each part of z counts."""

    text: float
    genres: float
    year: float


def text_features(catalog: Optional[Catalog], movie_ids: np.ndarray, dimension: int, weights: Weights) -> np.ndarray:
    """Return z of each movie, (n_movies, d) float32; zeros for one that the catalogue does not list.

    dimension: length of t; less where the texts have no more to tell. Cost: that of `LocalBackend.fit`.
    """
    has = genre_matrix(catalog, movie_ids)
    genres = unit_rows(has * np.log(len(has) / np.maximum(has.sum(axis=0), 1)))
    years, texts = np.zeros(len(movie_ids), dtype=np.int64), [""] * len(movie_ids)
    if catalog is not None:
        row_of = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}
        for place, movie_id in enumerate(movie_ids.tolist()):
            if movie_id in row_of:
                movie = catalog.movie(row_of[movie_id])
                years[place] = movie.year
                texts[place] = f"{movie_text(movie)}\n{movie.director}"
    try:
        vectors = LocalBackend.fit(texts, dimension=dimension).embed_texts(texts)
    except DataError:  # texts that share no word
        vectors = np.zeros((len(texts), 1), dtype=np.float32)
    parts = (weights.text * vectors, weights.genres * genres, weights.year * year_nearness(years))
    return np.concatenate(parts, axis=1).astype(np.float32)
