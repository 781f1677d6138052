"""Atomic file writes, lock files, and checked reading of arrays and JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt

from .errors import ArtifactError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
LARGE = 16 << 20  # bytes; larger files are not read whole without need
_AGAIN = "rebuild the artifact"
_DAMAGE = (
    KeyError, ValueError, EOFError, OSError, AttributeError, TypeError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` atomically, on failure it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.urandom(4).hex()}.part")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush the file to disk."""
    with open(path, "r+b") as file:  # Windows cannot flush a file opened for reading only
        os.fsync(file.fileno())


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`, or `.tastevec.lock` in the folder `path`, exclusively; then delete it.

    The operating system releases the lock if the process dies. Raises `ArtifactError`, naming `what`, while
    another process holds it.
    """
    path = path / ".tastevec.lock" if path.is_dir() else path
    with open(path, "ab") as file:
        try:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    raise BlockingIOError  # its holder deleted the file between open and lock
        except OSError:
            raise ArtifactError(f"another process is using {what}: wait until it ends, then try again") from None
        try:
            yield
        finally:
            if sys.platform != "win32":  # where an open file cannot be deleted
                path.unlink(missing_ok=True)  # still locked: no other process can acquire it in between


def load_arrays(
    path: Path, dtypes: Mapping[str, Optional[npt.DTypeLike]], remedy: str = _AGAIN
) -> dict[str, np.ndarray]:
    """Read the arrays of `X.npz` that `dtypes` names, or the one of `X.npy`, called `X`; never unpickles.

    Raises `ArtifactError` for a missing or damaged file and for a wrong dtype; a dtype of None is not checked.
    """
    with _reading(path, remedy), contextlib.ExitStack() as stack:
        # A large array is mapped, not copied, where writers may replace a file that is mapped.
        mapped = path.suffix == ".npy" and path.stat().st_size > LARGE and sys.platform != "win32"
        content = np.load(path, "c" if mapped else None)
        content = {path.stem: np.asarray(content)} if path.suffix == ".npy" else stack.enter_context(content)
        if missing := [name for name in dtypes if name not in content]:
            raise ValueError(f"it has no {', '.join(missing)}")
        arrays = {name: content[name] for name in dtypes}
        for name, dtype in dtypes.items():
            if dtype is not None and arrays[name].dtype != dtype:
                raise ValueError(f"{name} is {arrays[name].dtype}, expected {np.dtype(dtype)}")
    return arrays


def load_json(path: Path, remedy: str = _AGAIN, convert: Callable[[Any], Any] = lambda value: value) -> Any:
    """Read a JSON file; raises `ArtifactError`, with the remedy, if it is missing or damaged.

    convert: what to make of the value; its errors count as damage.
    """
    with _reading(path, remedy):
        return convert(parse_json(path.read_text(encoding="utf-8-sig")))


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raises `ValueError`, also for a repeated key.

    A number of too many digits becomes bytes, which no reader takes for a number, so that it can say where it is.
    """
    long = (lambda n: int(n) if len(n) <= 100 else n.encode()) if re.search("[0-9]{101}", text) else None
    return json.loads(text, object_pairs_hook=_object, parse_int=long)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"key {Counter(key for key, _ in pairs).most_common(1)[0][0]!r} is given twice")
    return found


@contextlib.contextmanager
def _reading(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: {remedy}") from None
    except _DAMAGE as error:
        broken = isinstance(error, (KeyError, TypeError, AttributeError)) or not str(error)
        what = "not what it should be" if broken else str(error).splitlines()[0].partition("; use ")[0]
        raise ArtifactError(f"{path} is damaged ({what}): {remedy}") from None


def dump_json(value: Any, path: Path) -> None:
    """Write JSON as UTF-8 with a final newline."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file as hexadecimal digits."""
    digest, block = hashlib.new(algorithm, usedforsecurity=False), memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(block):
            digest.update(block[:n])
    return digest.hexdigest()


def ids_sha256(ids: np.ndarray) -> str:
    """Return the SHA-256 of a list of ids; artifacts with the same one have the same rows."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()
