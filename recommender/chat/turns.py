"""Where a chat stands, what a turn of it shows, and the log: a line of JSON for each turn, without what was said."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..data.artifacts import need_file
from ..data.catalog import Movie
from ..people.store import Remembered
from ..session.state import SessionState
from ..text.request_facts import Fact

MOST_BYTES, N_KEPT = 10 << 20, 3  # of a file; older files: FILE.1 is the newest of them


class ChatState(NamedTuple):
    """shown: the rows of the list on the screen, in its order.  last: the row talked about.

    filters: see people/filters.py.  written: the profile in the words of a model, for the re-ranking.
    newest, lead: the rows of the movies named last, and liked since, and their weight.
    """

    memory: Remembered = Remembered()
    session: SessionState = SessionState(())
    shown: tuple[int, ...] = ()
    last: Optional[int] = None
    filters: tuple[Fact, ...] = ()
    written: str = ""
    newest: tuple[int, ...] = ()
    lead: float = 0.0


class Suggestion(NamedTuple):
    """because: what of the person's own history speaks for it.  about: what it is.  score: 0 to 1, of the retrieval."""

    movie: Movie
    score: float
    because: str
    about: str


class Turn(NamedTuple):
    """understood: for the person to correct.  answer: to a question, "" for none.  suggestions: [] beside an answer.

    candidates: movie ids and scores of the retrieval, best first.  status: how the re-ranking went, and why no model.
    """

    understood: str
    answer: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    candidates: tuple[tuple[int, float], ...] = ()
    reranker: str = ""
    status: str = ""
    tokens: int = 0
    seconds: float = 0.0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the turn as JSON, with movies by id and title."""
        movies = [
            {"movie_id": one.movie_id, "title": one.title, "year": one.year, **dict(zip(Suggestion._fields[1:], more))}
            for one, *more in self.suggestions
        ]
        return {**self._asdict(), "suggestions": movies}


class TurnLog:
    """Appends to a file that only its owner may read; a full one becomes FILE.1, and so on, and the oldest goes."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Raises `ArtifactError` for a folder, and for a file of something else."""
        need_file(path, "--log", '{"user"')
        self.path, self.most_bytes = path, most_bytes

    def write(self, user: str, state: ChatState, turn: Turn) -> None:
        """Append a turn and the state after it.

        user: a hash of the name.  taste: u, six digits.  candidates: movie ids and scores of the retrieval.
        final: the movie ids that were shown.  status: how far down its ladder the re-ranking went.
        """
        vector = state.memory.vector
        line = json.dumps({
            "user": hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()[:16],
            "time": int(time.time()),
            "msg_index": state.memory.n_messages,
            "taste": None if vector is None else [round(value, 6) for value in vector.tolist()],
            "candidates": turn.candidates,
            "final": [one.movie.movie_id for one in turn.suggestions],
            "reranker": turn.reranker,
            "status": turn.status,
            "seconds": round(turn.seconds, 4),
            "tokens": turn.tokens,
        })  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size + len(line) >= self.most_bytes:
            kept = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, N_KEPT + 1))]
            for newer, older in reversed([*zip(kept, kept[1:])]):
                if newer.exists():
                    os.replace(newer, older)
        with open(self.path, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(f"{line}\n".encode())  # at once: a process that is killed leaves no half of it
