"""Read lists of movies: MovieLens' CSV, the `::` files, 100K's `u.item`; and `links.csv`, `tags.csv`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from recommender.data.catalog import NO_GENRES
from recommender.data.errors import DataError

from .raw_files import RawFiles

# The order of 100K's genre marks.
ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_ITEM_COLUMNS = 24
# IMDb writes tt before its ids, and pandas .0 behind those of a column that has gaps.
_LINKS = {"imdbId": re.compile(r"(?:tt)?([0-9]+)(?:\.0)?"), "tmdbId": re.compile(r"([0-9]+)(?:\.0)?")}
# Text that is not ISO-8859-1's is practically never valid UTF-8 by chance, so UTF-8 is tried first: 1M and 100K are
# ISO-8859-1, 10M and MovieTweetings are UTF-8.
_DAT_ENCODINGS = ("utf-8-sig", "iso-8859-1")


class MovieRow(NamedTuple):
    """One line of a movie list; genres joined by `|`. `n_digits`: how many digits the file wrote the id with."""

    title: str
    genres: str
    n_digits: int


class Link(NamedTuple):
    """Ids of a movie elsewhere, "" where unknown."""

    imdb_id: str
    tmdb_id: str


def read_csv_movies(files: RawFiles) -> dict[int, MovieRow]:
    """Read `movies.csv`: the columns movieId, title, genres, in any order, and others."""
    name = files.movies_name
    rows = _csv_rows(files, name, ("movieId", "title", "genres"))
    return _collect(files, name, ((line, ident, title, genres) for line, (ident, title, genres) in rows))


def read_dat_movies(files: RawFiles) -> dict[int, MovieRow]:
    """Read `movies.dat`: `id::title::genres`; a title may hold `::`."""
    name = files.movies_name

    def rows() -> Iterator[tuple[int, str, str, str]]:
        for line, text in _lines(files, name):
            ident, *title, genres = text.split("::") if text.count("::") >= 2 else (*text.split("::"), "")
            if not title:
                raise DataError(f"{files.label(name)} line {line}: {text[:40]!r} is not `id::title::genres`: repair it")
            yield line, ident, "::".join(title), genres

    return _collect(files, name, rows())


def read_item_movies(files: RawFiles) -> dict[int, MovieRow]:
    """Read 100K's `u.item`: id|title|release|video release|URL and 19 marks, one for each genre."""
    name = files.movies_name

    def rows() -> Iterator[tuple[int, str, str, str]]:
        for line, text in _lines(files, name):
            cells = text.split("|")
            if len(cells) != _ITEM_COLUMNS:
                raise DataError(
                    f"{files.label(name)} line {line}: {len(cells)} columns, expected {_ITEM_COLUMNS}: repair the line"
                )
            marked = [
                genre for genre, mark in zip(ITEM_GENRES, cells[5:]) if mark.strip() == "1" and genre != "unknown"
            ]
            yield line, cells[0], cells[1], "|".join(marked)

    return _collect(files, name, rows())


def read_links(files: RawFiles) -> dict[int, Link]:
    """Read `links.csv` where there is one: movieId -> IMDb id (its digits, at least seven) and TMDB id.

    `tt0114709` and `862.0` are taken as 0114709 and 862.
    """
    if "links.csv" not in files:
        return {}
    links = {}
    for line, (ident, *texts) in _csv_rows(files, "links.csv", ("movieId", *_LINKS)):
        digits = []
        for (column, form), text in zip(_LINKS.items(), texts):
            match = form.fullmatch(text)
            if text and not match:
                raise DataError(
                    f"{files.label('links.csv')} line {line}: {column} {text[:40]!r} is not a number: repair it"
                )
            digits.append(match.group(1) if match else "")
        imdb, tmdb = digits
        links[_movie_id(files, "links.csv", line, ident)] = Link(imdb.zfill(7) if imdb else "", tmdb)
    return links


def read_tags(files: RawFiles, min_users: int, max_tags: int) -> dict[int, tuple[str, ...]]:
    """Read `tags.csv` where there is one: movieId -> its tags that at least `min_users` people gave.

    Tags are compared in lower case with single spaces; most people first, equal numbers in alphabetical order.
    """
    if "tags.csv" not in files or max_tags == 0:
        return {}
    given: set[tuple[str, str, str]] = set()
    first_line: dict[str, int] = {}
    for line, (user, ident, tag) in _csv_rows(files, "tags.csv", ("userId", "movieId", "tag")):
        first_line.setdefault(ident, line)
        # `;` and `|` separate the keywords of a movie.
        clean = " ".join(tag.lower().replace(";", " ").replace("|", " ").split())
        if clean:
            given.add((ident, clean, user))
    counts: dict[str, Counter[str]] = {}
    for ident, tag, _ in given:
        counts.setdefault(ident, Counter())[tag] += 1
    tags = {}
    for ident, counter in counts.items():
        often = sorted((-n, tag) for tag, n in counter.items() if n >= min_users)
        if often:
            movie = _movie_id(files, "tags.csv", first_line[ident], ident)
            tags[movie] = tuple(tag for _, tag in often[:max_tags])
    return tags


def _csv_rows(files: RawFiles, name: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and the named cells of each row of a CSV file, stripped."""
    reader = csv.reader(files.text(name))
    try:
        header = [column.strip() for column in next(reader, [])]
        missing = [column for column in columns if column not in header]
        if missing:
            shown = ",".join(header)[:80]
            problem = "is empty" if not header else f"has no column {missing[0]}: its first line is {shown!r}"
            raise DataError(f"{files.label(name)} {problem}: expected the columns {','.join(columns)}")
        positions = [header.index(column) for column in columns]
        last = max(positions)
        for cells in reader:
            if not cells:
                continue
            if len(cells) <= last:
                raise DataError(
                    f"{files.label(name)} line {reader.line_num}: {len(cells)} columns, expected {len(header)}: "
                    "repair the line"
                )
            yield reader.line_num, [cells[position].strip() for position in positions]
    except csv.Error as error:
        raise DataError(f"{files.label(name)} line {reader.line_num}: {error}: repair the line") from None


def _lines(files: RawFiles, name: str) -> Iterator[tuple[int, str]]:
    for line, text in enumerate(files.text(name, _DAT_ENCODINGS).read().split("\n"), start=1):
        if text.strip():
            yield line, text.rstrip("\r")


def _collect(files: RawFiles, name: str, rows: Iterator[tuple[int, str, str, str]]) -> dict[int, MovieRow]:
    movies: dict[int, MovieRow] = {}
    lines: dict[int, int] = {}
    for line, ident, title, genres in rows:
        movie_id = _movie_id(files, name, line, ident)
        if movie_id in movies:
            first = lines[movie_id]
            raise DataError(f"{files.label(name)} line {line}: movieId {movie_id} is already on line {first}: keep one")
        if "\n" in title.strip() or "\n" in genres.strip():
            raise DataError(
                f"{files.label(name)} line {line}: movie {movie_id} goes over several lines: close the quote before it"
            )
        lines[movie_id] = line
        movies[movie_id] = MovieRow(
            title.strip() or untitled(movie_id), genres.strip() or NO_GENRES, len(ident.strip())
        )
    if not movies:
        raise DataError(f"{files.label(name)} lists no movies: give a complete file")
    return movies


def untitled(movie_id: int) -> str:
    """Return the title of a movie that the list does not name."""
    return f"Movie {movie_id}"


def _movie_id(files: RawFiles, name: str, line: int, text: str) -> int:
    value: Optional[int] = int(text) if text.strip().isdecimal() else None
    if value is None:
        raise DataError(
            f"{files.label(name)} line {line}: movieId {text[:40]!r} is not a whole number from 0: repair it"
        )
    return value
