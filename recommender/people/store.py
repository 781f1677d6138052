"""What is remembered of people between conversations: one SQLite file, a row for each person.

The taste is a moving average of the vectors e_t of what was said, of length 1, in the space of one text backend:

    u_1 = e_1;  u_t = normalise(0.8 u_(t-1) + 0.2 e_t)

A turn is one transaction with a write-ahead log: a process that is killed has stored it or has not, and of several
processes one writes at a time, never over what another has stored since it looked. What was said is kept on request
only. `forget` leaves no byte: what is deleted is zeroed, the file is written anew (VACUUM), and the log is emptied.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.errors import ArtifactError, ChoiceError, shown
from ..linalg.rows import unit_rows
from ..text.base import BaseEmbeddingBackend, Identity

_FORMAT = 0x74767031  # "tvp1", the application id in the header of the file


class Remembered(NamedTuple):
    """What is known of a person; movies are external ids.

    vector: (d,) float32 of length 1, in the space of `identity`; both None before the first message with known words.
    answers: movie id -> favorite, or an answer of a session.  texts: what was said, where it is kept.  refused: what
    is never wanted, such as "Horror" (filters.py).
    """

    vector: Optional[np.ndarray] = None
    identity: Optional[Identity] = None
    n_messages: int = 0
    answers: Mapping[int, str] = {}
    texts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def hear(self, text: str, vector: np.ndarray, identity: Identity) -> Remembered:
        """Return the memory after a message with its vector (d,) of length 1; zeros, no known word, move nothing."""
        if self.identity not in (None, identity):
            raise ArtifactError(f"a message in {identity} for a taste in {self.identity}: see `in_space_of`")
        heard = self._replace(n_messages=self.n_messages + 1, texts=(*self.texts, text))
        taste = vector if self.vector is None else 0.8 * self.vector + 0.2 * vector
        return heard._replace(vector=unit_rows(taste[None])[0], identity=identity) if vector.any() else heard

    def in_space_of(self, backend: BaseEmbeddingBackend) -> Remembered:
        """Return the memory with its taste in the space of `backend`, made anew from the texts if it is in another.

        Raises `ArtifactError`, naming both backends, where texts were not kept.
        """
        if self.identity in (None, identity := backend.identity):
            return self
        if len(self.texts) < self.n_messages:
            old, new = (" ".join(map(str, one)) for one in (self.identity, identity) if one)
            raise ArtifactError(f"the taste is of the backend {old}, not {new}: use that one, or forget the person")
        anew = self._replace(vector=None, identity=None, n_messages=0, texts=())
        for text, vector in zip(self.texts, backend.embed_known(self.texts)):
            anew = anew.hear(text, vector, identity)
        return anew


class ConflictError(ArtifactError):
    """Another process has stored something of the same person since it was loaded: load it again."""


class BusyError(ArtifactError):
    """Another process or thread is writing."""


class Store(contextlib.AbstractContextManager):
    """The memory of all people of one file; a context manager, for one thread.

    keep_text: keep what was said; otherwise `texts` are dropped at the next save.
    wait: seconds to wait for another process to end its turn.
    All raise `ArtifactError` for a file that is damaged, of another program, or can't be written.
    """

    def __init__(self, path: Path | str, keep_text: bool = False, wait: float = 10) -> None:
        self.path, self.keep_text = Path(path), keep_text
        self._known: dict[str, Optional[int]] = {}  # name -> checksum of what was loaded or saved last
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():  # never open and close it while SQLite has it open, which loses its locks
                self.path.touch(0o600)  # for nobody else to read
            self._file = sqlite3.connect(self.path, timeout=wait, isolation_level=None)
        if self.do("PRAGMA application_id") != [(_FORMAT,)]:
            with self.writing():
                if not (self.do("SELECT 1 FROM sqlite_master") or self.path.stat().st_size % 512):
                    self.do("CREATE TABLE people (name TEXT PRIMARY KEY, content TEXT, checksum INTEGER)")
                    self.do(f"PRAGMA application_id = {_FORMAT}")
                elif self.do("PRAGMA application_id") != [(_FORMAT,)]:
                    raise ArtifactError(f"{self.path} is damaged, of another program or a later tastevec: give another")
        for setting in ("secure_delete = ON", "temp_store = MEMORY", "synchronous = FULL", "journal_mode = WAL"):
            with contextlib.suppress(BusyError):  # another process sets the mode
                self.do(f"PRAGMA {setting}")

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def users(self) -> list[str]:
        """Return the names of the people, sorted."""
        return [name for (name,) in self.do("SELECT name FROM people ORDER BY name")]

    def load(self, user: str) -> Optional[Remembered]:
        """Return what is remembered of a person, or None."""
        memory, self._known[user] = self._find(user)
        return memory

    def save(self, user: str, memory: Remembered) -> None:
        """Store `memory` in place of what was last loaded or saved here.

        Raises `ConflictError` where another process has stored or forgotten something since: load it again.
        """
        vector, width = memory.vector, memory.identity.dimension if memory.identity else 0
        if vector is not None and (np.shape(vector) != (width,) or not abs(np.linalg.norm(vector) - 1) < 1e-3):
            raise ChoiceError(f"taste {shown(vector)}: give an identity, and a vector of its width and of length 1")
        texts = memory.texts if self.keep_text else ()
        stored = (*memory[:3], [*memory.answers.items()], texts, memory.refused)
        content = json.dumps(stored, default=lambda value: value.tolist())
        with self.writing():
            if self._find(user)[1] != self._known.get(user):
                raise ConflictError(f"another process has changed what is remembered of {user}: load it again")
            self.do("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", user, content, _checksum(user, content))
        self._known[user] = _checksum(user, content)

    def forget(self, user: str) -> bool:
        """Delete a person, down to the bytes in the file; return whether there was anything.

        After an error or a kill, forget again: the bytes go even where the name is gone.
        """
        found = user in self.users()
        self.do("DELETE FROM people WHERE name = ?", user if found else "")
        self._known.pop(user, None)
        self.do("VACUUM")
        if self.do("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise ArtifactError(f"another process is reading {self.path}: end it, and forget {user} again")
        return found

    def do(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a statement of SQL."""
        with self._explained():
            return self._file.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file against other writers, for changes that belong together; an error takes all of them back."""
        if self._file.in_transaction:
            yield
            return
        with self._explained():
            self._file.execute("BEGIN IMMEDIATE")
            with self._file:
                yield

    def _find(self, user: str) -> tuple[Optional[Remembered], Optional[int]]:
        """Return what is remembered of a person and its checksum, or None twice."""
        if not (isinstance(user, str) and user.isprintable() and 0 < len(user) <= 100):
            raise ChoiceError(f"name of a person {shown(user)}: give 1 to 100 printable characters")
        for content, checksum in self.do("SELECT content, checksum FROM people WHERE name = ?", user):
            if checksum != _checksum(user, content):
                raise ArtifactError(f"what {self.path} remembers of {user} is damaged: forget {user}")
            vector, identity, n_messages, answers, *lists = json.loads(content)
            taste = vector and np.array(vector, dtype=np.float32), identity and Identity(*identity)
            texts, refused = map(tuple, lists[-2:])  # files of earlier versions have two more, made of the answers
            return Remembered(*taste, n_messages, dict(answers), texts, refused), checksum
        if self.do("PRAGMA integrity_check") != [("ok",)]:  # or the name is there, and not found
            raise ArtifactError(f"{self.path} is damaged: give another file")
        return None, None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of SQLite, and of a file that can't be one, into ours."""
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeError) as error:
            kind = BusyError if "is locked" in str(error) else ArtifactError
            raise kind(f"{self.path} cannot be used ({error}): mend that, or give another file") from None


def _checksum(user: str, content: str) -> int:
    return zlib.crc32(f"{user}\n{content}".encode())
