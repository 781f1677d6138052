"""Where ratings and movies come from: MovieLens in every published form, and MovieTweetings.

    format          files                     ratings                                   movies
    csv             ratings.csv, movies.csv   userId,movieId,rating,timestamp           movieId,title,genres (UTF-8)
    dat             ratings.dat, movies.dat   user::movie::rating::timestamp (1M, 10M)  movie::title::genres
    100k            u.data, u.item            user, item, rating, timestamp by tabs     24 columns by |
    movietweetings  ratings.dat, movies.dat   as dat, ratings 0 to 10                   as dat, ids of IMDb (UTF-8)

1M and MovieTweetings name their files alike; the movie ids tell them apart, since IMDb's are written with seven
digits or more. Another scale than 0.5 to 5 is mapped in a straight line: 0.5 + 4.5 (rating - low) / (high - low).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from recommender.data.errors import DataError

from .movies_table import MovieList, read_csv_movies, read_dat_movies, read_item_movies
from .ratings_table import Layout, RatingsTable, read_ratings
from .raw_files import RawFiles

Scale = tuple[float, float]
_LAYOUTS = {
    "csv": Layout(",", (0, 1, 2, 3), True, 0.5, 5.0),
    # `::` is read as two `:` with an empty column between, which pandas' C parser can do.
    "dat": Layout(":", (0, 2, 4, 6), False, 0.5, 5.0),
    "100k": Layout("\t", (0, 1, 2, 3), False, 0.5, 5.0),
    "movietweetings": Layout(":", (0, 2, 4, 6), False, 0.0, 10.0),
}
FORMATS = tuple(_LAYOUTS)
_FORMATS_OF = {"ratings.csv": ("csv",), "ratings.dat": ("dat", "movietweetings"), "u.data": ("100k",)}
_MOVIES = {"ratings.csv": read_csv_movies, "ratings.dat": read_dat_movies, "u.data": read_item_movies}
_IMDB_DIGITS = 7


class Source(NamedTuple):
    """A raw data set: its files, its format (one of `FORMATS`) and its movie list."""

    files: RawFiles
    format: str
    movies: MovieList


def open_source(path: Path, chosen: Optional[str] = None) -> Source:
    """Find the data set at `path`, a folder or a .zip, and read its movie list; `chosen` overrules what is detected.

    Raises `DataError` where the files do not fit the format.
    """
    files = RawFiles(path)
    possible = _FORMATS_OF[files.ratings_name]
    if chosen is not None and chosen not in possible:
        raise DataError(
            f"{files.path} holds {files.ratings_name}, which is not of the form {chosen!r}: "
            f"leave out --source-format or give {' or '.join(possible)}"
        )
    movies = _MOVIES[files.ratings_name](files)
    detected = "movietweetings" if "movietweetings" in possible and movies.n_digits >= _IMDB_DIGITS else possible[0]
    return Source(files, chosen or detected, movies)


def source_ratings(source: Source, scale: Optional[Scale] = None) -> RatingsTable:
    """Read the ratings, mapped to 0.5 to 5; `scale`: lowest and highest rating, where the format does not say it.

    Raises `DataError`, naming file, line and value, for what cannot be read.
    """
    layout = _LAYOUTS[source.format]
    low, high = scale or (layout.low, layout.high)
    table = read_ratings(source.files, layout._replace(low=low, high=high), source.movies.numbers)
    if (low, high) != (0.5, 5.0):
        table.notes.append(f"ratings from {low:g} to {high:g} are mapped to 0.5 to 5")
        table.ratings = (0.5 + (table.ratings.astype(np.float64) - low) * (4.5 / (high - low))).astype(np.float32)
    return table
