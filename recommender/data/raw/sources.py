"""Raw data formats: all published forms of MovieLens, and MovieTweetings.

    format          files                     ratings                                   movies
    csv             ratings.csv, movies.csv   userId,movieId,rating,timestamp           movieId,title,genres (UTF-8)
    dat             ratings.dat, movies.dat   user::movie::rating::timestamp (1M, 10M)  movie::title::genres
    100k            u.data, u.item            user, item, rating, timestamp by tabs     24 columns by |
    movietweetings  ratings.dat, movies.dat   as dat, ratings 0 to 10                   as dat, ids of IMDb (UTF-8)

1M and MovieTweetings use the same file names; IMDb ids, with seven digits or more, identify MovieTweetings.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from ..catalog import NO_GENRES
from ..errors import DataError
from .raw_files import RawFiles

_IMDB_DIGITS = 7
SEPARATORS = ",;\t|"
# Spellings of a column, in lower case without blanks, dots and underscores.
_SPELLINGS = {
    "userId": ("userid", "user", "uid", "username"),
    "movieId": ("movieid", "movie", "itemid", "item", "filmid", "film"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "date", "datetime", "ratedat"),
}
# The order of 100K's genre flags.
ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_WHOLE = re.compile(r"([0-9]+)(?:\.0)?")  # pandas writes .0 after ids in columns with missing values
Rows = Iterator[tuple[int, tuple[str, ...]]]  # line number, the requested cells


@dataclass
class Source:
    """A raw data set. format: one of `FORMATS`.  movies: id -> title, genres joined by `|`.

    numbers: name -> id, if the ids are names.  notes: what is unusual about the list.
    """

    files: RawFiles
    format: str
    movies: dict[int, tuple[str, str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def movie(self, movie_id: int) -> tuple[str, str]:
        """Return title and genres; a movie missing from the list is titled `Movie <id>`."""
        return self.movies.get(movie_id) or (f"Movie {movie_id}", NO_GENRES)

    def movie_id(self, name: str, line: int, text: str) -> int:
        """Return the id in a line of the file `name`; raises `DataError` for an invalid one."""
        match = _WHOLE.fullmatch(text.strip())
        number = self.numbers.get(text.strip()) if self.numbers else int(match.group(1)) if match else None
        if number is None:
            kind = "not in the movie list" if self.numbers else "not a whole number from 0"
            raise self.files.error(name, f"movieId {text[:40]!r} is {kind}: correct the line", line)
        return number


def open_source(path: Path, chosen: Optional[str] = None) -> Source:
    """Find the data set at `path`, a folder or a .zip, and read its movie list; `chosen` overrides the detection.

    If most ids are not numbers, ids are names, and numbered from 1. For a movie listed twice the first line counts.
    Raises `DataError` if the files do not match the format.
    """
    files = RawFiles(path, {form.ratings: form.movies for form in FORMATS.values()})
    name, possible = files.movies_name, [key for key, form in FORMATS.items() if form.ratings == files.ratings_name]
    if chosen is not None and chosen not in possible:
        problem = f"{files.path} has {files.ratings_name}, which is not in the format {chosen!r}"
        raise DataError(f"{problem}: omit --source-format, or give {' or '.join(possible)}")
    source = Source(files, chosen or possible[0])
    rows = list(FORMATS[source.format].read_movies(files, source.notes))
    ids = [movie_id.strip() for _, (movie_id, *_) in rows]
    if not chosen and "movietweetings" in possible and max(map(len, ids), default=0) >= _IMDB_DIGITS:
        source.format = "movietweetings"
    if sum(bool(_WHOLE.fullmatch(text)) for text in ids) < len(ids) / 2:
        source.numbers = {text: number for number, text in enumerate(dict.fromkeys(ids), 1)}
    twice = []
    for line, (text, title, genres) in rows:
        movie_id = source.movie_id(name, line, text)
        if "\n" in title.strip() or "\n" in genres.strip():
            raise files.error(name, f"movie {movie_id} spans several lines: close the quote before it", line)
        if movie_id in source.movies:
            twice.append(line)
        else:
            source.movies[movie_id] = (title.strip() or f"Movie {movie_id}", genres.strip() or NO_GENRES)
    if twice:
        source.notes.append(
            f"{name} line {twice[0]} lists a movie again (such lines: {len(twice):,}): the first line counts"
        )
    if not source.movies:
        raise files.error(name, "lists no movies: give a complete file")
    return source


def find_columns(line: str, columns: Sequence[str]) -> tuple[str, list[str], list[list[int]]]:
    """Return separator and cells of a header line, and the positions of each column.

    A column is found by its exact name, else by any of its spellings.
    """
    separator = max(SEPARATORS, key=line.count)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    plain = [re.sub(r"[\W_]", "", cell.lower()) for cell in header]
    found = []
    for column in columns:
        spellings = _SPELLINGS.get(column, (column.lower(),))
        exact = [i for i, cell in enumerate(header) if cell == column]
        found.append(exact or [i for i, cell in enumerate(plain) if cell in spellings])
    return separator, header, found


def csv_rows(files: RawFiles, name: str, columns: Sequence[str], notes: list[str]) -> Rows:
    """Yield line number and the named cells of each row of a CSV file, stripped; nothing if there is no file.

    The columns may have any order and spelling. notes: receives what is unusual about the file.
    """
    if name not in files:
        return
    text, encoding = files.text(name, "utf-8-sig", "cp1252")  # spreadsheets write cp1252
    if encoding == "cp1252":
        notes.append(f"{name} is not UTF-8 and is read as cp1252")
    first = text.readline().strip()
    separator, header, found = find_columns(first, columns)
    missing = [column for column, places in zip(columns, found) if not places]
    if missing:
        problem = f"has no column {missing[0]}: its first line is {first[:80]!r}" if first else "is empty"
        raise files.error(name, f"{problem}: expected the columns {','.join(columns)}")
    positions = [places[0] for places in found]
    reader = csv.reader(text, delimiter=separator)
    try:
        for cells in reader:
            if cells and len(cells) <= max(positions):
                problem = f"{len(cells)} columns, expected {len(header)}: correct the line"
                raise files.error(name, problem, reader.line_num + 1)
            if cells:
                yield reader.line_num + 1, tuple(cells[position].strip() for position in positions)
    except csv.Error as error:
        raise files.error(name, f"{error}: correct the line", reader.line_num + 1) from None


def _csv_movies(files: RawFiles, notes: list[str]) -> Rows:
    return csv_rows(files, files.movies_name, ("movieId", "title", "genres"), notes)


def _dat_movies(files: RawFiles, notes: list[str]) -> Rows:
    """Read `movies.dat`: `id::title::genres`; a title may contain `::`."""
    for line, text in _movie_lines(files):
        movie_id, *title, genres = text.split("::") if text.count("::") >= 2 else (*text.split("::"), "")
        if not title:
            raise files.error(files.movies_name, f"expected `id::title::genres`, got {text[:40]!r}", line)
        yield line, (movie_id, "::".join(title), genres)


def _item_movies(files: RawFiles, notes: list[str]) -> Rows:
    """Read 100K's `u.item`: id|title|release|video release|URL and 19 flags, one for each genre."""
    n_columns = 5 + len(ITEM_GENRES)
    for line, text in _movie_lines(files):
        cells = text.split("|")
        if len(cells) != n_columns:
            problem = f"{len(cells)} columns, expected {n_columns}: correct the line"
            raise files.error(files.movies_name, problem, line)
        marked = [genre for genre, mark in zip(ITEM_GENRES, cells[5:]) if mark.strip() == "1" and genre != "unknown"]
        yield line, (cells[0], cells[1], "|".join(marked))


def _movie_lines(files: RawFiles) -> Iterator[tuple[int, str]]:
    # ISO-8859-1 (1M and 100K) is practically never valid UTF-8 (10M and MovieTweetings) by chance.
    text, _ = files.text(files.movies_name, "utf-8-sig", "iso-8859-1")
    for line, row in enumerate(text.read().split("\n"), start=1):
        if row.strip():
            yield line, row.rstrip("\r")


class Format(NamedTuple):
    """The format of a data set.

    ratings, movies: names of its files.  read_movies: yields line, (id, title, genres).  separator: of the ratings.
    positions: of user, movie, rating and time in a line; -1 = no such column.  has_header: of the ratings;
    then separator and positions follow from it.  low, high: ratings from low to high are mapped to 0.5 to 5.
    """

    ratings: str
    movies: str
    read_movies: Callable[[RawFiles, list[str]], Rows]
    separator: str
    positions: tuple[int, ...]
    has_header: bool = False
    low: float = 0.5
    high: float = 5.0


# A new format is one line here. `::` is read as two `:` with an empty column between, for pandas' C parser.
FORMATS = {
    "csv": Format("ratings.csv", "movies.csv", _csv_movies, ",", (0, 1, 2, 3), has_header=True),
    "dat": Format("ratings.dat", "movies.dat", _dat_movies, ":", (0, 2, 4, 6)),
    "100k": Format("u.data", "u.item", _item_movies, "\t", (0, 1, 2, 3)),
    "movietweetings": Format("ratings.dat", "movies.dat", _dat_movies, ":", (0, 2, 4, 6), low=0.0, high=10.0),
}
