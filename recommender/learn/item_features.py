"""What is known of a movie before anybody rates it, as numbers: genres, year, people, keywords, and any other vectors.

    genres    1 / sqrt(n_genres) for each of its genres
    year      nearness to 1920, 1930 ... 2020 (genre_features)
    people    for each director and actor that several movies share: ln(n_movies / movies with that name)
    keywords  the same
    extra     vectors made elsewhere, such as text embeddings

Each of the five blocks has length 1 in every movie that has any of it, and is 0 in others, so that none outweighs
another by its units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

import numpy as np
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.errors import DataError
from .content import genre_matrix, tag_matrix
from .genre_features import year_nearness

FEWEST = 3  # movies that must share a name or a keyword


def item_features(
    kind: str, catalog: Optional[Catalog], movie_ids: np.ndarray, extra: Optional[Mapping[int, npt.ArrayLike]] = None
) -> np.ndarray:
    """Return (n_movies, n_features) float32 for movies by external id; a movie that the catalogue lacks has zeros.

    kind: "none", "genres" (and year) or "metadata" (people and keywords too).  extra: movie id -> vector, all of one
    length, whatever the kind.
    """
    blocks = []
    if kind != "none" and catalog is not None:
        blocks += [genre_matrix(catalog, movie_ids), year_nearness(_years(catalog, movie_ids))]
    if kind == "metadata" and catalog is not None:
        listed = [catalog.movie(row) for row in range(len(catalog))]
        people = [(movie.movie_id, name) for movie in listed for name in {movie.director, *movie.cast} if name]
        blocks += [_informative(pairs, movie_ids) for pairs in (people, catalog.keywords())]
    if extra is not None:
        blocks.append(_given(extra, movie_ids))
    scaled = [_unit(block) for block in blocks if block.shape[1]]
    result = np.concatenate([np.zeros((len(movie_ids), 0)), *scaled], axis=1).astype(np.float32)
    return result


def _informative(pairs: Iterable[tuple[int, str]], movie_ids: np.ndarray) -> np.ndarray:
    matrix = tag_matrix(pairs, movie_ids, FEWEST)
    result = matrix * np.log(len(movie_ids) / np.maximum(matrix.sum(axis=0), 1))
    return result


def _given(extra: Mapping[int, npt.ArrayLike], movie_ids: np.ndarray) -> np.ndarray:
    vectors = {movie_id: np.asarray(extra[movie_id]) for movie_id in movie_ids.tolist() if movie_id in extra}
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) > 1:
        raise DataError(
            f"extra features of unequal shapes {sorted(shapes)}: give one vector of one length for each movie"
        )
    matrix = np.zeros((len(movie_ids), *(shapes.pop() if shapes else (0,))))
    for row, movie_id in enumerate(movie_ids.tolist()):
        if movie_id in vectors:
            matrix[row] = vectors[movie_id]
    return matrix


def _years(catalog: Catalog, movie_ids: np.ndarray) -> np.ndarray:
    years = np.zeros(len(movie_ids), dtype=np.int64)
    listed = np.isin(movie_ids, catalog.movie_ids)
    years[listed] = catalog.years[np.searchsorted(catalog.movie_ids, movie_ids[listed])]
    return years


def _unit(block: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    result = block / np.where(lengths > 0, lengths, 1)
    return result
