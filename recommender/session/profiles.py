"""Session profiles: favorites, answers and words in a JSON file, saved only on request.

Movies are stored by external id and words as text, so a profile remains valid for a rebuilt catalogue or model.
Format 1, without words, can still be read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError
from ..data.files import dump_json, load_json, replace_file
from .state import ANSWERS, Event, SessionState, Utterance

_VERSIONS = (1, 2)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def default_profiles_folder() -> Path:
    """Return the profiles folder: `$XDG_DATA_HOME/tastevec/profiles`, by default under `~/.local/share`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tastevec" / "profiles"


def profile_path(folder: Path, name: str) -> Path:
    """Return the file of profile `name`; raises `ChoiceError` for a name that is not a plain file name."""
    if not _NAME.fullmatch(name):
        raise ChoiceError(f"profile name {name!r}: use up to 64 letters, digits, '-', '_' and '.'")
    return folder / f"{name}.json"


def save_profile(path: Path, catalog: Catalog, state: SessionState) -> None:
    """Write the favorites, answers and words of `state` to `path` atomically."""
    ids = catalog.movie_ids
    profile = {
        "format_version": _VERSIONS[-1],
        "seed": state.seed,
        "favorites": [int(ids[row]) for row in state.favorites],
        "answers": [[int(ids[event.row]), event.answer] for event in state.answers],
        "words": [list(said) for said in state.utterances],
    }
    with replace_file(path) as temporary:
        dump_json(profile, temporary)


def load_profile(path: Path, catalog: Catalog) -> tuple[SessionState, list[int]]:
    """Return a saved session, and the ids of its movies that the catalogue no longer has.

    Raises `ChoiceError` for an unknown profile, `ArtifactError` for a damaged one.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.json"))
        hint = f"saved ones: {', '.join(known)}" if known else "start one with --save NAME"
        raise ChoiceError(f"no profile {path.stem!r} in {path.parent}: {hint}")
    profile = load_json(path)
    damaged = ArtifactError(f"{path} is not a tastevec profile: delete it or use another name")
    try:
        version, seed = profile["format_version"], int(profile["seed"])
        favorites = [int(movie_id) for movie_id in profile["favorites"]]
        answers = [(int(movie_id), str(answer)) for movie_id, answer in profile["answers"]]
        words = [(str(text), int(after)) for text, after in profile.get("words", [])]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise damaged from None
    if version not in _VERSIONS:
        ours = _VERSIONS[-1]
        raise ArtifactError(f"{path} has format version {version!r}, this program reads {ours}: update tastevec")
    for movie_id, answer in answers:
        if answer not in ANSWERS:
            raise ArtifactError(f"{path}: answer {answer!r} to movie {movie_id} is not one of {', '.join(ANSWERS)}")
    movies = [*favorites, *(movie_id for movie_id, _ in answers)]  # a session shows no movie twice
    moments = [0, *(after for _, after in words), len(answers)]
    if seed < 0 or len(set(movies)) < len(movies) or moments != sorted(moments):
        raise damaged
    row_of = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}
    rows = tuple(row_of[movie_id] for movie_id in favorites if movie_id in row_of)
    events = tuple(Event(row_of[movie_id], answer) for movie_id, answer in answers if movie_id in row_of)
    # Words keep their place among the answers that are left.
    said = tuple(Utterance(text, sum(i in row_of for i, _ in answers[:after])) for text, after in words)
    if not rows and not said:
        raise ArtifactError(f"{path}: none of the favorites is in this catalogue: start a new profile with --save")
    return SessionState(rows, events, seed=seed, utterances=said), [i for i in movies if i not in row_of]
