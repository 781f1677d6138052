"""Vectors that were paid for, kept on disk: (model, dimensions, sha256 of the text) -> vector.

One SQLite file. A batch is one transaction, so a process that is killed has stored a batch or has not, and several
processes may share the file. Each row carries a checksum; a row that does not fit it is paid for again.

The address of the server is no part of the key, so that a proxy, a restart on another port, or a mirror costs nothing.
But two servers may call two models the same name. So the cache remembers one text of each model and the hosts that
its vectors came from: a new host has to give nearly the same vector for that text before its vectors join the others.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...data import artifacts
from ...data.errors import ArtifactError, SettingsError
from ..movie_text import text_hash

FILE_NAME = "embeddings.sqlite3"
FORMAT_VERSION = 1
_AT_ONCE = 500  # hashes in one query; older SQLite takes at most 999
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, dimensions INTEGER NOT NULL, width INTEGER NOT NULL,
    probe_text TEXT NOT NULL, UNIQUE (name, dimensions));
CREATE TABLE IF NOT EXISTS hosts (model INTEGER NOT NULL, host TEXT NOT NULL, PRIMARY KEY (model, host));
CREATE TABLE IF NOT EXISTS vectors (
    model INTEGER NOT NULL, text_hash BLOB NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (model, text_hash));
PRAGMA user_version = {FORMAT_VERSION};
COMMIT;
"""


class VectorCache:
    """The vectors of one model in one file; a context manager, for one thread.

    folder: "" for a cache that keeps nothing.  dimensions: as asked of the server; 0 where nothing was asked.
    write: make the file if there is none.
    """

    def __init__(self, folder: Path | str, model: str, dimensions: int, write: bool = True) -> None:
        self.key = (model, dimensions)
        try:
            self.path = Path(folder).expanduser() / FILE_NAME
        except RuntimeError:
            raise SettingsError(f"no home folder to put {folder} in: give a folder with --cache") from None
        self.keeps = bool(str(folder)) and (write or self.path.exists())
        with self._explained():
            if self.keeps:
                artifacts.need_folder(self.path.parent, "--cache")
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # Seconds to wait for another process to finish its transaction.
            self._file = sqlite3.connect(self.path if self.keeps else ":memory:", timeout=60, isolation_level=None)
            self._prepare()

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def width(self) -> Optional[int]:
        """The length of the stored vectors; None before the first."""
        row = self._model()
        return row[1] if row else None

    def unknown_host(self, host: str) -> Optional[str]:
        """Return the text that `host` has to prove itself with; None where its vectors are here, or none at all."""
        row = self._model()
        if row is None or self._rows("SELECT 1 FROM hosts WHERE model = ? AND host = ?", row[0], host):
            return None
        return str(row[2])

    def find(self, hashes: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (text hash, (d,) float32) for each of `hashes` that is stored and sound; in no order."""
        row = self._model()
        for start in range(0, len(hashes) if row else 0, _AT_ONCE):
            keys = [bytes.fromhex(text) for text in hashes[start : start + _AT_ONCE]]
            marks = ",".join("?" * len(keys))
            query = f"SELECT text_hash, vector, checksum FROM vectors WHERE model = ? AND text_hash IN ({marks})"
            for key, vector, checksum in self._rows(query, row[0], *keys):
                if len(vector) == 4 * row[1] and checksum == zlib.crc32(vector, zlib.crc32(key)):
                    yield key.hex(), np.frombuffer(vector, dtype="<f4")

    def store(self, texts: Sequence[str], vectors: np.ndarray, host: str) -> None:
        """Keep the vectors (n, d) of `texts`, all or none, as given by `host`."""
        if not self.keeps:
            return
        with self._explained(), self._file:  # commits, or rolls back where something is raised
            self._file.execute("BEGIN IMMEDIATE")
            probe = texts[0].encode("utf-8", "replace").decode()
            self._rows(
                "INSERT OR IGNORE INTO models (name, dimensions, width, probe_text) VALUES (?, ?, ?, ?)",
                *(*self.key, vectors.shape[1], probe),
            )
            row = self._model()
            self._rows("INSERT OR IGNORE INTO hosts VALUES (?, ?)", row[0], host)
            for text, vector in zip(texts, vectors):
                key, content = bytes.fromhex(text_hash(text)), vector.astype("<f4").tobytes()
                checksum = zlib.crc32(content, zlib.crc32(key))
                self._rows("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", row[0], key, content, checksum)

    def _prepare(self) -> None:
        """Make the tables where there are none."""
        for _ in range(600):
            version = self._rows("PRAGMA user_version")[0][0]
            if version not in (0, FORMAT_VERSION):
                raise ArtifactError(
                    f"{self.path} has format version {version}, this program reads {FORMAT_VERSION}: "
                    "give another cache folder"
                )
            try:
                if version == 0:
                    # With a write-ahead log, a batch costs no wait for the disk, and a power cut only the last ones.
                    self._file.execute("PRAGMA journal_mode = WAL")
                    self._file.executescript(_TABLES)
                self._file.execute("PRAGMA synchronous = NORMAL")
                return
            except sqlite3.OperationalError as error:  # the switch to WAL does not wait for another process
                if "locked" not in str(error):
                    raise
            time.sleep(0.1)

    def _model(self) -> Any:
        """Return (id, width, probe text) of the model, or None."""
        query = "SELECT id, width, probe_text FROM models WHERE name = ? AND dimensions = ?"
        return next(iter(self._rows(query, *self.key)), None)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._explained():
            return self._file.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of SQLite into ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ArtifactError(f"{self.path} cannot be used ({error}): give another cache folder") from None
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{self.path} is damaged ({error}): delete it, to ask for its vectors again") from None
