"""What the server keeps, in one SQLite file: sessions, people, and the tastes of the chat (people/store.py).

A change is one transaction of a write-ahead log, written before it is answered: a process that is killed has stored it
or has not; where the power fails, the last moments may be missing, never more. Several processes may share the file: a
session is written over the version that was read, or not at all.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..data.errors import ArtifactError
from ..people.store import Store

_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, owner TEXT, person TEXT, version INTEGER, content TEXT);
CREATE INDEX IF NOT EXISTS sessions_of ON sessions (owner);
CREATE INDEX IF NOT EXISTS sessions_with ON sessions (person);
CREATE TABLE IF NOT EXISTS profiles (person TEXT PRIMARY KEY, content TEXT);
"""
_WAIT = 10  # seconds, for another writer


class Saved(NamedTuple):
    """A session as it is stored.  owner: whose limit it counts for.  person: None where nobody is named."""

    id: str
    owner: str
    person: Optional[str]
    version: int
    content: dict[str, Any]


class Busy(ArtifactError):
    """Another process or thread is writing."""


class Database:
    """The file, through one connection for each thread.

    All raise `ArtifactError` for a file that is damaged, of another program, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with Store(path):  # makes the file, or refuses that of another program
            pass
        self._local = threading.local()
        with self._explained():
            self._file.executescript(_TABLES)

    @property
    def _file(self) -> sqlite3.Connection:
        if not hasattr(self._local, "file"):
            self._local.file = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)
            for setting in ("secure_delete = ON", "temp_store = MEMORY", "synchronous = NORMAL", "cache_size = -256"):
                self._local.file.execute(f"PRAGMA {setting}")
        file: sqlite3.Connection = self._local.file
        return file

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Busy` in this thread rather than wait for another writer."""
        self._do("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._do(f"PRAGMA busy_timeout = {_WAIT * 1000}")

    def session(self, id_: str) -> Optional[Saved]:
        """Return a session, None if there is none."""
        found = self._do("SELECT * FROM sessions WHERE id = ?", id_)
        return _saved(found[0]) if found else None

    def sessions_of(self, person: str) -> list[Saved]:
        """Return the sessions of a person, oldest first."""
        return [*map(_saved, self._do("SELECT * FROM sessions WHERE person = ? ORDER BY rowid", person))]

    def n_sessions(self, owner: Optional[str] = None) -> int:
        where, given = ("", ()) if owner is None else (" WHERE owner = ?", (owner,))
        return int(self._do(f"SELECT COUNT(*) FROM sessions{where}", *given)[0][0])

    def owned_by(self, owner: str) -> list[tuple[str, Optional[str]]]:
        """Return ids and persons of the sessions that count for an owner, oldest first."""
        return self._do("SELECT id, person FROM sessions WHERE owner = ? ORDER BY rowid", owner)

    def add_session(self, one: Saved) -> None:
        self._do("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", *one[:4], _text(one.content))

    def replace_session(self, one: Saved) -> bool:
        """Store a session over its version; return whether that was still the latest."""
        change = "UPDATE sessions SET version = version + 1, content = ? WHERE id = ? AND version = ?"
        return self._change(change, _text(one.content), one.id, one.version) > 0

    def drop_session(self, id_: str) -> None:
        self._do("DELETE FROM sessions WHERE id = ?", id_)

    def profile(self, person: str) -> Optional[dict[str, Any]]:
        """Return what a person rated, as in the file of a profile (session/profiles.py)."""
        found = self._do("SELECT content FROM profiles WHERE person = ?", person)
        return json.loads(found[0][0]) if found else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file against other writers, for what is read and then written; an error takes all of it back."""
        with self._explained():
            self._file.execute("BEGIN IMMEDIATE")
            with self._file:
                yield

    def save_profile(self, person: str, profile: dict[str, Any]) -> None:
        self._do("INSERT OR REPLACE INTO profiles VALUES (?, ?)", person, _text(profile))

    def forget(self, person: str) -> bool:
        """Delete all of a person, down to the bytes in the file; return whether there was anything."""
        with self.writing():
            n = sum(self._change(f"DELETE FROM {table} WHERE person = ?", person) for table in ("sessions", "profiles"))
        with Store(self.path) as chats:
            return chats.forget(person) or n > 0

    def _do(self, statement: str, *values: object) -> list[Any]:
        with self._explained():
            return self._file.execute(statement, values).fetchall()

    def _change(self, statement: str, *values: object) -> int:
        with self._explained():
            return self._file.execute(statement, values).rowcount

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = Busy if "is locked" in str(error) else ArtifactError
            raise kind(f"{self.path} cannot be used ({error}): mend that, or give another --store") from None


def _saved(row: tuple[Any, ...]) -> Saved:
    id_, owner, person, version, content = row
    return Saved(id_, owner, person, version, json.loads(content))


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
