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

import csv
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.catalog import Catalog, Movie, parse_title
from ..data.errors import DataError
from ..data.raw.cells import is_nothing, joined_genres, link_id, unshared, whole_number, year_of
from ..data.raw.csv_table import file_rows
from ..data.raw.raw_files import RawFiles
from ..data.raw.sources import FORMATS, IMDB_DIGITS
from .base import movie_text, text_hash

_DAT, _TSV = "movies.dat", "movie_database.tsv"
# field -> columns of the INSPIRED table; the first one with a value counts
_COLUMNS = {
    "movie_id": ("video_id", "movie_id", "id", "imdb_id"),
    "title": ("title",),
    "year": ("year",),
    "genres": ("genres",),
    "overview": ("short_plot", "plot", "long_plot", "overview"),
    "cast": ("actors", "cast"),
    "director": ("director",),
    "keywords": ("keywords",),
    "original_language": ("language",),
    "imdb_id": ("imdb_id",),
    "tmdb_id": ("tmdb_id",),
}


def read_source(name: str, path: Path) -> list[tuple[str, Movie]]:
    """Read the movies of source `name`: a processed folder, a `movies.dat`, a `.tsv`, or a folder that holds one.

    Returns (id there, movie); `movie_id` is 0 where the source's ids are not numbers.
    Raises `DataError` for any other file, and for bad lines.
    """
    if path.is_dir():
        if any((path / file).is_file() for file in ("movie_metadata.csv", "movie_features.csv")):
            catalog = Catalog.load(path)
            return [(str(movie.movie_id), movie) for movie in map(catalog.movie, range(len(catalog)))]
        inside = [path / file for file in (_DAT, _TSV) if (path / file).is_file()]
        path = inside[0] if len(inside) == 1 else path
    readers = {".dat": _dat_rows, ".tsv": _tsv_rows}
    if path.suffix not in readers or not path.is_file():
        what = "has no list of movies" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}: give source {name!r} as {name}=PATH, a processed folder, {_DAT} or {_TSV}")
    found: dict[str, dict[str, str]] = {}
    for source_id, fields in readers[path.suffix](path):
        found.setdefault(source_id, fields)
    if not found:
        raise DataError(f"{path} lists no movies: give a complete file")
    rows = found.values()
    columns = {"genres": joined_genres([fields["genres"] for fields in rows])}
    for name, column in (("imdb_id", "imdbId"), ("tmdb_id", "tmdbId")):
        ids = [link_id(column, fields[name]) or "" for fields in rows]
        columns[name] = unshared(ids, [fields["title"] for fields in rows])
    for fields, *cells in zip(rows, *columns.values()):
        fields.update(zip(columns, cells))
    return [(source_id, _movie(source_id, fields)) for source_id, fields in found.items()]


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


def _dat_rows(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """MovieTweetings: lines `IMDb id::title (year)::genres by |`; a title may contain `::`."""
    for line, (source_id, title, genres) in FORMATS["dat"].read_movies(RawFiles(path), []):
        if not source_id.strip().isdecimal():
            raise DataError(f"{path} line {line}: expected `id::title::genres`, got the id {source_id[:40]!r}")
        imdb_id = source_id.strip() if len(source_id.strip()) >= IMDB_DIGITS else ""  # those of 1M are MovieLens' own
        fields = {"title": title, "genres": genres, "imdb_id": imdb_id}
        yield source_id.strip(), {**dict.fromkeys(_COLUMNS, ""), **fields}


def _tsv_rows(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """INSPIRED: a header with `title` and any of `_COLUMNS`. A movie without an id is known by its title and year."""
    names = tuple(dict.fromkeys(name for columns in _COLUMNS.values() for name in columns))
    for _, (_, *cells) in file_rows(path, ("title",), [], names, csv.QUOTE_NONE):
        row = {name: " ".join(_unquoted(cell).split()) for name, cell in zip(names, cells)}
        known = {name: cell for name, cell in row.items() if not is_nothing(cell)}
        fields = {field: next((known[name] for name in of if name in known), "") for field, of in _COLUMNS.items()}
        if fields["title"]:
            yield fields["movie_id"] or f"{fields['title']} {fields['year']}".strip(), fields


def _unquoted(cell: str) -> str:
    """Remove quotes around a whole cell; other quotes belong to the text."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', ""):
        return cell[1:-1].replace('""', '"')
    return cell


def _movie(source_id: str, fields: Mapping[str, str]) -> Movie:
    title, year, alternatives = parse_title(fields["title"])
    same = ("director", "overview", "original_language", "imdb_id", "tmdb_id")
    known: dict[str, Any] = {name: fields[name] for name in same}
    for name in ("genres", "cast", "keywords"):
        known[name] = tuple(filter(None, re.split(r"\s*[|;,]\s*", fields[name])))
    year = year_of(fields["year"]) or year
    return Movie(whole_number(source_id) or 0, title, year, alternatives=alternatives, **known)


def _imdb(movie: Movie) -> str:
    return link_id("imdbId", movie.imdb_id) or ""


def _metadata(movie: Movie) -> str:
    """Return the known fields of a movie as a JSON object, without the ids that have columns."""
    fields = dataclasses.asdict(movie).items()
    known = {name: value for name, value in fields if value and name not in ("movie_id", "n_ratings")}
    return json.dumps(known, ensure_ascii=False)
