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
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..data.errors import ArtifactError
from ..data.files import dump_json, exclusive, load_json, replace_file

_TOKEN = re.compile(r"tv_([0-9a-f]{12})_([A-Za-z0-9_-]{32})")
_WAIT = 10.0  # seconds for another writer
Lines = dict[str, dict[str, Any]]


class Caller(NamedTuple):
    """Who asks.  id: of the token.  person: the one user that it is for, None: all."""

    id: str
    person: Optional[str]


class Tokens:
    """The tokens of one file; threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        """Read `path`, none if it does not exist; raises `ArtifactError` for a file that holds something else."""
        self.path = path
        self._known: tuple[object, Lines] = (None, {})  # which state of the file was read, and what it said
        self.lines()

    def lines(self) -> Lines:
        """Return what the file says now, by id."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        stamp = found.st_mtime_ns, found.st_size, found.st_ino
        if stamp != self._known[0]:
            self._known = stamp, load_json(self.path, "give another --token-file", _checked)
        return self._known[1]

    def caller(self, token: str) -> Optional[Caller]:
        """Return whose token this is, None for one that is wrong or has expired."""
        match = _TOKEN.fullmatch(token)
        id_, secret = match.groups() if match else ("", "")
        line = self.lines().get(id_, {"hash": "0" * 64, "person": None, "ends": 1})
        same = hmac.compare_digest(_hash(secret), line["hash"])
        alive = not line["ends"] or line["ends"] > time.time()
        return Caller(id_, line["person"]) if same and alive else None

    def make(self, name: str, person: Optional[str] = None, days: float = 0) -> str:
        """Store a new token and return it; nobody can read it again.  days: until it ends, 0: never."""
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(24)
        ends = time.time() + 86400 * days if days else 0
        new = {"name": name, "person": person, "ends": ends, "hash": _hash(secret)}
        self._write(lambda lines: {**lines, id_: new})
        return f"tv_{id_}_{secret}"

    def drop(self, person: str) -> bool:
        """Delete the tokens of a person; return whether there was any."""
        if found := any(line["person"] == person for line in self.lines().values()):
            self._write(lambda lines: {id_: line for id_, line in lines.items() if line["person"] != person})
        return found

    def _write(self, change: Callable[[Lines], Lines]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + _WAIT
        while True:
            try:
                with exclusive(self.path.with_name(f".{self.path.name}.lock"), str(self.path)):
                    with replace_file(self.path) as temporary:
                        temporary.touch(0o600)
                        dump_json(change(self.lines()), temporary)
                    return
            except ArtifactError:  # another process or thread is writing
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)


def _checked(lines: Any) -> Lines:
    for line in lines.values():
        if not isinstance(line["hash"], str) or len(line["hash"]) != 64 or not {"name", "person", "ends"} <= {*line}:
            raise ValueError("a line that is no token")
    return dict(lines)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
