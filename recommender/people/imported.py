"""A profile of what was imported: answers as a session understands them, and the ratings themselves.

    rating >= 4: like, < 3: dislike, between: not interested (session/state.py);  a heart: like, unless disliked
    seen without a rating: seen;  on a watchlist: later

A profile without favorites gets the ten best of the likes, later ones first where the ratings are equal: on held-out
people that ranks better than none and not below four, twenty or all (tests/benchmarks/import_history.py). Movies keep
their ratings and dates in `ratings`; films that the catalogue lacks are in `missed`, for a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..data.catalog import Catalog
from ..data.errors import ArtifactError, shown
from ..data.interactions import LIKED, NEUTRAL
from ..session.state import FAVORITE, LATER, LIKE, SEEN, answer_for
from .exports import WATCHLIST, Entry
from .matching import APPLIED, GUESS, MISSED, Film

N_FAVORITES = 10
# the types of an entry's fields
_TYPES: tuple[Any, ...] = (tuple, int, str, (float, type(None)), str, str, str, (int, type(None)), bool)
EMPTY: dict[str, Any] = {"format_version": 3, "seed": 0, "favorites": [], "answers": [], "words": []}


def answer_of(film: Film) -> str:
    """Return what a film's rating, heart or list means in a session."""
    rating = film.entry.rating
    if film.liked and (rating is None or rating >= NEUTRAL):
        return LIKE
    if rating is not None:
        return answer_for(rating)
    return LATER if film.entry.kind == WATCHLIST else SEEN


def with_films(profile: Mapping[str, Any], films: Iterable[Film], catalog: Catalog) -> dict[str, Any]:
    """Return `profile`, as `read_profile` returns it, or `EMPTY`, with the matched `films`; the others are missed.

    A new rating replaces what was said of a movie before; an older one, or a film without a rating, adds only what is
    new, and seen replaces later.
    """
    answers = {**dict.fromkeys(profile["favorites"], FAVORITE), **dict(map(tuple, profile["answers"]))}
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
            if entry.rating != before[0] and (known, answer) != (FAVORITE, LIKE):
                known = None
        if known is None or (known == LATER and answer != LATER):
            answers[movie_id] = answer
    favorites = [movie_id for movie_id, answer in answers.items() if answer == FAVORITE]
    if not favorites and not profile["words"]:
        liked = [movie_id for movie_id, answer in answers.items() if answer == LIKE]
        liked.sort(key=lambda movie_id: ratings.get(movie_id, (LIKED, "")), reverse=True)
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
