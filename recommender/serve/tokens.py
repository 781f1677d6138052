"""Tokens: who may ask, and for whom. A file of JSON holds their hashes, never the tokens.

    token = "tv_" id "_" secret        both random, of 48 and 192 bits; stored: id -> sha256(secret), name, person, end

The id finds the line, and the hash of the secret is compared in constant time, with that of nobody where there is no
such id. A secret of 192 random bits needs no slow hash. Several processes may share the file: it is read again when it
has changed, and replaced as a whole by one writer at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..data.errors import ArtifactError
from ..data.files import dump_json, exclusive, load_json, replace_file

PREFIX = "tv_"
_TOKEN = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{32}})")
IN_ADDRESS = re.compile(rf"{PREFIX}[0-9a-f]{{12}}_|access_token=")  # logs and histories keep addresses
_NOBODY = "0" * 64
_WAIT = 10.0  # seconds for another writer


class Caller(NamedTuple):
    """Who asks.  person: the one user that the token is for, None: all.  ends: seconds since 1970, 0: never."""

    id: str
    name: str
    person: Optional[str]
    ends: float


class Tokens:
    """The tokens of one file; threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        """Read `path`, none if it does not exist; raises `ArtifactError` for a file that holds something else."""
        self.path, self._lock = path, threading.Lock()
        self._stamp: Optional[tuple[int, int, int]] = None
        self._lines: dict[str, dict[str, Any]] = {}
        self._refresh()

    def __len__(self) -> int:
        return len(self._lines)

    def caller(self, token: str) -> Optional[Caller]:
        """Return whose token this is, None for one that is wrong or has expired."""
        self._refresh()
        match = _TOKEN.fullmatch(token)
        id_, secret = match.groups() if match else ("", "")
        line = self._lines.get(id_, {})
        same = hmac.compare_digest(_hash(secret), line.get("hash", _NOBODY))
        now, ends = time.time(), line.get("ends", 0)
        alive = not ends or ends > now
        return Caller(id_, line["name"], line["person"], line["ends"]) if same and line and alive else None

    def make(self, name: str, person: Optional[str] = None, days: float = 0) -> str:
        """Store a new token and return it; nobody can read it again.  days: until it ends, 0: never."""
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(24)
        ends = time.time() + 86400 * days if days else 0
        new = {id_: {"name": name, "person": person, "ends": ends, "hash": _hash(secret)}}
        self._write(lambda lines: {**lines, **new})
        return f"{PREFIX}{id_}_{secret}"

    def drop(self, person: str) -> bool:
        """Delete the tokens of a person; return whether there was any."""
        self._refresh()
        if found := any(line["person"] == person for line in self._lines.values()):
            self._write(lambda lines: {id_: line for id_, line in lines.items() if line["person"] != person})
        return found

    def _write(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + _WAIT
        while True:
            try:
                with self._lock, exclusive(self.path.with_name(f".{self.path.name}.lock"), str(self.path)):
                    self._read()
                    with replace_file(self.path) as temporary:
                        temporary.touch(0o600)
                        dump_json(change(self._lines), temporary)
                    return self._read()
            except ArtifactError:  # another process is writing
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _refresh(self) -> None:
        if self._seen() != self._stamp:
            with self._lock:
                self._read()

    def _seen(self) -> Optional[tuple[int, int, int]]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        self._stamp = self._seen()
        self._lines = load_json(self.path, "give another --token-file", _checked) if self._stamp else {}


def _checked(lines: Any) -> dict[str, dict[str, Any]]:
    for line in lines.values():
        if not isinstance(line["hash"], str) or len(line["hash"]) != 64 or not {"name", "person", "ends"} <= {*line}:
            raise ValueError("a line that is no token")
    return dict(lines)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
