"""Movies from several sources, each movie once.

    source              file                                ids
    a processed folder  movie_metadata.csv                  MovieLens' (of any preprocessed data set)
    MovieTweetings      movies.dat: id::title::genres       IMDb's
    INSPIRED            movie_database.tsv, with a header   of trailers (video_id)

Every source keeps its own row. Rows with the same key are the same movie and share the longest text; ties go to the
first source. The key is the TMDB id, else `source:movie_id`. A source that has only IMDb ids takes its TMDB ids from
sources that have both.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..data.catalog import NO_GENRES, Catalog, Movie, parse_title
from ..data.errors import DataError
from .base import movie_text, text_hash

MOVIELENS = "movielens"
_DAT, _TSV = "movies.dat", "movie_database.tsv"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_EMPTY = ("", "nan", "n/a", "none")  # spellings of a missing value
_IMDB = re.compile(r"(?:tt)?0*([0-9]+)(?:\.0)?", re.IGNORECASE)
# field -> columns of the INSPIRED table, in lower case; the first one with a value counts
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


def read_source(name: str, path: Path) -> list[tuple[str, Movie]]:
    """Read the movies of source `name`: a processed folder, a `movies.dat`, a `.tsv`, or a folder that holds one.

    Returns (id there, movie); `movie_id` is 0 where the source's ids are not numbers.
    Raises `DataError` for an invalid name, for any other file, and for bad lines.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"source {name!r}: use lower-case letters, digits, '-' and '_', such as {MOVIELENS}")
    if path.is_dir():
        if any((path / file).is_file() for file in ("movie_metadata.csv", "movie_features.csv")):
            catalog = Catalog.load(path)
            return [(str(movie.movie_id), movie) for movie in map(catalog.movie, range(len(catalog)))]
        found = [path / file for file in (_DAT, _TSV) if (path / file).is_file()]
        path = found[0] if len(found) == 1 else path
    readers = {".dat": _dat_rows, ".tsv": _tsv_rows}
    if path.suffix not in readers or not path.is_file():
        what = "has no list of movies" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}: give source {name!r} as {name}=PATH, a processed folder, {_DAT} or {_TSV}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not valid UTF-8: convert the file") from None
    movies: dict[str, Movie] = {}
    for source_id, fields in readers[path.suffix](text, path):
        movies.setdefault(source_id, _movie(source_id, fields))
    if not movies:
        raise DataError(f"{path} lists no movies: give a complete file")
    return list(movies.items())


def movie_columns(lists: Mapping[str, Sequence[tuple[str, Movie]]]) -> dict[str, list[str]]:
    """Return movie_id, source, key, metadata, embedding_text and text_hash of all rows of the sources, in order.

    lists: source -> what `read_source` returned.  Cost linear in the rows.
    """
    lines = [(source, *line) for source, listed in lists.items() for line in listed]
    tmdb_of = {_imdb(movie): movie.tmdb_id for *_, movie in reversed(lines) if movie.tmdb_id}
    tmdb_of.pop("", None)
    keys: list[str] = []
    texts: dict[str, str] = {}
    for source, source_id, movie in lines:
        tmdb_id = movie.tmdb_id or tmdb_of.get(_imdb(movie), "")
        keys.append(f"tmdb:{tmdb_id}" if tmdb_id else f"{source}:{source_id}")
        texts[keys[-1]] = max(texts.get(keys[-1], ""), movie_text(movie), key=len)
    return {
        "movie_id": [source_id for _, source_id, _ in lines],
        "source": [source for source, *_ in lines],
        "key": keys,
        "metadata": [_metadata(movie) for *_, movie in lines],
        "embedding_text": [texts[key] for key in keys],
        "text_hash": [text_hash(texts[key]) for key in keys],
    }


def _dat_rows(text: str, path: Path) -> Iterable[tuple[str, Mapping[str, str]]]:
    """MovieTweetings: lines `IMDb id::title (year)::genres by |`; a title may contain `::`."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        source_id, *middle = line.rstrip("\r").split("::")
        genres = middle.pop() if len(middle) > 1 else ""
        if not source_id.strip().isdecimal() or not middle:
            raise DataError(f"{path} line {number}: expected `id::title::genres`, got {line[:40]!r}")
        yield source_id.strip(), {"title": "::".join(middle), "genres": genres, "imdb_id": source_id}


def _tsv_rows(text: str, path: Path) -> Iterable[tuple[str, Mapping[str, str]]]:
    """INSPIRED: a header with `title` and any of `_COLUMNS`. A movie without an id is known by its title and year."""
    header, *rows = ([_unquoted(cell.strip()) for cell in line.split("\t")] for line in text.split("\n"))
    header = [column.strip().lower() for column in header]
    if "title" not in header:
        raise DataError(f"{path} has no column title ({' '.join(header)[:60]!r}): give a .tsv of movies")
    for cells in rows:
        row = dict(zip(header, (" ".join(cell.split()) for cell in cells)))
        known = {column: cell for column, cell in row.items() if cell.lower() not in _EMPTY}
        fields = {
            field: next((known[name] for name in names if name in known), "") for field, names in _COLUMNS.items()
        }
        if fields["title"]:
            yield fields["movie_id"] or f"{fields['title']} {fields['year']}".strip(), fields


def _unquoted(cell: str) -> str:
    """Remove quotes around a whole cell; other quotes belong to the text."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', ""):
        return cell[1:-1].replace('""', '"')
    return cell


def _movie(source_id: str, fields: Mapping[str, str]) -> Movie:
    title, year, alternatives = parse_title(fields["title"])
    given = fields.get("year", "").removesuffix(".0")
    genres = fields.get("genres", "")
    return Movie(
        movie_id=int(source_id) if source_id.isdecimal() else 0,
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
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[|;,]", text) if part.strip())


def _imdb(movie: Movie) -> str:
    """Return the IMDb id as plain digits, "" if there is none."""
    match = _IMDB.fullmatch(movie.imdb_id.strip())
    return match.group(1) if match else ""


def _metadata(movie: Movie) -> str:
    """Return the known fields of a movie as a JSON object, without the ids that have columns."""
    fields = dataclasses.asdict(movie).items()
    known = {name: value for name, value in fields if value and name not in ("movie_id", "n_ratings")}
    return json.dumps(known, ensure_ascii=False)
