"""Raw data formats: all published forms of MovieLens, and MovieTweetings.

    format          files                     ratings                                   movies
    csv             ratings.csv, movies.csv   userId,movieId,rating,timestamp           movieId,title,genres (UTF-8)
    dat             ratings.dat, movies.dat   user::movie::rating::timestamp (1M, 10M)  movie::title::genres
    100k            u.data, u.item            user, item, rating, timestamp by tabs     24 columns by |
    movietweetings  ratings.dat, movies.dat   as dat, ratings 0 to 10                   as dat, ids of IMDb (UTF-8)

1M and MovieTweetings use the same file names. Ids of seven digits or more, as IMDb's are, and a rating of 0 or above 5
identify MovieTweetings; with such ids alone the format must be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from ..catalog import NO_GENRES, parse_title
from ..errors import DataError
from .cells import are_names, is_nothing, joined_genres, whole_number, year_of
from .csv_table import Rows, add_note, csv_rows
from .raw_files import RawFiles

IMDB_DIGITS = 7  # or more
PARTS = "ratings"  # a folder that holds the ratings in parts: see parts.py
_ENDINGS = (".csv", ".csv.gz", ".parquet")
_SAMPLE = 1 << 20  # bytes of ratings that show the scale
# The order of 100K's genre flags.
ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_END_OF_TITLE, _DIGIT = re.compile(r"[^(]\([0-9]{4}\)\s*$"), re.compile("[0-9]")


@dataclass
class Source:
    """A raw data set. format: one of `FORMATS`.  movies: id -> title, genres joined by `|`.

    n_listed: length of its own list; `movies` of sets read together are those of all.
    numbers: name -> id, if the ids are names.  notes: what is unusual about the list.  parts: of ratings; none for one
    file.
    """

    files: RawFiles
    format: str
    movies: dict[int, tuple[str, str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_listed: int = 0
    parts: list[Path] = field(default_factory=list)

    def movie(self, movie_id: int) -> tuple[str, str]:
        """Return title and genres; a movie missing from the list is titled `Movie <id>`."""
        return self.movies.get(movie_id) or (f"Movie {movie_id}", NO_GENRES)

    def movie_id(self, name: str, line: int, text: str) -> int:
        """Return the id in a line of the file `name`; raises `DataError` for an invalid one."""
        number = self.numbers.get(text.strip()) if self.numbers else whole_number(text)
        if number is None:
            kind = "not in the movie list" if self.numbers else "not a whole number from 0, below 2**53"
            raise self.files.error(name, f"movieId {text[:40]!r} is {kind}: correct the line", line)
        return number


def open_source(path: Path, chosen: Optional[str] = None) -> Source:
    """Find the data set at `path`, a folder or a .zip, and read its movie list; `chosen` overrides the detection.

    If most ids are not numbers, ids are names, and numbered from 1. For a movie listed twice the first line counts.
    Raises `DataError` if the files do not match the format.
    """
    parts = _parts(path)
    pairs = {form.ratings: form.movies for form in FORMATS.values()}
    files = RawFiles(path, {"movies.csv": "movies.csv"} if parts else pairs)
    name, names = files.movies_name, ("ratings.csv" if parts else files.ratings_name, files.movies_name)
    possible = [key for key, form in FORMATS.items() if (form.ratings, form.movies) == names]
    if chosen is not None and chosen not in possible:
        problem = f"{files.path} has {files.ratings_name}, which is not in the format {chosen!r}"
        raise DataError(f"{problem}: omit --source-format, or give {' or '.join(possible)}")
    source = Source(files, chosen or possible[0], parts=parts)
    rows = list(FORMATS[source.format].read_movies(files, source.notes))
    ids = [cells[0].strip() for _, cells in rows]
    if not chosen and "movietweetings" in possible and max(map(len, ids), default=0) >= IMDB_DIGITS:
        source.format = _format_by_scale(files)
    if ids and are_names(ids):
        source.numbers = {text: number for number, text in enumerate(dict.fromkeys(ids), 1)}
    genres = joined_genres([cells[2] for _, cells in rows])
    twice, spelled, dated = [], [], []
    for (line, (text, title, given, *years)), joined in zip(rows, genres):
        movie_id, title, given, year = source.movie_id(name, line, text), title.strip(), given.strip(), year_of(*years)
        if "\n" in title or "\n" in given:
            raise files.error(name, f"movie {movie_id} spans several lines: close the quote before it", line)
        # What stands there where a comma of the title has no quotes around it, and a later cell is missing.
        wrong = [cell for cell in (given, *years) if _END_OF_TITLE.search(cell)]
        wrong += [cell for cell in years if not (is_nothing(cell) or _DIGIT.search(cell))]
        if wrong:
            raise files.error(name, f"{wrong[0][:40]!r} is no list of genres, or no year: quote the title", line)
        if movie_id in source.movies:
            twice.append(line)
            continue
        title = title or f"Movie {movie_id}"
        if year and not parse_title(title).year:
            title = f"{title} ({year})"
            dated.append(title)
        if joined not in ("", given):
            spelled.append(f"{given[:60]!r} as {joined[:60]!r}")
        source.movies[movie_id] = (title, joined or NO_GENRES)
    add_note(source.notes, twice, name + " line {} lists a movie again and is left out")
    add_note(source.notes, spelled, "genres are read, such as {}")
    add_note(source.notes, dated, "titles get the year of its own column, such as {}")
    if not source.movies:
        raise files.error(name, "lists no movies: give a complete file")
    source.n_listed = len(source.movies)
    return source


def _parts(path: Path) -> list[Path]:
    """Return the parts of the ratings at `path` by name; none where they are one file."""
    parts = sorted(part for part in path.glob(f"{PARTS}/*") if part.name.lower().endswith(_ENDINGS))
    if not parts or not (path / "movies.csv").is_file():
        return []
    if (path / "ratings.csv").exists():
        raise DataError(f"{path} has ratings.csv and parts of ratings in {PARTS}/: keep one")
    return parts


def open_sources(paths: Sequence[Path], chosen: Optional[str] = None) -> list[Source]:
    """Open several data sets whose movie ids mean the same movies; titles and genres of later sets win.

    Raises `DataError` for a set that is given twice, and for sets whose ids cannot mean the same.
    """
    sources = [open_source(path, chosen) for path in paths]
    places = [source.files.path.resolve() for source in sources]
    if twice := [path for path in places if places.count(path) > 1]:
        raise DataError(f"{twice[0]} is given twice: give each --data once")
    if len(sources) > 1 and (named := [source.files.path for source in sources if source.numbers]):
        raise DataError(f"{named[0]} has names as movie ids, which other sets do not share: give one --data")
    kinds = {source.format if FORMATS[source.format].own_ids else "MovieLens" for source in sources}
    if len(kinds) > 1:
        raise DataError(f"the movie ids of {' and '.join(sorted(kinds))} mean different movies: give one --data")
    movies = {movie_id: movie for source in sources for movie_id, movie in source.movies.items()}
    for source in sources:
        source.movies = movies
    return sources


def _format_by_scale(files: RawFiles) -> str:
    """Return the format of `ratings.dat` with ids as wide as IMDb's; it is MovieTweetings' if the scale is too."""
    with files.open(files.ratings_name) as file:
        ratings = re.findall(rb"^\d+::\d+::(\d+(?:\.\d+)?)[:\r\n]", file.read(_SAMPLE), re.MULTILINE)
    if any(float(rating) == 0 or float(rating) > 5 for rating in set(ratings)):
        return "movietweetings"
    problem = "has ids as wide as IMDb's, but no rating of 0 or above 5"
    raise files.error(files.ratings_name, f"{problem}: give --source-format movietweetings, or dat")


def _csv_movies(files: RawFiles, notes: list[str]) -> Rows:
    return csv_rows(files, files.movies_name, ("movieId", "title", "genres"), notes, ("year",))


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
    for line, row in enumerate(text.split("\n"), start=1):
        if row.strip():
            yield line, row.rstrip("\r")


class Format(NamedTuple):
    """The format of a data set.

    ratings, movies: names of its files.  read_movies: yields line, (id, title, genres).  separator: of the ratings.
    positions: of user, movie, rating and time in a line; -1 = no such column.  has_header: of the ratings;
    then separator and positions follow from it.  low, high: ratings from low to high are mapped to 0.5 to 5.
    width: least and most cells of a line of ratings.  own_ids: whether movie ids are not those of MovieLens.
    rows: turns the lines of ratings into one rating a line, where they are not.
    """

    ratings: str
    movies: str
    read_movies: Callable[[RawFiles, list[str]], Rows]
    separator: str
    positions: tuple[int, ...]
    has_header: bool = False
    low: float = 0.5
    high: float = 5.0
    width: tuple[int, int] = (7, 7)
    own_ids: bool = False
    rows: Callable[[Iterable[str]], Iterable[str]] = iter


# A new format is one entry here, and a function above that reads its movies; tests/test_sources.py tries `PUBLISHED`.
# `::` is read as two `:` with an empty column between, for pandas' C parser.
FORMATS = {
    "csv": Format("ratings.csv", "movies.csv", _csv_movies, ",", (0, 1, 2, 3), has_header=True),
    "dat": Format("ratings.dat", "movies.dat", _dat_movies, ":", (0, 2, 4, 6)),
    "100k": Format("u.data", "u.item", _item_movies, "\t", (0, 1, 2, 3), width=(4, 4), own_ids=True),
    "movietweetings": Format(
        "ratings.dat", "movies.dat", _dat_movies, ":", (0, 2, 4, 6), low=0.0, high=10.0, own_ids=True
    ),
}
