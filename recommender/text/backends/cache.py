"""A cache of embeddings on disk: (model, dimensions, sha256 of the text) -> vector.

One SQLite file with a write-ahead log. A batch is one transaction, so a process that is killed has stored a batch or
has not, and several processes may share the file. A row that does not match its checksum is requested again.

The address of the server is not part of the key, so that a proxy, another port or a mirror costs nothing. But two
servers, or one at two times, may give two models the same name. So the first text stored is remembered as the probe:
a service must return nearly the same vector for it before more of its vectors are stored.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import ArtifactError
from ..base import text_hash

FILE_NAME = "vectors.sqlite3"
_VECTORS = """CREATE TABLE IF NOT EXISTS vectors (
    model TEXT, dimensions INTEGER, text_hash TEXT, vector BLOB, checksum INTEGER,
    PRIMARY KEY (model, dimensions, text_hash))"""
_PROBES = """CREATE TABLE IF NOT EXISTS hosts (
    model TEXT, dimensions INTEGER, host TEXT, width INTEGER, probe TEXT, PRIMARY KEY (model, dimensions, host))"""


class VectorCache:
    """The vectors of one model in one file; a context manager, for one thread.

    folder: "" for a cache that is deleted at the end.  dimensions: as asked of the server; 0 where nothing was asked.
    write: make the file if there is none.
    """

    def __init__(self, folder: Path | str, model: str, dimensions: int, write: bool = True) -> None:
        self.path, self.model = Path(folder) / FILE_NAME, (model, dimensions)
        with self._explained():
            self.path = self.path.expanduser()
            keeps = bool(str(folder)) and (write or self.path.exists())
            if keeps:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # Seconds to wait for another process to finish its transaction.
            self._file = sqlite3.connect(self.path if keeps else "", timeout=60, isolation_level=None)
            with contextlib.suppress(sqlite3.OperationalError):  # another process is doing it
                self._file.execute("PRAGMA journal_mode = WAL")
            for statement in ("PRAGMA synchronous = NORMAL", _VECTORS, _PROBES):
                self._file.execute(statement)

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def probe(self) -> tuple[int, str]:
        """Return the length of the stored vectors, and the text to compare; 0 and "" if none are stored."""
        query = "SELECT width, probe FROM hosts WHERE model = ? AND dimensions = ? LIMIT 1"
        return next(iter(self._rows(query, *self.model)), (0, ""))

    def find(self, hashes: Iterable[str]) -> dict[str, np.ndarray]:
        """Return text hash -> (d,) float32 for those of `hashes` that are stored and sound."""
        query = "SELECT vector, checksum FROM vectors WHERE model = ? AND dimensions = ? AND text_hash = ?"
        found = {}
        for hash_ in hashes:
            for vector, checksum in self._rows(query, *self.model, hash_):
                if checksum == zlib.crc32(vector, zlib.crc32(hash_.encode())):
                    found[hash_] = np.frombuffer(vector, dtype="<f4")
        return found

    def store(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Keep the vectors (n, d) of `texts`, all or none."""
        probe = texts[0].encode("utf-8", "replace").decode()
        with self._explained(), self._file:  # commits, or rolls back where something is raised
            self._file.execute("BEGIN IMMEDIATE")
            about = (*self.model, vectors.shape[1], probe)
            self._file.execute("INSERT OR IGNORE INTO hosts VALUES (?, ?, '', ?, ?)", about)
            for text, vector in zip(texts, vectors):
                hash_, content = text_hash(text), vector.astype("<f4").tobytes()
                row = (*self.model, hash_, content, zlib.crc32(content, zlib.crc32(hash_.encode())))
                self._file.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", row)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._explained():
            return self._file.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of SQLite, and of a folder that can't be one, into ours."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError, RuntimeError) as error:
            what = f"{self.path} cannot be used ({error})"
            raise ArtifactError(f"{what}: give another cache folder, or delete a damaged file") from None
