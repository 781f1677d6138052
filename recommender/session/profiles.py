"""Session profiles: favorites, answers, words and choices in a JSON file, saved only on request; lists for Letterboxd.

Movies are stored by external id and words as text, so a profile remains valid for a rebuilt catalogue or model: movies
that a catalogue lacks, and keys of later versions, are written back as they were. Choices are what the person set:
filter, familiarity, learning rule, backend. Formats 1, without words, and 2, without choices, can still be read.
What was imported (people/matching.py) adds `ratings`, as the person gave them, and `missed`.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from ..data.artifacts import need_file
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError, shown
from ..data.files import dump_json, load_json, replace_file
from ..text import registry
from .policy import LEARNING_RULES, MovieFilter
from .state import ANSWERS, FAVORITE, LATER, LIKE, Event, SessionState, Utterance

_VERSIONS = (1, 2, 3)
_REMEDY = "correct it, or start another profile with --save"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LISTS: dict[str, tuple[list[type], str]] = {  # key -> types of the parts of an entry, and what an entry is
    "favorites": ([int], "a movie id"),
    "answers": ([int, str], f"[movie id, one of {', '.join(ANSWERS)}]"),
    "words": ([str, int], "[text, number of answers before it]"),
}
IMPORTED: dict[str, tuple[list[type], str]] = {
    "ratings": ([int, float, str], "[movie id, rating, date]"),
    "missed": ([dict], "a film"),
}
CHOICES = ("filter", "familiarity", "learning_rule", "backend")
_COLUMNS = ("Title", "Year", "tmdbID", "imdbID")  # as Letterboxd names them


def default_profiles_folder() -> Path:
    """Return the profiles folder: `$XDG_DATA_HOME/tastevec/profiles`, by default under `~/.local/share`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tastevec" / "profiles"


def profile_path(folder: Path, name: str) -> Path:
    """Return the file of profile `name`; raises `ChoiceError` for a name that is not a plain file name."""
    if not _NAME.fullmatch(name):
        raise ChoiceError(f"profile name {name!r}: use up to 64 letters, digits, '-', '_' and '.'")
    return folder / f"{name}.json"


def save_profile(
    path: Path, catalog: Catalog, state: SessionState, known: Optional[dict[str, Any]] = None, **choices: str
) -> dict[str, Any]:
    """Write what was said and chosen in `state` to `path` atomically; return all that the file holds.

    known: what `load_profile` or this function returned before; movies that the catalogue lacks, and other keys, keep
    their places. Nothing is written where nothing has changed.  choices: learning_rule and backend, if chosen now.
    """
    ids, new = catalog.movie_ids, {"format_version": _VERSIONS[-1], "seed": state.seed}
    old: dict[str, Any] = known or {**new, **{key: [] for key in _LISTS}}
    favorites = [int(ids[row]) for row in state.favorites]
    answers = [[int(ids[event.row]), event.answer] for event in state.answers]
    for place, movie_id in enumerate(old["favorites"]):
        if movie_id not in catalog:
            favorites.insert(place, movie_id)
    for place, answer in enumerate(old["answers"]):
        if answer[0] not in catalog:
            answers.insert(place, answer)
    n_kept = len(answers) - len(state.answers)
    words = [[text.encode(errors="ignore").decode(), after + n_kept] for text, after in state.utterances]
    for said, before in itertools.takewhile(lambda pair: pair[0][0] == pair[1][0], zip(words, old["words"])):
        said[1] = min(before[1], len(answers))
    profile = {**old, "favorites": favorites, "answers": answers, "words": words, **choices}
    if (wanted := state.wanted or MovieFilter()) != MovieFilter(**profile.get("filter", {})):
        profile["filter"] = {key: value for key, value in asdict(wanted).items() if value not in (None, ())}
    if state.familiarity != profile.get("familiarity"):
        profile["familiarity"] = state.familiarity
    if profile != known or not path.is_file():
        with replace_file(path) as temporary:
            dump_json(profile, temporary)
    return profile


def read_profile(path: Path) -> dict[str, Any]:
    """Return all that the file of a profile holds.

    Raises `ChoiceError` for an unknown profile, `ArtifactError` for one that is not understood in full.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.json"))
        hint = f"saved ones: {', '.join(known)}" if known else "start one with --save NAME"
        raise ChoiceError(f"no profile {path.stem!r} in {path.parent}: {hint}")
    return load_json(path, _REMEDY, _checked)


def load_profile(path: Path, catalog: Catalog) -> tuple[SessionState, dict[str, Any], list[str]]:
    """Return a saved session without the movies that the catalogue lacks, what `read_profile` returns, and notes."""
    profile, notes = read_profile(path), []
    state = state_of(profile, catalog)
    if not state.favorites and not state.utterances and (profile["favorites"] or not state.answers):
        raise ArtifactError(f"{path}: none of the favorites is in this catalogue: start a new profile with --save")
    n_missing = sum(len(profile[key]) for key in ("favorites", "answers")) - len(state.events)
    if n_missing:
        notes.append(f"{n_missing} movies of the profile are not in this catalogue; left out, and kept in the profile.")
    if more := [shown(key) for key in profile if key not in ("format_version", "seed", *_LISTS, *IMPORTED, *CHOICES)]:
        notes.append(f"{', '.join(more)} of the profile is not known here, and kept.")
    return state, profile, notes


def state_of(profile: dict[str, Any], catalog: Catalog) -> SessionState:
    """Return the session of what `read_profile` gave, without the movies that the catalogue lacks."""
    answers, row_of = profile["answers"], catalog.row_of
    rows = tuple(row_of(movie_id) for movie_id in profile["favorites"] if movie_id in catalog)
    events = tuple(Event(row_of(movie_id), answer) for movie_id, answer in answers if movie_id in catalog)
    # Words keep their place among the answers that are left.
    said = tuple(Utterance(text, sum(i in catalog for i, _ in answers[:after])) for text, after in profile["words"])
    wanted = MovieFilter(**profile["filter"]) if profile.get("filter") else None
    return SessionState(rows, events, None, profile["seed"], said, wanted, profile.get("familiarity"))


def list_files(path: Path) -> list[Path]:
    """Return the files that `export_lists` writes; raises `ArtifactError` if one is there and not of this program.

    path: such as films.csv, for films-likes.csv and films-watchlist.csv.
    """
    files = [path.with_name(f"{path.name.removesuffix('.csv')}-{name}.csv") for name in ("likes", "watchlist")]
    for file in files:
        need_file(file, "--export", ",".join(_COLUMNS) + "\n")
    return files


def export_lists(path: Path, catalog: Catalog, state: SessionState) -> list[tuple[Path, int]]:
    """Write favorites and likes, and what is for later, as CSV files that Letterboxd imports, without stars.

    Returns the files of `list_files` and their numbers of movies.
    """
    written = []
    for file, kinds in zip(list_files(path), ((FAVORITE, LIKE), (LATER,))):
        movies = [catalog.movie(event.row) for event in state.events if event.answer in kinds]
        with replace_file(file) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
            table = csv.writer(out, lineterminator="\n")
            table.writerow(_COLUMNS)
            for movie in movies:
                imdb = f"tt{movie.imdb_id}" if movie.imdb_id.isdecimal() else movie.imdb_id
                table.writerow((movie.title, movie.year or "", movie.tmdb_id, imdb))
        written.append((file, len(movies)))
    return written


def _checked(profile: Any) -> dict[str, Any]:
    """Return a profile in the latest format; raises `ValueError`, with key and value, for what is not understood."""
    if not isinstance(profile, dict):
        raise ValueError(f"{shown(profile)} is no profile")
    if type(version := profile.get("format_version")) is not int or version not in _VERSIONS:
        raise ValueError(f"format_version: {shown(version)} is not 1, 2 or 3; a later format needs a later tastevec")
    profile = dict(profile, format_version=_VERSIONS[-1], words=profile.get("words", []))
    if type(seed := profile.get("seed")) is not int or seed < 0:
        raise ValueError(f"seed: {shown(seed)} is not a whole number from 0")
    for key, (kinds, wanted) in {**_LISTS, **{key: IMPORTED[key] for key in IMPORTED if key in profile}}.items():
        if not isinstance(entries := profile.get(key), list):
            raise ValueError(f"{key}: {shown(entries)} is not a list")
        for entry in entries:
            parts = entry if len(kinds) > 1 and isinstance(entry, list) else [entry]
            fits = [type(part) for part in parts] == kinds and all(part >= 0 for part in parts if type(part) is int)
            if not fits or (key == "answers" and parts[1] not in ANSWERS):
                raise ValueError(f"{key}: {shown(entry)} is not {wanted}")
    movies = [*profile["favorites"], *(movie_id for movie_id, _ in profile["answers"])]
    if len(set(movies)) < len(movies):
        raise ValueError(f"favorites and answers: movie {max(movies, key=movies.count)} is there twice")
    moments, n_answers = [after for _, after in profile["words"]], len(profile["answers"])
    if sorted([*moments, n_answers]) != [*moments, n_answers]:
        raise ValueError(f"words: {shown(moments)} are no numbers of answers, in order, up to {n_answers}")
    try:
        MovieFilter(**profile.get("filter", {}))
    except (TypeError, ChoiceError):
        raise ValueError(f"filter: {shown(profile['filter'])} is no filter of genres and years") from None
    dial = profile.get("familiarity")
    if dial is not None and (type(dial) not in (int, float) or not 0 <= dial <= 1):
        raise ValueError(f"familiarity: {shown(dial)} is not a number from 0 to 1")
    for key, choices in (("learning_rule", LEARNING_RULES), ("backend", registry.names())):
        if (value := profile.get(key, choices[0])) not in choices:
            raise ValueError(f"{key}: {shown(value)} is not one of {', '.join(choices)}")
    for key, value in profile.items():
        try:
            json.dumps({key: value}, indent=1, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError):  # infinite or too long numbers, halves of surrogate pairs
            raise ValueError(f"{shown(key)}: {shown(value)} cannot be written back") from None
    return profile
