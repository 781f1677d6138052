"""What the server keeps, in one SQLite file: sessions, people, and the tastes of the chat (people/store.py).

A change is one transaction of a write-ahead log, written before it is answered: a process that is killed has stored it
or has not; where the power fails, the last moments may be missing, never more. Several processes may share the file: a
session is written over the version that was read, or not at all.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..people.store import Store

_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, owner TEXT, person TEXT, version INTEGER, content TEXT);
CREATE INDEX IF NOT EXISTS sessions_of ON sessions (owner);
CREATE INDEX IF NOT EXISTS sessions_with ON sessions (person);
CREATE TABLE IF NOT EXISTS profiles (person TEXT PRIMARY KEY, content TEXT)
"""
_WAIT = 10  # seconds, for another writer


class Saved(NamedTuple):
    """A session as it is stored.  owner: whose limit it counts for.  person: None where nobody is named."""

    id: str
    owner: str
    person: Optional[str]
    version: int
    content: dict[str, Any]


class Database:
    """The file, through one connection for each thread.

    All raise `ArtifactError` for a file that is damaged, of another program, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._local = path, threading.local()
        for statement in _TABLES.split(";"):
            self.do(statement)

    @property
    def store(self) -> Store:
        """The connection of this thread; `store.writing()` holds the file for what is read and then written."""
        if not hasattr(self._local, "store"):
            self._local.store = Store(self.path, wait=_WAIT)
            for setting in ("synchronous = NORMAL", "cache_size = -256"):
                self.do(f"PRAGMA {setting}")
        store: Store = self._local.store
        return store

    def do(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a statement of SQL."""
        return self.store.do(statement, *values)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `BusyError` in this thread rather than wait for another writer."""
        self.do("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self.do(f"PRAGMA busy_timeout = {_WAIT * 1000}")

    def sessions(self, column: str, value: str) -> list[Saved]:
        """Return the sessions of an id, an owner or a person, oldest first."""
        found = self.do(f"SELECT * FROM sessions WHERE {column} = ? ORDER BY rowid", value)
        return [Saved._make((*others, json.loads(content))) for *others, content in found]

    def n_sessions(self, owner: str = "") -> int:
        """Return how many sessions there are, or count for an owner."""
        where, values = ("WHERE owner = ?", (owner,)) if owner else ("", ())
        return int(self.do(f"SELECT COUNT(*) FROM sessions {where}", *values)[0][0])

    def add_session(self, one: Saved) -> None:
        self.do("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", *one[:4], _text(one.content))

    def replace_session(self, one: Saved) -> bool:
        """Store a session over its version; return whether that was still the latest."""
        change = "UPDATE sessions SET version = version + 1, content = ? WHERE id = ? AND version = ?"
        self.do(change, _text(one.content), one.id, one.version)
        return self._n_changed() > 0

    def drop_session(self, id_: str) -> None:
        self.do("DELETE FROM sessions WHERE id = ?", id_)

    def profile(self, person: str) -> Optional[dict[str, Any]]:
        """Return what a person rated, as in the file of a profile (session/profiles.py)."""
        found = self.do("SELECT content FROM profiles WHERE person = ?", person)
        return json.loads(found[0][0]) if found else None

    def save_profile(self, person: str, profile: dict[str, Any]) -> None:
        self.do("INSERT OR REPLACE INTO profiles VALUES (?, ?)", person, _text(profile))

    def forget(self, person: str) -> bool:
        """Delete all of a person, down to the bytes in the file; return whether there was anything."""
        n = 0
        with self.store.writing():
            for table in ("sessions", "profiles"):
                self.do(f"DELETE FROM {table} WHERE person = ?", person)
                n += self._n_changed()
        return self.store.forget(person) or n > 0

    def _n_changed(self) -> int:
        return int(self.do("SELECT changes()")[0][0])


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
