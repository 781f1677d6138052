"""One process at a time: a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import ArtifactError


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a folder, or a lock file that its holder may delete, for this process alone; a second one is refused."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there, two writers at once stay the user's to avoid
        yield
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
                raise BlockingIOError  # its holder deleted the file between our opening and our locking it
        except BlockingIOError:
            raise ArtifactError(f"another process is using {what}: wait until it ends, then try again") from None
        yield
    finally:
        os.close(handle)
