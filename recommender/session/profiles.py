"""Session profiles: favorites, answers and words in a JSON file, saved only on request.

Movies are stored by external id and words as text, so a profile remains valid for a rebuilt catalogue or model: movies
that a catalogue lacks, and keys of later versions, are written back as they were. Format 1, without words, can still
be read.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any, Optional

from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError, shown
from ..data.files import dump_json, load_json, replace_file
from .state import ANSWERS, Event, SessionState, Utterance

_VERSIONS = (1, 2)
_REMEDY = "correct it, or start another profile with --save"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LISTS: dict[str, tuple[list[type], str]] = {  # key -> types of the parts of an entry, and what an entry is
    "favorites": ([int], "a movie id"),
    "answers": ([int, str], f"[movie id, one of {', '.join(ANSWERS)}]"),
    "words": ([str, int], "[text, number of answers before it]"),
}


def default_profiles_folder() -> Path:
    """Return the profiles folder: `$XDG_DATA_HOME/tastevec/profiles`, by default under `~/.local/share`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tastevec" / "profiles"


def profile_path(folder: Path, name: str) -> Path:
    """Return the file of profile `name`; raises `ChoiceError` for a name that is not a plain file name."""
    if not _NAME.fullmatch(name):
        raise ChoiceError(f"profile name {name!r}: use up to 64 letters, digits, '-', '_' and '.'")
    return folder / f"{name}.json"


def save_profile(
    path: Path, catalog: Catalog, state: SessionState, known: Optional[dict[str, Any]] = None
) -> dict[str, Any]:
    """Write the favorites, answers and words of `state` to `path` atomically; return all that the file holds.

    known: what `load_profile` or this function returned before; movies that the catalogue lacks, and other keys, keep
    their places. Nothing is written where nothing has changed.
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
    profile = {**old, "favorites": favorites, "answers": answers, "words": words}
    if profile != known or not path.is_file():
        with replace_file(path) as temporary:
            dump_json(profile, temporary)
    return profile


def load_profile(path: Path, catalog: Catalog) -> tuple[SessionState, dict[str, Any], list[str]]:
    """Return a saved session without the movies that the catalogue lacks, all that the file holds, and notes on it.

    Raises `ChoiceError` for an unknown profile, `ArtifactError` for one that is not understood in full.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.json"))
        hint = f"saved ones: {', '.join(known)}" if known else "start one with --save NAME"
        raise ChoiceError(f"no profile {path.stem!r} in {path.parent}: {hint}")
    profile = load_json(path, _REMEDY, _checked)
    row_of = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}
    favorites, answers = profile["favorites"], profile["answers"]
    rows = tuple(row_of[movie_id] for movie_id in favorites if movie_id in row_of)
    events = tuple(Event(row_of[movie_id], answer) for movie_id, answer in answers if movie_id in row_of)
    # Words keep their place among the answers that are left.
    said = tuple(Utterance(text, sum(i in row_of for i, _ in answers[:after])) for text, after in profile["words"])
    if not rows and not said:
        raise ArtifactError(f"{path}: none of the favorites is in this catalogue: start a new profile with --save")
    n_missing, notes = len(favorites) + len(answers) - len(rows) - len(events), []
    if n_missing:
        notes.append(f"{n_missing} movies of the profile are not in this catalogue; left out, and kept in the profile.")
    if more := [shown(key) for key in profile if key not in ("format_version", "seed", *_LISTS)]:
        notes.append(f"{', '.join(more)} of the profile is not known here, and kept.")
    return SessionState(rows, events, seed=profile["seed"], utterances=said), profile, notes


def _checked(profile: Any) -> dict[str, Any]:
    """Return a profile in the latest format; raises `ValueError`, with key and value, for what is not understood."""
    if not isinstance(profile, dict):
        raise ValueError(f"{shown(profile)} is no profile")
    if type(version := profile.get("format_version")) is not int or version not in _VERSIONS:
        raise ValueError(f"format_version: {shown(version)} is not 1 or 2; a later format needs a later tastevec")
    profile = dict(profile, format_version=_VERSIONS[-1], words=profile.get("words", []))
    if type(seed := profile.get("seed")) is not int or seed < 0:
        raise ValueError(f"seed: {shown(seed)} is not a whole number from 0")
    for key, (kinds, wanted) in _LISTS.items():
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
    for key, value in profile.items():
        try:
            json.dumps({key: value}, indent=1, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError):  # infinite or too long numbers, halves of surrogate pairs
            raise ValueError(f"{shown(key)}: {shown(value)} cannot be written back") from None
    return profile
