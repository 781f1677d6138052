"""Where ratings and movies come from: MovieLens in every published form, and MovieTweetings.

    form            files                     ratings                                   movies
    csv             ratings.csv, movies.csv   userId,movieId,rating,timestamp           movieId,title,genres (UTF-8)
    dat             ratings.dat, movies.dat   user::movie::rating::timestamp (1M, 10M)  movie::title::genres
    100k            u.data, u.item            user, item, rating, timestamp by tabs     24 columns by |
    movietweetings  ratings.dat, movies.dat   as dat, ratings 0 to 10                   as dat, ids of IMDb (UTF-8)

1M and MovieTweetings name their files alike; the movie ids tell them apart, since IMDb's are written with seven
digits or more. MovieTweetings' scale is mapped in a straight line: 0.5 + 0.45 * rating.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from recommender.data.errors import DataError

from .movies_table import MovieRow, read_csv_movies, read_dat_movies, read_item_movies
from .ratings_table import Layout, RatingsTable, read_ratings
from .raw_files import RawFiles

FORMS = ("csv", "dat", "100k", "movietweetings")
_LAYOUTS = {
    "csv": Layout(",", (0, 1, 2, 3), True, 0.5, 5.0),
    # `::` is read as two `:` with an empty column between, which pandas' C parser can do.
    "dat": Layout(":", (0, 2, 4, 6), False, 0.5, 5.0),
    "100k": Layout("\t", (0, 1, 2, 3), False, 0.5, 5.0),
    "movietweetings": Layout(":", (0, 2, 4, 6), False, 0.0, 10.0),
}
_FORMS_OF = {"ratings.csv": ("csv",), "ratings.dat": ("dat", "movietweetings"), "u.data": ("100k",)}
_MOVIES = {
    "csv": read_csv_movies,
    "dat": read_dat_movies,
    "100k": read_item_movies,
    "movietweetings": read_dat_movies,
}
_IMDB_DIGITS = 7


@dataclass
class Source:
    """A raw data set: its ratings in the order of the file, its movies by id."""

    files: RawFiles
    form: str
    ratings: Optional[RatingsTable]
    movies: dict[int, MovieRow]

    def take_ratings(self) -> RatingsTable:
        """Return the ratings and let go of them, so that their memory can be used again."""
        if self.ratings is None:
            raise RuntimeError("the ratings were taken before")
        table, self.ratings = self.ratings, None
        return table


def read_movies(files: RawFiles, form: Optional[str] = None) -> tuple[str, dict[int, MovieRow]]:
    """Return the form of a data set (one of `FORMS`) and its movies by id; `form` overrules what is detected.

    Raises `DataError` where the files do not fit the form.
    """
    possible = _FORMS_OF[files.ratings_name]
    if form is not None and form not in possible:
        raise DataError(
            f"{files.path} holds {files.ratings_name}, which is not of the form {form!r}: "
            f"leave out --source-format or give {' or '.join(possible)}"
        )
    chosen = form or possible[0]
    movies = _MOVIES[chosen](files)
    if form is None and chosen == "dat" and any(row.n_digits >= _IMDB_DIGITS for row in movies.values()):
        chosen = "movietweetings"
    return chosen, movies


def read_source(path: Path, form: Optional[str] = None) -> Source:
    """Read the data set at `path`, a folder or a .zip.

    Raises `DataError`, naming file, line and value, for what cannot be read. Ratings come back in 0.5 to 5.
    """
    files = RawFiles(path)
    form, movies = read_movies(files, form)
    ratings = read_ratings(files, _LAYOUTS[form])
    if form == "movietweetings":
        ratings.ratings = (0.5 + 0.45 * ratings.ratings.astype(np.float64)).astype(np.float32)
    return Source(files, form, ratings, movies)
