"""Read lists of movies: MovieLens' CSV, the `::` files, 100K's `u.item`; and `links.csv`, `tags.csv`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recommender.data.catalog import NO_GENRES

from .ratings_table import SEPARATORS, find_columns
from .raw_files import RawFiles

# The order of 100K's genre marks.
ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_ITEM_COLUMNS = 24
# IMDb writes tt before its ids, and pandas .0 behind those of a column that has gaps.
_LINKS = {"imdbId": re.compile(r"(?:tt)?([0-9]+)(?:\.0)?"), "tmdbId": re.compile(r"([0-9]+)(?:\.0)?")}
_WHOLE = re.compile(r"([0-9]+)(?:\.0)?")
# Text that is not ISO-8859-1's is practically never valid UTF-8 by chance, so UTF-8 is tried first: 1M and 100K are
# ISO-8859-1, 10M and MovieTweetings are UTF-8, spreadsheets write cp1252.
_CSV_ENCODINGS = ("utf-8-sig", "cp1252")
_DAT_ENCODINGS = ("utf-8-sig", "iso-8859-1")


class MovieRow(NamedTuple):
    """One line of a movie list; genres joined by `|`."""

    title: str
    genres: str


@dataclass
class MovieList:
    """Movies by id; n_digits: of the longest id as written; numbers: name -> id where ids are names; notes."""

    rows: dict[int, MovieRow] = field(default_factory=dict)
    n_digits: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def row(self, movie_id: int) -> MovieRow:
        """Return title and genres; a movie that the list lacks is called `Movie <id>`."""
        return self.rows.get(movie_id) or MovieRow(untitled(movie_id), NO_GENRES)


class Link(NamedTuple):
    """Ids of a movie elsewhere, "" where unknown."""

    imdb_id: str = ""
    tmdb_id: str = ""


def untitled(movie_id: int) -> str:
    """Return the title of a movie that the list does not name."""
    return f"Movie {movie_id}"


def read_csv_movies(files: RawFiles) -> MovieList:
    """Read `movies.csv`: the columns movieId, title, genres, in any order and spelling, and others."""
    name = files.movies_name
    notes: list[str] = []
    rows = _csv_rows(files, name, ("movieId", "title", "genres"), notes)
    movies = _collect(files, name, [(line, *cells) for line, cells in rows])
    movies.notes[:0] = notes
    return movies


def read_dat_movies(files: RawFiles) -> MovieList:
    """Read `movies.dat`: `id::title::genres`; a title may hold `::`."""
    rows = []
    for line, text in _lines(files):
        movie_id, *title, genres = text.split("::") if text.count("::") >= 2 else (*text.split("::"), "")
        if not title:
            raise files.error(files.movies_name, f"{text[:40]!r} is not `id::title::genres`: repair it", line)
        rows.append((line, movie_id, "::".join(title), genres))
    return _collect(files, files.movies_name, rows)


def read_item_movies(files: RawFiles) -> MovieList:
    """Read 100K's `u.item`: id|title|release|video release|URL and 19 marks, one for each genre."""
    rows = []
    for line, text in _lines(files):
        cells = text.split("|")
        if len(cells) != _ITEM_COLUMNS:
            problem = f"{len(cells)} columns, expected {_ITEM_COLUMNS}: repair the line"
            raise files.error(files.movies_name, problem, line)
        marked = [genre for genre, mark in zip(ITEM_GENRES, cells[5:]) if mark.strip() == "1" and genre != "unknown"]
        rows.append((line, cells[0], cells[1], "|".join(marked)))
    return _collect(files, files.movies_name, rows)


def read_links(files: RawFiles, movies: MovieList) -> dict[int, Link]:
    """Read `links.csv` where there is one: movieId -> IMDb id (its digits, at least seven) and TMDB id.

    `tt0114709` and `862.0` are taken as 0114709 and 862.
    """
    links = {}
    for line, (movie_id, *texts) in _csv_rows(files, "links.csv", ("movieId", *_LINKS), movies.notes):
        digits = []
        for (column, pattern), text in zip(_LINKS.items(), texts):
            match = pattern.fullmatch(text)
            if text and not match:
                raise files.error("links.csv", f"{column} {text[:40]!r} is not a number: repair it", line)
            digits.append(match.group(1) if match else "")
        imdb, tmdb = digits
        links[_movie_id(files, "links.csv", line, movie_id, movies)] = Link(imdb.zfill(7) if imdb else "", tmdb)
    return links


def read_tags(files: RawFiles, movies: MovieList, min_users: int, max_tags: int) -> dict[int, tuple[str, ...]]:
    """Read `tags.csv` where there is one: movieId -> its tags that at least `min_users` users gave.

    Tags are compared in lower case with single spaces; most users first, equal numbers in alphabetical order.
    """
    given: set[tuple[str, str, str]] = set()
    first_line: dict[str, int] = {}
    for line, (user, movie_id, tag) in _csv_rows(files, "tags.csv", ("userId", "movieId", "tag"), movies.notes):
        first_line.setdefault(movie_id, line)
        # `;` and `|` separate the keywords of a movie.
        clean = " ".join(tag.lower().replace(";", " ").replace("|", " ").split())
        if clean:
            given.add((movie_id, clean, user))
    counts: dict[str, Counter[str]] = {}
    for movie_id, tag, _ in given:
        counts.setdefault(movie_id, Counter())[tag] += 1
    tags = {}
    for movie_id, counter in counts.items():
        often = sorted((-n, tag) for tag, n in counter.items() if n >= min_users)[:max_tags]
        if often:
            number = _movie_id(files, "tags.csv", first_line[movie_id], movie_id, movies)
            tags[number] = tuple(tag for _, tag in often)
    return tags


def _csv_rows(files: RawFiles, name: str, columns: Sequence[str], notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and the named cells of each row of a CSV file, stripped; nothing where there is no file.

    notes: takes what is unusual about the file.
    """
    if name not in files:
        return
    text, encoding = files.text(name, _CSV_ENCODINGS)
    if encoding != _CSV_ENCODINGS[0]:
        notes.append(f"{name} is read as {encoding}, it is not UTF-8")
    separator = max(SEPARATORS, key=text.readline().count)
    text.seek(0)
    reader = csv.reader(text, delimiter=separator)
    try:
        header = [column.strip() for column in next(reader, [])]
        found = [find_columns(header, column) for column in columns]
        missing = [column for column, places in zip(columns, found) if not places]
        if missing:
            shown = ",".join(header)[:80]
            problem = "is empty" if not header else f"has no column {missing[0]}: its first line is {shown!r}"
            raise files.error(name, f"{problem}: expected the columns {','.join(columns)}")
        positions = [places[0] for places in found]
        for cells in reader:
            if cells and len(cells) <= max(positions):
                problem = f"{len(cells)} columns, expected {len(header)}: repair the line"
                raise files.error(name, problem, reader.line_num)
            if cells:
                yield reader.line_num, [cells[position].strip() for position in positions]
    except csv.Error as error:
        raise files.error(name, f"{error}: repair the line", reader.line_num) from None


def _lines(files: RawFiles) -> Iterator[tuple[int, str]]:
    text, _ = files.text(files.movies_name, _DAT_ENCODINGS)
    for line, row in enumerate(text.read().split("\n"), start=1):
        if row.strip():
            yield line, row.rstrip("\r")


def _collect(files: RawFiles, name: str, rows: Sequence[tuple[int, str, str, str]]) -> MovieList:
    """Return the movies of rows (line, id, title, genres); of a movie that is listed twice the first line counts."""
    movies = MovieList()
    if sum(bool(_WHOLE.fullmatch(row[1].strip())) for row in rows) < len(rows) / 2:
        movies.numbers = {text: number for number, text in enumerate(dict.fromkeys(row[1].strip() for row in rows), 1)}
    twice = []
    for line, text, title, genres in rows:
        movie_id = _movie_id(files, name, line, text, movies)
        if "\n" in title.strip() or "\n" in genres.strip():
            raise files.error(name, f"movie {movie_id} goes over several lines: close the quote before it", line)
        if movie_id in movies.rows:
            twice.append(line)
            continue
        movies.n_digits = max(movies.n_digits, len(text.strip()))
        movies.rows[movie_id] = MovieRow(title.strip() or untitled(movie_id), genres.strip() or NO_GENRES)
    if twice:
        movies.notes.append(f"{name} line {twice[0]} lists a movie again, one of {len(twice):,}: the first line counts")
    if not movies.rows:
        raise files.error(name, "lists no movies: give a complete file")
    return movies


def _movie_id(files: RawFiles, name: str, line: int, text: str, movies: MovieList) -> int:
    match = _WHOLE.fullmatch(text.strip())
    number = movies.numbers.get(text.strip()) if movies.numbers else int(match.group(1)) if match else None
    if number is None:
        kind = "of no movie in the list" if movies.numbers else "not a whole number from 0"
        raise files.error(name, f"movieId {text[:40]!r} is {kind}: repair it", line)
    return number
