"""A person's favorites, answers and words in a JSON file, kept only when they ask for it.

Movies are stored by external id and words as they were said, so that a profile outlives a rebuilt catalogue or model.
Format 1 had no words; it is read too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ..data.artifacts import dump_json, load_json, replace_file
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError
from .engine import SessionState, Words
from .rules import ANSWERS, Event

_VERSION = 2
_READ = (1, 2)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def default_profiles_folder() -> Path:
    """Return where profiles live: `$XDG_DATA_HOME/tastevec/profiles`, by default below `~/.local/share`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "tastevec" / "profiles"


def profile_path(folder: Path, name: str) -> Path:
    """Return the file of profile `name`; raises `ChoiceError` for a name that is not a plain file name."""
    if not _NAME.fullmatch(name):
        raise ChoiceError(f"profile name {name!r}: use up to 64 letters, digits, '-', '_' and '.', no other signs")
    return folder / f"{name}.json"


def save_profile(path: Path, catalog: Catalog, state: SessionState) -> None:
    """Write the favorites, answers and words of `state` to `path` in one step."""
    ids = catalog.movie_ids
    profile = {
        "format_version": _VERSION,
        "seed": state.seed,
        "favorites": [int(ids[row]) for row in state.favorites],
        "answers": [[int(ids[event.row]), event.answer] for event in state.answers],
        "words": [[words.text, words.after] for words in state.words],
    }
    with replace_file(path) as temporary:
        dump_json(profile, temporary)


class LoadedProfile(NamedTuple):
    """A saved session, and the ids of its movies that the catalogue no longer has."""

    state: SessionState
    missing: tuple[int, ...]


def load_profile(path: Path, catalog: Catalog) -> LoadedProfile:
    """Read a profile; raises `ChoiceError` where there is none, `ArtifactError` for a damaged one."""
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.json"))
        hint = f"saved ones: {', '.join(known)}" if known else "start one with --save NAME"
        raise ChoiceError(f"no profile {path.stem!r} in {path.parent}: {hint}")
    stored = _checked(load_json(path), path)
    here = {int(movie_id): row for row, movie_id in enumerate(catalog.movie_ids)}
    rows = tuple(here[movie_id] for movie_id in stored.favorites if movie_id in here)
    events = tuple(Event(here[movie_id], answer) for movie_id, answer in stored.answers if movie_id in here)
    # Words keep their place among the answers that are left.
    words = tuple(Words(text, sum(i in here for i, _ in stored.answers[:after])) for text, after in stored.words)
    if not rows and not words:
        raise ArtifactError(f"{path}: none of its favorites is in this catalogue: start anew with --save")
    state = SessionState(rows, events, seed=stored.seed, words=words)
    return LoadedProfile(state, tuple(i for i in stored.told if i not in here))


class _Stored(NamedTuple):
    favorites: list[int]
    answers: list[tuple[int, str]]
    words: list[tuple[str, int]]
    seed: int

    @property
    def told(self) -> list[int]:
        return [*self.favorites, *(movie_id for movie_id, _ in self.answers)]


def _checked(profile: Any, path: Path) -> _Stored:
    try:
        version = profile["format_version"]
        favorites = [int(movie_id) for movie_id in profile["favorites"]]
        answers = [(int(movie_id), str(answer)) for movie_id, answer in profile["answers"]]
        words = [(str(text), int(after)) for text, after in profile.get("words", [])]
        seed = int(profile["seed"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise ArtifactError(f"{path} is not a profile of tastevec: delete it or name another one") from None
    if version not in _READ:
        raise ArtifactError(f"{path} has format version {version!r}, this program reads {_VERSION}: update tastevec")
    for movie_id, answer in answers:
        if answer not in ANSWERS:
            raise ArtifactError(f"{path}: answer {answer!r} to movie {movie_id} is not one of {', '.join(ANSWERS)}")
    stored = _Stored(favorites, answers, words, seed)
    places = [after for _, after in words]
    in_order = places == sorted(places) and all(0 <= after <= len(answers) for after in places)
    if seed < 0 or len(set(stored.told)) < len(stored.told) or not in_order:  # a session shows no movie twice
        raise ArtifactError(f"{path} is not a profile of tastevec: delete it or name another one")
    return stored
