"""Which movie of a catalogue each film of an export is, and the profile that comes of it.

In this order: the id of IMDb, TMDB or MovieLens; the name, spelled as `title_text` does, or an alternative one, and the
year; the name one year off, if one movie is that and no other film of the export is this movie. Anything else is at
most a guess, which is listed and not applied: several movies of this name and year, the name a few years off, without
a year or with another article, an id that contradicts, a similar title of the year. What people correct in the list of
guesses comes first.

A profile of what was imported has answers as a session understands them, and the ratings themselves:

    rating >= 4: like, < 3: dislike, between: not interested (session/state.py);  a heart: like, unless disliked
    seen without a rating: seen;  on a watchlist: later

A profile without favorites gets the ten best of the likes, later ones first where the ratings are equal: on held-out
people that ranks better than none and not below four, twenty or all. Movies keep their ratings and dates in `ratings`;
films that the catalogue lacks are in `missed`, for a later one.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Optional

from ..data import interactions
from ..data.catalog import Catalog, parse_title
from ..data.errors import ArtifactError, shown
from ..data.raw.cells import link_id
from ..data.title_text import compact_lines, fold, fold_lines, without_article
from ..data.titles import TitleIndex
from ..session import state
from .exports import LIKED, SEEN, WATCHLIST, Entry

APPLIED = ("corrected", "id", "name and year", "a year off", "name alone")
CORRECTED, BY_ID, BY_YEAR, NEAR_YEAR, BY_NAME = APPLIED
GUESS, MISSED, TV = "guess", "missed", "TV"
MOST_AWAY = 3  # years between a film and a guess of the same name
LEAST_SIMILAR = 0.8  # score of a guess by a similar title
N_FAVORITES = 10
# the types of an entry's fields
_TYPES: tuple[Any, ...] = (tuple, int, str, (float, type(None)), str, str, str, (int, type(None)), bool)
EMPTY: dict[str, Any] = {"format_version": 3, "seed": 0, "favorites": [], "answers": [], "words": []}


class Film(NamedTuple):
    """What an export says of one film.

    entry: the latest of its lines with a rating, or else the latest; its kind is "seen" unless all say "watchlist".
    row: in the catalogue, None if missed.  how: one of `APPLIED`, or "guess", "missed", "TV".  liked: by a heart.
    """

    entry: Entry
    row: Optional[int]
    how: str
    liked: bool = False


class Matcher:
    """Finds the movies of a catalogue."""

    def __init__(
        self, catalog: Catalog, corrections: Optional[Mapping[tuple[str, int], int]] = None, by_name: bool = False
    ) -> None:
        """corrections: movie ids by `key_of`, 0 for a film that is none of them.  by_name: also take the one movie of a
        name where there is no year."""
        self.catalog, self.corrections, self.by_name = catalog, corrections or {}, by_name
        self._ids: dict[str, list[str]] = {}
        self._row_of: dict[str, dict[str, Optional[int]]] = {"imdbId": {}, "tmdbId": {}}
        for column, rows in self._row_of.items():
            self._ids[column] = [link_id(column, cell) or "" for cell in catalog.column(column)]
            for row, id_ in enumerate(self._ids[column]):
                rows[id_] = None if id_ in rows else row  # an id of two movies says nothing
            rows[""] = None
        names = [(row, name) for row, raw in enumerate(catalog.raw_titles) for name in _names(raw)]
        self._called: list[dict[str, set[int]]] = []  # rows by name, and by name without its article
        for keys in _keys([name for _, name in names]):
            called = defaultdict[str, set[int]](set)
            for (row, _), key in zip(names, keys):
                called[key].add(row)
            called.pop("", None)
            self._called.append(called)
        self._titles = functools.lru_cache(maxsize=1)(lambda: TitleIndex(catalog))

    def films(self, entries: Iterable[Entry]) -> list[Film]:
        """Return a film for each movie and for each that is none, in order of their entries, then every TV entry."""
        lines: dict[Entry, list[Entry]] = {}
        for entry in entries:
            lines.setdefault(entry._replace(kind="", rating=None, date=""), []).append(entry)
        matches = {film: self.match(film) for film in lines}
        sure = {row for row, how in matches.values() if how in (CORRECTED, BY_ID, BY_YEAR)}
        found: dict[object, tuple[Optional[int], str, list[Entry]]] = {}
        for film, (row, how) in matches.items():
            how = GUESS if how == NEAR_YEAR and row in sure else how
            key = row if how in APPLIED else (film.names, film.year, how)
            found.setdefault(key, (row, how, []))[2].extend(lines[film])
        tv = [Film(entry, None, TV) for row, how, entries in found.values() if how == TV for entry in entries]
        return [_film(*one) for one in found.values() if one[1] != TV] + tv

    def match(self, film: Entry) -> tuple[Optional[int], str]:
        """Return the row, or None, and how it was found: one of `APPLIED`, "guess", "missed" or "TV"."""
        corrected = self.corrections.get(key_of("".join(film.names[:1]), film.year))
        if corrected is not None:
            return (self.catalog.row_of(corrected), CORRECTED) if corrected else (None, MISSED)
        for column, id_ in (("imdbId", film.imdb), ("tmdbId", film.tmdb)):
            if (row := self._row_of[column].get(id_)) is not None:
                return row, BY_ID
        if film.movie_id in self.catalog:
            return self.catalog.row_of(film.movie_id or 0), BY_ID
        keys = _keys([name for given in film.names for name in _names(given)])
        full, bare = (
            {row for key in of_kind for row in called.get(key, ())} for called, of_kind in zip(self._called, keys)
        )
        away = {row: abs(int(self.catalog.years[row]) - film.year) for row in full | bare}
        nearest = [row for row in full if away[row] == min(away[other] for other in full)]
        if film.year and len(nearest) == 1 and away[nearest[0]] <= 1 and not self._contradicts(film, nearest[0]):
            return nearest[0], NEAR_YEAR if away[nearest[0]] else BY_YEAR
        if self.by_name and not film.year and len(full) == 1:
            return nearest[0], BY_NAME
        guess = self._guess(film, (nearest if film.year else full) or bare, away)
        return guess, GUESS if guess is not None else TV if film.tv else MISSED

    def _guess(self, film: Entry, rows: Collection[int], away: Mapping[int, int]) -> Optional[int]:
        """Return the most rated of `rows` that is not years away, or else the most similar title of the year."""
        counts, years = self.catalog.n_ratings, self.catalog.years
        if near := [row for row in rows if not film.year or away[row] <= MOST_AWAY]:
            return max(near, key=lambda row: (int(counts[row]), -row))
        found = self._titles().search(str(film)) if film.year and film.names else ()
        similar = (one.row for one in found if one.score >= LEAST_SIMILAR and abs(int(years[one.row]) - film.year) <= 1)
        return next(similar, None)

    def _contradicts(self, film: Entry, row: int) -> bool:
        """Return whether the film has another id than the movie."""
        pairs = ((film.imdb, self._ids["imdbId"][row]), (film.tmdb, self._ids["tmdbId"][row]))
        return any(all(pair) and pair[0] != pair[1] for pair in pairs)


def _names(raw: str) -> list[str]:
    parsed = parse_title(raw)
    return [parsed.title, *parsed.alternatives]


def _keys(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the spellings of names that are compared: as they are, and without their articles."""
    folded = fold_lines(names)
    return compact_lines(folded), compact_lines([without_article(name) for name in folded])


def _film(row: Optional[int], how: str, lines: list[Entry]) -> Film:
    latest = max(enumerate(lines), key=lambda one: (one[1].rating is not None, one[1].date, one[0]))[1]
    kinds = {line.kind for line in lines}
    kind = WATCHLIST if kinds == {WATCHLIST} else SEEN
    return Film(latest._replace(kind=kind), row, how, LIKED in kinds)


def key_of(name: str, year: int) -> tuple[str, int]:
    """Return what a correction is found by."""
    return fold(name), year


def answer_of(film: Film) -> str:
    """Return what a film's rating, heart or list means in a session."""
    rating = film.entry.rating
    if film.liked and (rating is None or rating >= interactions.NEUTRAL):
        return state.LIKE
    if rating is not None:
        return state.answer_for(rating)
    return state.LATER if film.entry.kind == WATCHLIST else state.SEEN


def with_films(profile: Mapping[str, Any], films: Iterable[Film], catalog: Catalog) -> dict[str, Any]:
    """Return `profile`, as `read_profile` returns it, or `EMPTY`, with the matched `films`; the others are missed.

    A new rating replaces what was said of a movie before; an older one, or a film without a rating, adds only what is
    new, and seen replaces later.
    """
    answers = {**dict.fromkeys(profile["favorites"], state.FAVORITE), **dict(map(tuple, profile["answers"]))}
    ratings = {movie_id: (rating, date) for movie_id, rating, date in profile.get("ratings", [])}
    missed = []
    for film in sorted(films, key=lambda film: film.entry.date):
        if film.row is None or film.how not in APPLIED:
            missed += [_stored(film)] if film.how in (GUESS, MISSED) else []
            continue
        movie_id, entry, answer = int(catalog.movie_ids[film.row]), film.entry, answer_of(film)
        known, before = answers.get(movie_id), ratings.get(movie_id, (None, ""))
        if entry.rating is not None and entry.date >= before[1]:
            ratings[movie_id] = (entry.rating, entry.date)
            if entry.rating != before[0] and (known, answer) != (state.FAVORITE, state.LIKE):
                known = None
        if known in (None, state.LATER):
            answers[movie_id] = answer
    favorites = [movie_id for movie_id, answer in answers.items() if answer == state.FAVORITE]
    if not favorites and not profile["words"]:
        liked = [movie_id for movie_id, answer in answers.items() if answer == state.LIKE]
        liked.sort(key=lambda movie_id: ratings.get(movie_id, (interactions.LIKED, "")), reverse=True)
        favorites = liked[:N_FAVORITES]
    said = [[movie_id, answer] for movie_id, answer in answers.items() if movie_id not in favorites]
    listed = [[movie_id, *given] for movie_id, given in ratings.items()]
    return {**profile, "favorites": favorites, "answers": said, "ratings": listed, "missed": missed}


def missed_entries(profile: Mapping[str, Any]) -> list[Entry]:
    """Return the films of `profile` that its catalogue lacked; raises `ArtifactError` if they are no films."""
    try:
        given = profile.get("missed", [])
        films = [Entry(**{**film, "names": tuple(map(str, film.get("names", ())))}) for film in given]
        if not all(isinstance(value, kind) for film in films for value, kind in zip(film, _TYPES)):
            raise TypeError
        return films
    except TypeError:
        raise ArtifactError(f"missed of the profile is damaged ({shown(profile['missed'])}): import again") from None


def _stored(film: Film) -> dict[str, Any]:
    """Return a missed film without what is unknown."""
    kind = "liked" if film.liked else film.entry.kind
    return {key: value for key, value in film.entry._replace(kind=kind)._asdict().items() if value or key == "kind"}
