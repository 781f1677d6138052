"""Vectors that were paid for, kept on disk: (model, dimensions, sha256 of the text) -> vector.

One SQLite file, `embeddings.sqlite3`. A batch is one transaction, so a process that is killed has stored a batch or
has not, and several processes may share the file. Each row carries a checksum over its key and its vector; a row that
does not fit its checksum counts as not there, and is paid for again.

The address of the server is no part of the key, so that a proxy, a restart on another port, or a mirror costs nothing.
But two servers may call two models the same name. So the cache remembers one text of each model and the hosts that
its vectors came from: a new host has to give nearly the same vector for that text before its vectors join the others.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...data import artifacts
from ...data.errors import ArtifactError
from ..movie_text import text_hash

FILE_NAME = "embeddings.sqlite3"
FORMAT_VERSION = 1
_WAIT = 60.0  # seconds for another process to finish its transaction
_AT_ONCE = 500  # hashes in one query; older SQLite takes at most 999
_TABLES = """
CREATE TABLE IF NOT EXISTS models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, dimensions INTEGER NOT NULL, width INTEGER NOT NULL,
    probe_text TEXT NOT NULL, UNIQUE (name, dimensions));
CREATE TABLE IF NOT EXISTS hosts (model INTEGER NOT NULL, host TEXT NOT NULL, PRIMARY KEY (model, host));
CREATE TABLE IF NOT EXISTS vectors (
    model INTEGER NOT NULL, text_hash BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (model, text_hash));
"""


class VectorCache:
    """The vectors of one model in one file; a context manager, for one thread.

    dimensions: as asked of the server; 0 where nothing was asked.  write: make the file if there is none.
    """

    def __init__(self, folder: Path, model: str, dimensions: int, write: bool = True) -> None:
        self.path, self.model, self.dimensions = folder / FILE_NAME, model, dimensions
        self._connection: Optional[sqlite3.Connection] = None
        if write or self.path.exists():
            with contextlib.ExitStack() as undo, self._explained():
                undo.callback(self.__exit__)
                artifacts.need_folder(folder, "--cache")
                folder.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)
                self._prepare()
                undo.pop_all()

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    @property
    def width(self) -> Optional[int]:
        """The length of the stored vectors; None before the first."""
        row = self._model_row()
        return row[1] if row else None

    def unknown_host(self, host: str) -> Optional[str]:
        """Return the text that `host` has to prove itself with; None where its vectors are here, or none at all."""
        row = self._model_row()
        if row is None or self._rows("SELECT 1 FROM hosts WHERE model = ? AND host = ?", (row[0], host)):
            return None
        return str(row[2])

    def find(self, hashes: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (text hash, (d,) float32) for each of `hashes` that is stored and sound; in no order."""
        row = self._model_row()
        for start in range(0, len(hashes) if row else 0, _AT_ONCE):
            keys = [bytes.fromhex(text) for text in hashes[start : start + _AT_ONCE]]
            marks = ",".join("?" * len(keys))
            query = f"SELECT text_hash, vector, checksum FROM vectors WHERE model = ? AND text_hash IN ({marks})"
            for key, vector, checksum in self._rows(query, (row[0] if row else 0, *keys)):
                if row and len(vector) == 4 * row[1] and checksum == zlib.crc32(vector, zlib.crc32(key)):
                    yield key.hex(), np.frombuffer(vector, dtype="<f4")

    def store(self, texts: Sequence[str], vectors: np.ndarray, host: str) -> None:
        """Keep the vectors (n, d) of `texts`, all or none, as given by `host`; raises `ArtifactError` for another d."""
        if self._connection is None or not len(texts):
            return
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute(
                    "INSERT OR IGNORE INTO models (name, dimensions, width, probe_text) VALUES (?, ?, ?, ?)",
                    (self.model, self.dimensions, vectors.shape[1], _storable(texts[0])),
                )
                row = self._model_row()
                if row is None or row[1] != vectors.shape[1]:
                    raise ArtifactError(
                        f"{self.path} holds vectors of length {row[1] if row else 0} for {self.model!r}, "
                        f"now {vectors.shape[1]} came: give another cache folder"
                    )
                self._connection.execute("INSERT OR IGNORE INTO hosts VALUES (?, ?)", (row[0], host))
                self._connection.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", _records(row[0], texts, vectors)
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        """Make the tables where there are none; the switch of a new file to WAL does not wait, so it is tried again."""
        if self._connection is None:
            return
        for attempt in range(600):
            try:
                version = self._connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    # With a write-ahead log, a batch costs no wait for the disk, and a power cut only the last ones.
                    self._connection.execute("PRAGMA journal_mode = WAL")
                    self._connection.execute("BEGIN IMMEDIATE")
                    for statement in _TABLES.split(";")[:-1]:
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
                    self._connection.execute("COMMIT")
                elif version != FORMAT_VERSION:
                    raise ArtifactError(
                        f"{self.path} has format version {version}, this program reads {FORMAT_VERSION}: "
                        "give another cache folder"
                    )
                self._connection.execute("PRAGMA synchronous = NORMAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or attempt == 599:
                    raise
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            time.sleep(0.1)

    def _model_row(self) -> Optional[tuple[int, int, str]]:
        rows = self._rows(
            "SELECT id, width, probe_text FROM models WHERE name = ? AND dimensions = ?", (self.model, self.dimensions)
        )
        return rows[0] if rows else None

    def _rows(self, query: str, values: Iterable[object]) -> list[Any]:
        if self._connection is None:
            return []
        with self._explained():
            return self._connection.execute(query, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Tell errors of SQLite as ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ArtifactError(f"{self.path} cannot be used ({error}): give another cache folder") from None
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"{self.path} is damaged ({error}): delete it; its vectors will be asked for again"
            ) from None


def _records(model: int, texts: Sequence[str], vectors: np.ndarray) -> Iterator[tuple[int, bytes, bytes, int]]:
    for text, vector in zip(texts, vectors):
        key, content = bytes.fromhex(text_hash(text)), vector.astype("<f4").tobytes()
        yield model, key, content, zlib.crc32(content, zlib.crc32(key))


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
