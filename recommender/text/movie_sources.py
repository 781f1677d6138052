"""Movies from several sources, each movie once.

    source            file                                ids
    a processed folder  movie_metadata.csv                MovieLens' (any data set that preprocessing has taken in)
    MovieTweetings    movies.dat: id::title (year)::genres  IMDb's
    INSPIRED          movie_database.tsv, with a header   of trailers (video_id)

A movie keeps its line in every source that lists it. Lines are of one movie where their key agrees: the TMDB id, else
`source:movie_id`. A source that knows only IMDb ids gets its TMDB ids from those that know both. Lines of one movie
share one text, the longest that a source gives, since that says most; of equally long ones, that of the first source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..data.catalog import NO_GENRES, Catalog, Movie, parse_title
from ..data.errors import DataError
from .movie_text import movie_text

MOVIELENS, MOVIETWEETINGS, INSPIRED = "movielens", "movietweetings", "inspired"
DAT, TSV = "movies.dat", "movie_database.tsv"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_EMPTY = ("", "nan", "n/a", "none")  # how tables spell that nothing is known
_IMDB = re.compile(r"(?:tt)?0*([0-9]+)(?:\.0)?", re.IGNORECASE)
# column of the INSPIRED table, in lower case -> field; of several, the first that holds something
_COLUMNS = {
    "movie_id": ("video_id", "movie_id", "id", "imdb_id"),
    "title": ("title",),
    "year": ("year",),
    "genres": ("genre", "genres"),
    "overview": ("short_plot", "plot", "long_plot", "overview"),
    "cast": ("actors", "cast"),
    "director": ("director",),
    "keywords": ("keywords",),
    "original_language": ("language",),
    "imdb_id": ("imdb_id", "imdbid"),
    "tmdb_id": ("tmdb_id", "tmdbid"),
}


class SourceMovie(NamedTuple):
    """A line of a source; `movie.movie_id` is 0 where the source's ids are no numbers."""

    source: str
    movie_id: str
    movie: Movie


class Movies(NamedTuple):
    """The lines of all sources, and the movies that they are of.

    lines: in the order of the sources.  keys: one for each line.  movie: for each line its row of `texts`.
    texts: one for each movie, in order of its first line.
    """

    lines: list[SourceMovie]
    keys: list[str]
    movie: list[int]
    texts: list[str]


def read_source(name: str, path: Path) -> list[SourceMovie]:
    """Read the movies of source `name`: a processed folder, a `movies.dat`, a `.tsv`, or a folder that holds one.

    Raises `DataError` for a name that is no plain word, and for what is none of these or has bad lines.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"source {name!r}: give a name of small letters, figures, - and _, such as {MOVIELENS}")
    if path.is_dir():
        if any((path / file).is_file() for file in ("movie_metadata.csv", "movie_features.csv")):
            catalog = Catalog.load(path)
            movies = [catalog.movie(row) for row in range(len(catalog))]
            return [SourceMovie(name, str(movie.movie_id), movie) for movie in movies]
        found = [path / file for file in (DAT, TSV) if (path / file).is_file()]
        if len(found) != 1:
            raise DataError(
                f"{path} holds no list of movies for source {name!r}: give a folder that preprocessing wrote, "
                f"or one with {DAT} or {TSV}"
            )
        path = found[0]
    if path.suffix == ".tsv":
        return read_tsv(name, path)
    if path.suffix == ".dat":
        return read_dat(name, path)
    what = "is no .dat and no .tsv" if path.exists() else "does not exist"
    raise DataError(f"{path} {what}: give source {name!r} as {name}=PATH, a folder, {DAT} or {TSV}")


def read_dat(name: str, path: Path) -> list[SourceMovie]:
    """Read MovieTweetings' `movies.dat`: UTF-8 lines `IMDb id::title (year)::genres by |`."""
    lines = []
    for number, text in enumerate(_read(path).split("\n"), start=1):
        if not text.strip():
            continue
        ident, *middle = text.rstrip("\r").split("::")
        genres = middle.pop() if len(middle) > 1 else ""
        if not ident.strip().isdecimal() or not middle:
            raise DataError(f"{path} line {number}: {text[:40]!r} is not `id::title::genres`: repair it")
        # A title with `::` in it leaves more than three parts.
        lines.append(_line(name, ident.strip(), {"title": "::".join(middle), "genres": genres, "imdb_id": ident}))
    return _once(lines, path)


def read_tsv(name: str, path: Path) -> list[SourceMovie]:
    """Read INSPIRED's movie table: a header with `title` and any of the columns `_COLUMNS`; a movie a line.

    Quotes around a whole cell are taken off, any others are part of the text: plots hold lone ones. A movie without an
    id of its own is known by its title and year. Lines without a title are left out.
    """
    rows = [[_unquoted(cell) for cell in line.split("\t")] for line in _read(path).split("\n")]
    header = [column.strip().lower() for column in rows[0]]
    if "title" not in header:
        raise DataError(f"{path} has no column title ({' '.join(header)[:60]!r}): give a .tsv of movies")
    lines = []
    for cells in rows[1:]:
        row = dict(zip(header, (" ".join(cell.split()) for cell in cells)))
        known = {column: cell for column, cell in row.items() if cell.lower() not in _EMPTY}
        fields = {
            field: next((known[column] for column in columns if column in known), "")
            for field, columns in _COLUMNS.items()
        }
        if fields["title"]:
            ident = fields.pop("movie_id") or f"{fields['title']} {fields['year']}".strip()
            lines.append(_line(name, ident, fields))
    return _once(lines, path)


def join(sources: Iterable[Sequence[SourceMovie]]) -> Movies:
    """Return all lines with what movie each is of; cost linear in the lines."""
    lines = [line for source in sources for line in source]
    tmdb_of = {_imdb(line.movie): line.movie.tmdb_id for line in reversed(lines) if line.movie.tmdb_id}
    tmdb_of.pop("", None)
    keys: list[str] = []
    movie: list[int] = []
    texts: list[str] = []
    row_of: dict[str, int] = {}
    for line in lines:
        tmdb_id = line.movie.tmdb_id or tmdb_of.get(_imdb(line.movie), "")
        key = f"tmdb:{tmdb_id}" if tmdb_id else f"{line.source}:{line.movie_id}"
        row = row_of.setdefault(key, len(texts))
        text = movie_text(line.movie)
        if row == len(texts):
            texts.append(text)
        elif len(text) > len(texts[row]):
            texts[row] = text
        keys.append(key)
        movie.append(row)
    return Movies(lines, keys, movie, texts)


def _imdb(movie: Movie) -> str:
    """Return the IMDb id as plain digits, "" where there is none."""
    match = _IMDB.fullmatch(movie.imdb_id.strip())
    return match.group(1) if match else ""


def _line(source: str, ident: str, fields: dict[str, str]) -> SourceMovie:
    title, year, alternatives = parse_title(fields["title"])
    given = fields.get("year", "").removesuffix(".0")
    genres = fields.get("genres", "")
    return SourceMovie(
        source,
        ident,
        Movie(
            movie_id=int(ident) if ident.isdecimal() else 0,
            title=title,
            year=int(given) if given.isdecimal() and len(given) == 4 else year,
            genres=() if genres == NO_GENRES else _listed(genres),
            alternatives=alternatives,
            director=fields.get("director", ""),
            cast=_listed(fields.get("cast", "")),
            keywords=_listed(fields.get("keywords", "")),
            overview=fields.get("overview", ""),
            original_language=fields.get("original_language", ""),
            tmdb_id=fields.get("tmdb_id", "").removesuffix(".0"),
            imdb_id=fields.get("imdb_id", ""),
        ),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[|;,]", text) if part.strip())


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and cell[1:-1].replace('""', "").count('"') == 0:
        return cell[1:-1].replace('""', '"')
    return cell


def _once(lines: list[SourceMovie], path: Path) -> list[SourceMovie]:
    """Return the lines with the first of each id; raises `DataError` where there is none."""
    if not lines:
        raise DataError(f"{path} lists no movies: give a complete file")
    return list({line.movie_id: line for line in reversed(lines)}.values())[::-1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8: save it as UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"no list of movies at {path}: give an existing file") from None
