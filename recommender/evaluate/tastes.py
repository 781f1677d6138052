"""What people see: suggestions for tastes of their own, answers to everyday requests, and series among similar movies.

A taste is some favorites, and rules on the metadata for what fits. Beside the number that fit stands how many of the
movies are among the most rated, which fit nobody in particular.

    name:
      favorites: [movie ids]
      fits:                         a movie fits if one of these holds in full; keys may be left out:
        - genres: any of them; all: every one; without: none; years: first, last; languages, directors, cast: any
          keywords: any, as words of a keyword; ids: any

A request is some words, the ids of the right movies, and a rule whose keys each say what would be absurd, because it
contradicts what was stated: any of `genres` and `ids`, none of `without`, and outside of `years`, `languages`,
`directors` and `cast`.

    - {request: words, part: tune or report, right: [movie ids], never: rule}
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.catalog import Catalog, Movie
from ..data.errors import DataError, one_line, shown
from ..session.engine import SessionEngine

PARTS = ("tune", "report")
N_SHOWN, N_MOST_RATED, N_FOUND = 10, 20, 5
_PART = re.compile(r"[:(,]| - |\s(?:[0-9]+|[IVX]+|Part|Vol\.|Episode)\b.*")  # what follows belongs to one part


Keys = dict[str, tuple[Any, Any]]  # key -> the type of its value, and of what that holds
_NAMES, _IDS = (list, str), (list, int)
_RULE: Keys = dict.fromkeys(("genres", "all", "without", "languages", "directors", "cast", "keywords"), _NAMES)
_RULE |= {"ids": _IDS, "years": _IDS}
_TASTE: Keys = {"favorites": _IDS, "fits": (list, dict)}
_REQUEST: Keys = {"request": (str, str), "part": (str, str), "right": _IDS, "never": (dict, str)}


class Page(NamedTuple):
    """movies: the first suggestions.  fit: how many fit the taste.  most_rated: how many are among the most rated."""

    movies: list[Movie]
    fit: int
    most_rated: int


def read_tastes(path: Path) -> dict[str, dict[str, Any]]:
    """Read a YAML file of tastes; raises `DataError` where it is missing or written otherwise."""
    tastes = _read_yaml(path)
    if not isinstance(tastes, dict) or not tastes:
        raise DataError(f"{path} holds {shown(tastes)}: give tastes by name")
    for name, taste in tastes.items():
        _check(f"{path}: {name}", taste, _TASTE)
    return tastes


def read_requests(path: Path, part: str) -> list[dict[str, Any]]:
    """Read the requests of `part` in a YAML file; raises `DataError` where it is missing or written otherwise."""
    requests = _read_yaml(path)
    if not isinstance(requests, list):
        raise DataError(f"{path} holds {shown(requests)}: give a list of requests")
    for number, entry in enumerate(requests, 1):
        _check(f"{path}: entry {number}", entry, _REQUEST)
    of_part = [entry for entry in requests if entry["part"] == part]
    if not of_part:
        raise DataError(f"{path} has no request of part {part}: give another file or part")
    return of_part


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({one_line(str(error))}): give a YAML file, as in its --help") from None


def _check(where: str, value: Any, keys: Keys) -> None:
    """Raise `DataError` unless `value` has all of `keys`, or some of those of a rule, each with the right value."""
    if not isinstance(value, dict) or not value or (value.keys() - keys if keys is _RULE else value.keys() ^ keys):
        found = shown(list(value) if isinstance(value, dict) else value)
        raise DataError(f"{where} has {found}: give {', '.join(sorted(keys))}, and nothing else")
    for key, part in value.items():
        outer, inner = keys[key]
        is_right = isinstance(part, outer) and bool(part) and all(type(x) is inner for x in part)
        if not is_right or (key == "years" and len(part) != 2):
            raise DataError(f"{where}, {key} = {shown(part)}: give a {outer.__name__} of {inner.__name__}")
        for rule in part if key == "fits" else [part] if key == "never" else ():
            _check(f"{where}, {key}", rule, _RULE)


def holds(movie: Movie, rule: Mapping[str, Any]) -> bool:
    """Return whether every key of `rule` holds for `movie`."""
    genres, (first, last) = set(movie.genres), rule.get("years", (0, 9999))
    words = [f" {keyword} " for keyword in movie.keywords]
    return (
        (not rule.get("genres") or not genres.isdisjoint(rule["genres"]))
        and genres.issuperset(rule.get("all", ()))
        and genres.isdisjoint(rule.get("without", ()))
        and first <= movie.year <= last
        and movie.original_language in rule.get("languages", [movie.original_language])
        and any(name in movie.director for name in rule.get("directors", [""]))
        and (not rule.get("cast") or not set(movie.cast).isdisjoint(rule["cast"]))
        and movie.movie_id in rule.get("ids", [movie.movie_id])
        and (not rule.get("keywords") or any(f" {name} " in word for name in rule["keywords"] for word in words))
    )


def pages(engine: SessionEngine, tastes: Mapping[str, Mapping[str, Any]]) -> dict[str, Page]:
    """Return the first `N_SHOWN` suggestions for each taste.  Raises `ChoiceError` for an unknown movie id."""
    catalog = engine.catalog
    most_rated = set(np.argsort(-catalog.n_ratings, kind="stable")[:N_MOST_RATED].tolist())
    found = {}
    for name, taste in tastes.items():
        rows = engine.best(engine.start([catalog.row_of(movie_id) for movie_id in taste["favorites"]]), N_SHOWN)
        movies = [catalog.movie(row) for row in rows]
        fit = sum(any(holds(movie, rule) for rule in taste["fits"]) for movie in movies)
        found[name] = Page(movies, fit, len(most_rated.intersection(rows)))
    return found


class Answer(NamedTuple):
    """movies: the first found for a request.  right, absurd: whether each is, in the same order."""

    movies: list[Movie]
    right: list[bool]
    absurd: list[bool]


def answers(search: Callable[[str, int], list[Movie]], requests: list[dict[str, Any]]) -> dict[str, Answer]:
    """Return what `search(words, N_FOUND)` finds for each request, by its words."""
    found = {}
    for request in requests:
        movies, ids = search(request["request"], N_FOUND), set(request["right"])
        absurd = [any(_contradicts(movie, key, value) for key, value in request["never"].items()) for movie in movies]
        found[request["request"]] = Answer(movies, [movie.movie_id in ids for movie in movies], absurd)
    return found


def _contradicts(movie: Movie, key: str, value: Any) -> bool:
    return holds(movie, {key: value}) == (key in ("genres", "without", "ids"))


def series(catalog: Catalog) -> list[list[int]]:
    """Return the rows of the movies whose titles share their stem, such as Rocky, Rocky II and Rocky III."""
    stems = defaultdict(list)
    for row in range(len(catalog)):
        stem = _PART.split(catalog.movie(row).title, maxsplit=1)[0].strip().casefold()
        stems[stem].append(row)
    return [rows for rows in stems.values() if len(rows) > 1]


def series_found(similar: Callable[[int, int], list[int]], catalog: Catalog) -> float:
    """Return the share of the other parts of a series that are among the first ten of `similar(row, n)`."""
    found, total = 0, 0
    for rows in series(catalog):
        for row in rows:
            others = set(rows) - {row}
            found += len(others.intersection(similar(row, N_SHOWN)))
            total += min(N_SHOWN, len(others))
    return found / max(1, total)
