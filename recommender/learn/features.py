"""What is known of movies before anybody rates them, as numbers: genres, years, keywords, texts.

Each block has length 1 in every movie that has any of it and is 0 in others, so that none outweighs another by its
units. A year y is near the knots t = 1920, 1930 ... 2020:

    b_t(y) = max(0, 1 - |y - t| / 20)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.settings import setting
from ..linalg.rows import align, unit_rows
from ..text.backends.local import LocalBackend
from ..text.base import movie_text

KNOTS = np.arange(1920, 2021, 10)
REACH = 20.0  # years


def genre_matrix(catalog: Catalog, movie_ids: np.ndarray) -> np.ndarray:
    """Return (n_movies, n_genres) float64: 1 where the movie has the genre, 0 for one that is not listed."""
    return align(movie_ids, catalog.movie_ids, catalog.genres).astype(np.float64)


def release_years(catalog: Catalog, movie_ids: np.ndarray) -> np.ndarray:
    """Return (n_movies,) int64, 0 where unknown."""
    return align(movie_ids, catalog.movie_ids, catalog.years[:, None])[:, 0].astype(np.int64)


def year_nearness(years: np.ndarray) -> np.ndarray:
    """Return b(year) / |b(year)|, (n, n_knots) float64; all 0 for an unknown year (0).

    >>> year_nearness(np.array([2020]))[0, -3:].round(3).tolist()
    [0.0, 0.447, 0.894]
    """
    inside = np.clip(years.astype(np.float64), KNOTS[0], KNOTS[-1])
    bumps = np.maximum(0.0, 1.0 - np.abs(inside[:, None] - KNOTS) / REACH)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    return np.where(years[:, None] > 0, bumps, 0.0)


def tag_matrix(tags: Iterable[tuple[int, str]], movie_ids: np.ndarray, fewest_movies: int) -> np.ndarray:
    """Return (n_movies, n_tags): 1 where somebody gave the movie the tag, upper and lower case alike.

    >>> tag_matrix([(5, "Space"), (7, "space "), (5, "war")], np.array([5, 6, 7]), 2).tolist()
    [[1.0], [0.0], [1.0]]
    """
    row_of = {movie_id: row for row, movie_id in enumerate(movie_ids.tolist())}
    movies_with: dict[str, set[int]] = {}
    for movie_id, text in tags:
        if movie_id in row_of:
            movies_with.setdefault(text.strip().casefold(), set()).add(row_of[movie_id])
    kept = sorted(name for name, rows in movies_with.items() if len(rows) >= fewest_movies)
    matrix = np.zeros((len(movie_ids), len(kept)))
    for column, name in enumerate(kept):
        matrix[sorted(movies_with[name]), column] = 1
    return matrix


def rarity_weighted(matrix: np.ndarray) -> np.ndarray:
    """Return `matrix` (n_movies, d) of 0 and 1 with each column times ln(n_movies / movies that have it).

    >>> rarity_weighted(np.array([[1, 1], [0, 1]])).round(3).tolist()
    [[0.693, 0.0], [0.0, 0.0]]
    """
    return matrix * np.log(len(matrix) / np.maximum(matrix.sum(axis=0), 1))


@functools.lru_cache(maxsize=2)
def traits(catalog: Catalog) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, genres, years, languages and tones (n_movies, d) float32 side by side, each less its mean over all
    movies; x' in a layout of its own, since it multiplies faster by columns; and which of the four a column is, (d,).

    Genres and tones are rows of length 1 where rare ones weigh more, years their nearness to the knots; a language that
    n of N movies have weighs min(ln(N / n), 4) / 4.
    """
    names, columns = np.unique(catalog.languages, return_inverse=True)
    spoken = (columns[:, None] == np.arange(len(names))) & (names != "")
    languages = np.minimum(rarity_weighted(spoken.astype(np.float64)), 4) / 4
    genres = unit_rows(rarity_weighted(catalog.genres.astype(np.float64)))
    has_tone = np.array([degree > 0 for degree in catalog.tones.values()], dtype=np.float64)
    tones = unit_rows(rarity_weighted(has_tone.reshape(-1, len(catalog)).T))
    blocks = (genres, year_nearness(catalog.years.astype(np.int64)), languages, tones)
    x = np.concatenate([(block - block.mean(axis=0)).astype(np.float32) for block in blocks], axis=1)
    return x, np.ascontiguousarray(x.T), np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])


def item_features(kind: str, catalog: Catalog, movie_ids: np.ndarray) -> np.ndarray:
    """Return (n_movies, n_features) float32 for movies by external id; a movie that the catalogue lacks has zeros.

    kind: "none", or "genres" and year.
    """
    if kind == "none" or not len(catalog):
        return np.zeros((len(movie_ids), 0), np.float32)
    blocks = genre_matrix(catalog, movie_ids), year_nearness(release_years(catalog, movie_ids))
    return np.concatenate([unit_rows(block) for block in blocks], axis=1)


@dataclass(frozen=True)
class TextFeatureSettings:
    """What `text_features` weighs; defaults chosen on the validation part of ml-latest-small, movies held out."""

    dimension: int = setting(400, "length of a text vector", 1, 4096)
    text_weight: float = setting(1.4, "what the text counts", 0)
    genre_weight: float = setting(0.55, "what the genres count", 0)
    year_weight: float = setting(0.7, "what the year counts", 0)


def text_features(catalog: Catalog, movie_ids: np.ndarray, settings: TextFeatureSettings) -> np.ndarray:
    """Return [text_weight t, genre_weight g, year_weight y] of each movie, (n_movies, d) float32.

    t: vector of the backend `local`, fitted on these movies' own texts, with the director.  g: genres, rare ones
    weighing more.  y: nearness to the knots.  Zeros for a movie that the catalogue lacks. Cost: that of
    `LocalBackend.fit`.
    """
    genres = unit_rows(rarity_weighted(genre_matrix(catalog, movie_ids)))
    movies = [catalog.movie(row) for row in range(len(catalog))]
    text_of = {movie.movie_id: f"{movie_text(movie)}\n{movie.director}" for movie in movies}
    texts = [text_of.get(movie_id, "") for movie_id in movie_ids.tolist()]
    try:
        vectors = LocalBackend.fit(texts, dimension=settings.dimension).embed_texts(texts)
    except DataError:  # texts that share no word
        vectors = np.zeros((len(texts), 1), dtype=np.float32)
    years = year_nearness(release_years(catalog, movie_ids))
    parts = (settings.text_weight * vectors, settings.genre_weight * genres, settings.year_weight * years)
    return np.concatenate(parts, axis=1).astype(np.float32)


def pseudo_users(catalog: Catalog, scale: np.ndarray) -> np.ndarray:
    """Return diag(scale) F, (n_movies, n_genres * n_knots) float32: one column for each genre and knot.

    F_i,(g,t) = 1 / sqrt(n_genres_i) for the genres g of movie i, times its year's nearness to t: adding F F' to a
    covariance adds users to the data, one for each genre and knot, who like the movies of that genre and time.
    scale: (n_movies,). The row of a movie without a genre or a known year is 0.
    """
    share = scale / np.sqrt(np.maximum(catalog.genres.sum(axis=1), 1))
    near = (share[:, None] * year_nearness(catalog.years)).astype(np.float32)  # (n_movies, n_knots)
    return (catalog.genres[:, :, None] * near[:, None, :]).reshape(len(catalog), -1)
