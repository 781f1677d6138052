"""The log of a chat: a line of JSON for each turn, without what the person said; see `TurnLog.write` for its keys."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from ..data.artifacts import need_file
from .chat import ChatState, Turn

MOST_BYTES, N_KEPT = 10 << 20, 3  # of a file; older files: FILE.1 is the newest of them


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
