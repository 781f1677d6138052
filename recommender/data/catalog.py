"""The movies: ids, titles, years, genres, descriptions, and how often each was rated.

Row i everywhere in tastevec is `Catalog.movie_ids[i]`; the ids ascend. Titles are parsed only when a movie
is requested, so opening a large catalogue costs little more than reading it.
"""

from __future__ import annotations

import copy
import csv
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from .artifacts import check_files, command, has_manifest, read_manifest
from .errors import ArtifactError, ChoiceError, one_line, shown
from .files import load_json
from .splits import KIND, REMEDY

METADATA_COLUMNS = (
    "movieId", "title", "year", "genres", "director", "cast", "keywords", "overview", "original_language", "tmdbId",
    "imdbId", "overview_source", "tone",
)  # fmt: skip
_FILES = ("movie_metadata.csv", "movie_features.csv", "movie_popularity.json")
NO_GENRES = "(no genres listed)"
# Words for movies in a language; "english" is omitted: it is more informative in a plot.
SPOKEN = {
    "ar": "Arabic", "cn": "Chinese, Cantonese", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "es": "Spanish", "fa": "Persian, Iranian", "fi": "Finnish", "fr": "French", "he": "Hebrew, Israeli",
    "hi": "Hindi, Indian", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sr": "Serbian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "zh": "Chinese",
}  # fmt: skip

_YEAR = re.compile(r"\s*\((\d{4})\s*(?:[-–—]\s*(?:\d{4})?\s*)?\)$")
_BRACKET = re.compile(r"\s+\(([^()]*(?:\([^()]*\)[^()]*)*)\)$")
_BETWEEN = re.compile(r"[|;]")
_GOES_ON = re.compile(r"(?::|\bor:?)$", re.IGNORECASE)  # the brackets that follow belong to the title
_AKA = re.compile(r"^(?:a\.?k\.?a\.?|also known as)\s*:?\s*", re.IGNORECASE)
_ARTICLES = (
    "the|a|an|le|la|les|l'|un|une|des|el|los|las|una|il|lo|gli|i|uno|der|die|das|ein|eine|"
    "o|os|as|um|uma|den|det|en|et|de|het"
)
_BEHIND = re.compile(rf"^(.*),\s*({_ARTICLES})$", re.IGNORECASE)


class ParsedTitle(NamedTuple):
    """A title in natural order, its year (0 = unknown), and its alternative titles."""

    title: str
    year: int
    alternatives: tuple[str, ...]


def parse_title(raw: str) -> ParsedTitle:
    """Parse a MovieLens title.

    >>> parse_title("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    ParsedTitle(title='The City of Lost Children', year=1995, alternatives=('La Cité des enfants perdus',))
    >>> parse_title("Seven (a.k.a. Se7en) (1995)")
    ParsedTitle(title='Seven', year=1995, alternatives=('Se7en',))
    """
    text, year = raw.strip(), 0
    if text.endswith(")") and len(text) > 6:
        if text[-6:-5] == "(" and (digits := text[-5:-1]).isdecimal():  # fast path for nearly all titles
            year, text = int(digits), text[:-6].rstrip()
        elif match := _YEAR.search(text):
            year, text = int(match.group(1)), text[: match.start()]
    if not text.endswith(")"):
        return ParsedTitle(article_in_front(text) if "," in text else text, year, ())
    names: list[str] = []
    while text.endswith(")") and (match := _BRACKET.search(text)) and match.start() > 0:
        if _GOES_ON.search(text[: match.start()]):
            break
        names.insert(0, article_in_front(_AKA.sub("", match.group(1).strip())))
        text = text[: match.start()]
    return ParsedTitle(article_in_front(text), year, tuple(filter(None, names)))


def article_in_front(name: str) -> str:
    """Move a trailing article to the front: `Matrix, The` becomes `The Matrix`."""
    match = _BEHIND.match(name)
    if not match:
        return name
    rest, article = match.groups()
    return f"{article}{rest}" if article.endswith("'") else f"{article} {rest}"


@dataclass(frozen=True)
class Movie:
    """One movie; 0 or "" means unknown.

    overview_source: the language model that wrote the overview, "" if a person wrote it.
    """

    movie_id: int
    title: str
    year: int
    genres: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    director: str = ""
    cast: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    overview: str = ""
    original_language: str = ""
    tmdb_id: str = ""
    imdb_id: str = ""
    overview_source: str = ""
    tone: tuple[str, ...] = ()
    n_ratings: int = 0
    mean_rating: float = 0.0

    def __str__(self) -> str:
        return f"{self.title} ({self.year})" if self.year else self.title


class Catalog:
    """The movies of one data set, one row each, ordered by movie id.

    movie_ids: (n_movies,) int64 ascending.  years: (n_movies,) int16, 0 = unknown.
    genre_names: sorted; genres: (n_movies, n_genres) bool.  n_ratings: (n_movies,) int64; `load` counts those in train.
    mean_ratings: (n_movies,) float32 of the same ratings; zeros where nothing is known.
    raw_titles: as in the file; `movie(row)` returns the readable form.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], n_ratings: Optional[Mapping[int, int]] = None) -> None:
        """Build from rows with at least `movieId`, `title` and `genres`, which become printable lines.

        n_ratings: movie id -> count.
        """
        try:
            ids = np.array([int(row.get("movieId", "")) for row in rows], dtype=np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            what = str(error).partition("; use ")[0]  # Python's advice for long numbers
            raise ArtifactError(f"invalid movieId in the movie list ({what}): run {REMEDY} again") from None
        order = np.argsort(ids, kind="stable")
        self.movie_ids = ids[order]
        if len(twice := self.movie_ids[1:][np.diff(self.movie_ids) == 0]):
            raise ArtifactError(f"movieId {twice[0]} is listed twice: remove one of the lines")
        rows = [rows[i] for i in order]
        self._read: Callable[[], list[Any]] = functools.partial(list, rows)  # returns the rows with all their cells
        self.raw_titles = [one_line(row["title"]) for row in rows]
        self.years = np.array([_year(row.get("year"), title) for row, title in zip(rows, self.raw_titles)], np.int16)
        split = [_split(one_line(row.get("genres") or "")) for row in rows]
        self.genre_names = tuple(sorted({name for names in split for name in names}))
        flags = {names: [name in names for name in self.genre_names] for names in set(split)}
        self.genres = np.array([flags[names] for names in split], dtype=bool)
        self.genres = self.genres.reshape(len(ids), len(self.genre_names))
        self.n_ratings = np.array([(n_ratings or {}).get(i, 0) for i in self.movie_ids.tolist()], dtype=np.int64)
        self.mean_ratings = np.zeros(len(ids), dtype=np.float32)

    @classmethod
    def load(cls, folder: Path) -> Catalog:
        """Read `movie_metadata.csv` (or, without it, `movie_features.csv`) and `movie_popularity.json`.

        Both are checked against the manifest if there is one; raises `ArtifactError` for damaged files. If that lists
        both movie lists, the long one is read when a movie is shown.
        """
        metadata, features, popularity = (folder / name for name in _FILES)
        again, listed = command(REMEDY, folder), list[str]()
        if has_manifest(folder):
            manifest = read_manifest(folder, KIND, REMEDY)
            listed = [name for name in _FILES if name in manifest["files"]]
            check_files(folder, manifest, listed, REMEDY)
        later = set(_FILES[:2]) <= set(listed)
        rows = _read_rows(features if later or not metadata.is_file() else metadata, again)
        catalog = cls(rows, load_json(popularity, f"run {again}", read_counts) if popularity.is_file() else {})
        if later:
            catalog._read = functools.partial(_read_rows, metadata, again)
        return catalog

    def with_counts(self, n_ratings: np.ndarray, mean_ratings: Optional[np.ndarray] = None) -> Catalog:
        """Return the same movies with counts and means (n_movies,) of other ratings, those a model was fitted on."""
        other = copy.copy(self)
        other.n_ratings = n_ratings
        other.mean_ratings = np.zeros(len(self), dtype=np.float32) if mean_ratings is None else mean_ratings
        return other

    def decade_rank(self, row: int) -> int:
        """Return the movie's place among those of its decade by number of ratings, 1 = most; cost O(n_movies)."""
        decade = self.years // 10 == self.years[row] // 10
        return int((self.n_ratings[decade] > self.n_ratings[row]).sum()) + 1

    def __len__(self) -> int:
        return len(self.movie_ids)

    def __contains__(self, movie_id: object) -> bool:
        return movie_id in self._row_of

    @functools.cached_property
    def _row_of(self) -> dict[int, int]:
        return {movie_id: row for row, movie_id in enumerate(self.movie_ids.tolist())}

    def row_of(self, movie_id: int) -> int:
        """Return the row of an external movie id; raises `ChoiceError` if there is none."""
        try:
            return self._row_of[int(movie_id)]
        except (KeyError, ValueError, TypeError, OverflowError):
            raise ChoiceError(f"no movie with id {shown(movie_id)}: search by title for its id") from None

    def keywords(self) -> Iterator[tuple[int, str]]:
        """Yield (movie id, keyword) for every keyword of every movie."""
        for movie_id, words in zip(self.movie_ids.tolist(), self.column("keywords")):
            yield from ((movie_id, word) for word in _split(words))

    def lines(self) -> list[str]:
        """Return the metadata of each movie as one line of text, by row, for word search."""
        names = ("title", "year", "genres", "director", "cast", "keywords", "overview")
        spoken = [SPOKEN.get(code, "") for code in self.languages.tolist()]
        return list(map(" | ".join, zip(*map(self.column, names), spoken)))

    def column(self, name: str) -> list[str]:
        """Return a column of the movie list as printable lines, by row; "" for an empty cell."""
        return [one_line(row.get(name) or "") for row in self._rows]

    @functools.cached_property
    def languages(self) -> np.ndarray:
        """The original language of each movie, (n_movies,) of str, "" = unknown."""
        return np.array(self.column("original_language"), dtype=str)

    @functools.cached_property
    def tones(self) -> dict[str, np.ndarray]:
        """For each tone word, 1 / its place among the tones of each movie, 0 without it: (n_movies,) float32."""
        tones: dict[str, np.ndarray] = {}
        for row, said in enumerate(self.column("tone")):
            for place, word in enumerate(_split(said), 1):
                tones.setdefault(word, np.zeros(len(self), dtype=np.float32))[row] = 1 / place
        return tones

    @functools.cached_property
    def _rows(self) -> list[Mapping[str, str]]:
        return sorted(self._read(), key=lambda row: int(row["movieId"]))

    def movie(self, row: int) -> Movie:
        """Return the movie in `row`."""
        texts = {name: one_line(text) for name, text in self._rows[row].items() if isinstance(text, str)}
        title, _, alternatives = parse_title(self.raw_titles[row])
        known: dict[str, Any] = {name: _split(texts.get(name, "")) for name in ("genres", "cast", "keywords", "tone")}
        same = ("director", "overview", "original_language", "overview_source")
        known.update({name: texts.get(name, "") for name in same}, alternatives=alternatives)
        known.update(tmdb_id=texts.get("tmdbId", ""), imdb_id=texts.get("imdbId", ""))
        known.update(n_ratings=int(self.n_ratings[row]), mean_rating=float(self.mean_ratings[row]))
        return Movie(int(self.movie_ids[row]), title, int(self.years[row]), **known)


def _read_rows(path: Path, again: str) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = [*filter(None, csv.reader(file))] or [[]]  # a third of the time of a DictReader
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"no movie list at {path}: run {again}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path} is damaged ({error}): run {again}") from None
    rows, needed = [dict(zip(header, cells)) for cells in lines], {"movieId", "title", "genres"}
    if not rows or not all(needed <= row.keys() for row in rows) or max(map(len, lines)) > len(header):
        raise ArtifactError(f"{path} is damaged (a row without movieId, title or genres, or none): run {again}")
    return rows


def read_counts(counts: Mapping[str, int]) -> dict[int, int]:
    """Return the content of `movie_popularity.json`; raises `ValueError` if it is no map from movie id to count."""
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise ValueError("no map from movie id to count")
    return {int(movie_id): count for movie_id, count in counts.items()}


def _year(year: object, title: str) -> int:
    given = str(year or "").strip()
    return int(given) if given.isdecimal() and len(given) <= 4 else parse_title(title).year


@functools.lru_cache(maxsize=4096)  # most movies share their genres with others
def _split(text: str) -> tuple[str, ...]:
    """Split a list inside a CSV cell: genres are joined by `|`, cast and keywords by `|` or `;`."""
    if text == NO_GENRES:
        return ()
    return tuple(part.strip() for part in _BETWEEN.split(text) if part.strip())
