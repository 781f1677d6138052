"""What a task of Dask is given: one piece of bytes, and its large arrays as places in files that a worker maps.

Dask unpacks an array wherever it comes to lie, and numpy multiplies one at an odd address twenty times slower. So what
is sent is packed by the engine, into one piece, and unpacked here.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import pickle
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.errors import ServiceError


class Packed(NamedTuple):
    """A value as bytes, and where its large arrays are: path, `stamp_of` (None: any), first byte and bytes of each."""

    value: bytes
    places: tuple[tuple[str, Optional[tuple[int, int]], int, int], ...]


def mapped(array: Any) -> Optional[tuple[str, Optional[tuple[int, int]], int]]:
    """Return path, stamp and first byte of an array in a mapped file; None unless Linux says it is still that file."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if not isinstance(whole, np.memmap) or not isinstance(whole.base, mmap.mmap) or whole.filename is None:
        return None
    path, first = str(Path(whole.filename).resolve()), array.ctypes.data
    stamp = stamp_of(path)  # first: what is replaced from now on has another
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            low, high = (int(address, 16) for address in line.split(" ", 1)[0].split("-"))
            if low <= first < high and line.split(maxsplit=5)[-1] == path:  # else moved, replaced or deleted
                return path, stamp, whole.offset + first - whole.ctypes.data
    return None


def stamp_of(path: str) -> Optional[tuple[int, int]]:
    """Return what a file that has been replaced, or another of this name, would have different; None without a file."""
    with contextlib.suppress(OSError):
        about = Path(path).stat()
        return about.st_size, about.st_mtime_ns
    return None


def unpack(packed: Packed) -> Any:
    """Return the value; raises `ServiceError` for a file that is not what it was when the value was packed."""
    try:
        files = [np.memmap(path, np.uint8, "c", first, (n_bytes,)) for path, _, first, n_bytes in packed.places]
        changed = [path for path, stamp, *_ in packed.places if stamp and stamp != stamp_of(path)]
    except (OSError, ValueError) as error:  # not there, or shorter
        changed = [str(error)]
    if changed:
        raise ServiceError(f"a worker finds a file changed or missing ({changed[0]}): run this again")
    return pickle.loads(packed.value, buffers=files)


unpack_once = functools.lru_cache(maxsize=1)(unpack)
