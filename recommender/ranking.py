"""Ranking for one person: what is known of them, which movies may be shown, and how their scores are changed.

    score = z + (2 f - 1) p + bonus        over the `CANDIDATES` (or n) movies that the model puts first

z, p: the model's score and ln(1 + ratings), standardised over them.  f: familiarity; 1 puts first what everybody knows,
1/2 leaves the order as it is, 0 puts it last.  bonus: the mean weight of a movie's genres at this hour
(config/context.yaml). Without both the score is the model's.
"""

from __future__ import annotations

import dataclasses
import numbers
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from .data.catalog import Catalog, Movie
from .data.errors import ChoiceError, shown, whole
from .data.interactions import LIKED, NEUTRAL, Interactions
from .data.settings import default_folder, path_of, read_settings, setting
from .data.titles import TitleIndex
from .learn.base import CANDIDATES, Ranker
from .linalg.rows import top_n
from .session.group import Member
from .session.policy import MovieFilter
from .session.profiles import state_of
from .session.state import FAVORITE, NOT_SEEN, STARS, Event, Reason, SessionState, answer_for

LATEST = 2**32  # seconds; a larger value is in milliseconds
NAMED = 5.0  # stars of a movie that is named without any
DAY_PARTS = {"morning": range(6, 12), "afternoon": range(12, 17), "evening": range(17, 22)}  # hours; else "night"
NIGHT = "night"
PEOPLE = "the id of a user in the data, a profile as read_profile returns it, or a list of (movie, stars)"
N_NEAR = 3  # favorites that an explanation names
_SIGNS = re.compile(r"\W+")
CONTEXT = default_folder("config") / "context.yaml"


class Similar(NamedTuple):
    movie: Movie
    similarity: float  # in standard deviations over all movies
    by: str  # "people" if the ratings speak for it more than the "texts"


class Fit(NamedTuple):
    movie: Movie
    fit: float  # comparable only for the same description


class Ranked(NamedTuple):
    movie: Movie
    score: float  # not comparable between methods
    by: str = ""  # the method; of hybrid_quotas the part that gave it, of hybrid the one that adds most to its score


class Explanation(NamedTuple):
    """Why a movie is for somebody: the terms of `because` add up to `recommendation_score`."""

    movie: Movie
    recommendation_score: float
    explanation: str
    similar_to_your_favorites: list[tuple[Movie, float]]  # cosines, the largest first
    because: list[Reason]  # of each movie rated, the largest first


def rank(
    model: Ranker,
    history: Interactions,
    row: int,
    at: int,
    n: int,
    allowed: np.ndarray,
    fame: np.ndarray,
    familiarity: Optional[float] = None,
    bonus: Optional[np.ndarray] = None,
) -> list[tuple[int, float, str]]:
    """Return row, score and method of the n best movies for the user `row` of `history`, best first, ties by row.

    allowed: (n_movies,) bool, without the movies that the person has rated.  fame: (n_movies,) numbers of ratings.
    familiarity, bonus (n_movies,): see the head of this module.
    """
    given, by = model.score_list(history, [row], [at], n, allowed)
    scores, parts = np.where(allowed, given[0], -np.inf).astype(np.float32), list(model.parts)
    if familiarity is not None or bonus is not None:
        chosen = top_n(scores[None], max(n, CANDIDATES))[0]
        chosen = chosen[scores[chosen] > -np.inf]
        dial = 0.0 if familiarity is None else 2 * familiarity - 1
        points = standardised(scores[chosen]) + dial * standardised(np.log1p(fame[chosen]))
        scores[:] = -np.inf
        scores[chosen] = points if bonus is None else points + bonus[chosen]
    found = [movie for movie in top_n(scores[None], n)[0].tolist() if scores[movie] > -np.inf]
    return [(movie, float(scores[movie]), model.name if by is None else parts[by[0, movie]]) for movie in found]


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values (C,) at mean 0 and deviation 1, float64; 0 where all are equal."""
    values = values.astype(np.float64)
    deviation = values.std() if len(values) else 0.0
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros(len(values))


def allowed(catalog: Catalog, wanted: Optional[MovieFilter], exclude: Iterable[int] = ()) -> np.ndarray:
    """Return which movies may be shown, (n_movies,) bool; exclude: movie rows.  Raises `ChoiceError` for no filter."""
    mask = filter_of(wanted).mask(catalog)
    mask[list(exclude)] = False
    return mask


def filter_of(wanted: Optional[MovieFilter]) -> MovieFilter:
    """Return `wanted`, or a filter that all movies pass; raises `ChoiceError` for what is none."""
    if not isinstance(wanted, (MovieFilter, type(None))):
        raise ChoiceError(f"wanted {shown(wanted)}: give a MovieFilter")
    return wanted or MovieFilter()


def moment(at: Optional[int]) -> int:
    """Return seconds since 1970; None is now."""
    at = int(time.time()) if at is None else whole("at", at, least=0)
    if at >= LATEST:
        raise ChoiceError(f"at = {shown(at)}: give seconds since 1970")
    return at


def row_of(movie: Any, catalog: Catalog, open_titles: Callable[[], TitleIndex]) -> int:
    """Return the row of a movie, of a movie id, or of an unambiguous title."""
    if isinstance(movie, Movie):
        return catalog.row_of(movie.movie_id)
    if isinstance(movie, (int, numbers.Integral)) and not isinstance(movie, bool):  # int first: ten times sooner
        return catalog.row_of(int(movie))
    if not isinstance(movie, str):
        raise ChoiceError(f"{shown(movie)} is neither a movie id nor a title: give an int or a str")
    titles = open_titles()
    row, candidates = titles.resolve(movie)
    if row is not None:
        return row
    if not candidates:
        if reason := titles.too_new(movie):
            raise ChoiceError(f"{shown(movie)} {reason}")
        raise ChoiceError(f"no movie like {shown(movie)} in this catalogue: search with other words")
    found = [catalog.movie(match.row) for match in candidates[:5]]
    names = "; ".join(f"{one} [id {one.movie_id}]" for one in found)
    raise ChoiceError(f"{shown(movie)} could be {names}: give the id, or the title with its year")


def history_of(given: Any, row_of: Callable[[Any], int], movie_ids: np.ndarray, at: int) -> Interactions:
    """Return the ratings of somebody new, oldest first, as the one user of their own data.

    given: a list of (movie, stars), of movies (5 stars), or of (movie, stars, seconds since 1970); those without a time
    end at `at`, a second apart.  row_of: the row of a movie, id or title.
    """
    if not isinstance(given, (list, tuple)):
        raise ChoiceError(f"user {shown(given)}: give {PEOPLE}")
    entries: list[Any] = [rated(one) if isinstance(one, (tuple, list)) else (one, NAMED) for one in given]
    rows, stars, times = [], [], []
    for place, entry in enumerate(entries):
        rows.append(row_of(entry[0]))
        stars.append(float(entry[1]))
        times.append(moment(entry[2]) if len(entry) == 3 else max(0, at - len(entries) + 1 + place))
    if len(set(rows)) < len(rows):
        twice = next(entry[0] for entry, row in zip(entries, rows) if rows.count(row) > 1)
        raise ChoiceError(f"{shown(twice)} is rated twice: give each movie once")
    zeros = np.zeros(len(rows), dtype=np.int64)
    columns = np.array(rows, np.int32), np.array(stars, np.float32), np.array(times, np.int64)
    return Interactions.from_rows(np.zeros(1, dtype=np.int64), movie_ids, zeros, *columns)


def rated(entry: Sequence[Any]) -> Sequence[Any]:
    """Return `entry`; raises `ChoiceError` if it is not (movie, stars), or (movie, stars, seconds since 1970)."""
    if len(entry) not in (2, 3):
        raise ChoiceError(f"{shown(entry)}: give (movie, rating), or (movie, rating, seconds since 1970)")
    value = entry[1]
    is_number = isinstance(value, (float, numbers.Real)) and not isinstance(value, bool)
    if not is_number or not 0.5 <= value <= 5:  # NaN too
        raise ChoiceError(f"rating {shown(value)} of {shown(entry[0])}: give a number from 0.5 to 5")
    return entry


def ratings_of(profile: Mapping[str, Any], catalog: Catalog) -> tuple[list[Any], list[int]]:
    """Return the ratings of a profile (session/profiles.py) as `history_of` takes them, and the rows of what is seen.

    A rating counts before an answer, which counts `STARS`; movies that the catalogue lacks are left out. Of somebody
    who only watched, what was seen counts as liked.
    """
    try:
        stars = dict.fromkeys(profile["favorites"], (NAMED, ""))
        stars.update({i: (STARS[answer], "") for i, answer in profile["answers"] if answer in STARS})
        stars.update({i: (rating, date) for i, rating, date in profile.get("ratings", [])})
        seen = [i for i, answer in profile["answers"] if answer not in NOT_SEEN and i in catalog]
        stars = stars or dict.fromkeys(seen, (LIKED, ""))
        given = [(i, rating, date) for i, (rating, date) in stars.items() if i in catalog]
        days = [int(np.datetime64(date or "1970", "s").astype(np.int64)) for _, _, date in given]
    except (KeyError, TypeError, ValueError):
        raise ChoiceError(f"user {shown(profile)}: give {PEOPLE}") from None
    found = [(i, rating, day) if day > 0 else (i, rating) for (i, rating, _), day in zip(given, days)]
    return found, [catalog.row_of(movie_id) for movie_id in seen]


def members(people: Any, catalog: Catalog, row_of: Callable[[Any], int]) -> list[Member]:
    """Return the members of a group (session/group.py).

    people: name -> a profile, as `read_profile` returns it, or a list of movies or (movie, stars), see `answer_for`.
    """
    if not isinstance(people, Mapping):
        raise ChoiceError(f"people {shown(people)}: give a dict, name -> profile or list of favorites")
    found = []
    for name, given in people.items():
        wrong = ChoiceError(f"{shown(name)}: {shown(given)} is neither a profile nor a list of movies")
        if isinstance(given, Mapping):
            try:
                state = state_of(dict(given), catalog)
            except (KeyError, TypeError, ValueError):
                raise wrong from None
        elif isinstance(given, (list, tuple)) and given:
            pairs = [rated(one) if isinstance(one, (list, tuple)) else (one, None) for one in given]
            answers = {row_of(one): FAVORITE if stars is None else answer_for(stars) for one, stars, *_ in pairs}
            favorites = tuple(row for row, answer in answers.items() if answer == FAVORITE)
            events = tuple(Event(row, answer) for row, answer in answers.items() if answer != FAVORITE)
            state = SessionState(favorites, events)
        else:
            raise wrong
        found.append(Member(str(name), state))
    return found


def explain(catalog: Catalog, history: Interactions, vectors: np.ndarray, movie: int) -> Explanation:
    """Return why a movie, by row, is for the one user of `history`, whose own rating of it does not count.

        taste = sum of (rating - 3) v_i        similarity = taste . v / |taste| |v|, -1 to 1: a sum over the ratings

    vectors: (n_movies, k), v at length 1.
    """
    history = history.take(history.movie_rows != movie)
    V, rated = vectors[history.movie_rows], list(map(catalog.movie, history.movie_rows.tolist()))  # (n, k)
    weights, cosines = history.ratings - np.float32(NEUTRAL), V @ vectors[movie]
    length = float(np.linalg.norm(weights @ V))
    terms = weights * cosines / (length or 1.0)
    text = f"Matches your taste profile with {float(terms.sum()):.1%} similarity"
    because = [Reason("rating", one, float(term)) for one, term in zip(rated, terms)]
    because = sorted(because, key=lambda reason: -abs(reason.value))
    near = [i for i in np.argsort(-cosines, kind="stable").tolist() if history.ratings[i] >= LIKED and cosines[i] > 0]
    favorites = [(rated[i], float(cosines[i])) for i in near[:N_NEAR]]
    return Explanation(catalog.movie(movie), sum(reason.value for reason in because), text, favorites, because)


def genre_bonus(catalog: Catalog, context: Any, at: int) -> Optional[np.ndarray]:
    """Return what the hour of `at`, local time, adds to each movie's score, (n_movies,); see config/context.yaml.

    context: a path, True for the shipped file, False or None for nothing.  Raises `SettingsError`, naming file and
    line, for a key that is no part of the day and genre of the catalogue, and for a weight beyond -10 to 10.
    """
    path = CONTEXT if isinstance(context, bool) else path_of(context, "context")
    if context is False or path is None:
        return None
    hour = time.localtime(at).tm_hour
    now = next((part for part, hours in DAY_PARTS.items() if hour in hours), NIGHT)
    keys = {
        f"{part}_{_SIGNS.sub('_', genre.lower())}": (part, column)
        for part in (*DAY_PARTS, NIGHT)
        for column, genre in enumerate(catalog.genre_names)
    }
    weight = [(key, float, setting(0.0, "weight of a genre at a part of the day", -10, 10)) for key in keys]
    chosen: Any = read_settings(dataclasses.make_dataclass("ContextSettings", weight, frozen=True), path)
    weights = [getattr(chosen, key) for key, (part, _) in keys.items() if part == now]
    return catalog.genres @ np.array(weights) / np.maximum(catalog.genres.sum(axis=1), 1)
