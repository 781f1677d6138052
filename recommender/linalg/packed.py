"""What a task of Dask is given: one piece of bytes, and its large arrays as places in files that a worker maps.

Dask unpacks an array wherever it comes to lie, and numpy multiplies one at an odd address twenty times slower; so a
value is pickled here into one piece. A large array is named by its place in the file that it is mapped from, or else
in a temporary one, where all workers see that file: scheduler and this process then pass on names, not ratings.
"""

from __future__ import annotations

import contextlib
import mmap
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional

import numpy as np

from ..data.errors import ServiceError

LARGE = 1 << 18  # bytes of an array that goes through a file
Stamp = tuple[int, int]


class Packed(NamedTuple):
    """A value as bytes, and where its large arrays are: path, `stamp_of` (None: any), first byte and bytes of each."""

    value: bytes
    places: list[tuple[str, Optional[Stamp], int, int]]


def pack(value: Any, file: BinaryIO, sees: Callable[[str], bool]) -> Packed:
    """Return `value` packed; large arrays that no file holds are appended to `file`.

    sees: whether the workers see the file of a path.
    """
    places = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        cells = buffer.raw()
        if cells.nbytes < LARGE:
            return True
        if (place := mapped(cells.obj)) and sees(place[0]):
            places.append((*place, cells.nbytes))
        elif sees(file.name):
            places.append((file.name, None, file.tell(), cells.nbytes))
            file.write(cells)
            file.write(bytes(-cells.nbytes % 64))  # the next one begins where numpy reads fast
        else:
            return True
        return False

    packed = pickle.dumps(value, protocol=5, buffer_callback=stays)
    file.flush()
    return Packed(packed, places)


def mapped(array: Any) -> Optional[tuple[str, Optional[Stamp], int]]:
    """Return path, stamp and first byte of an array in a mapped file; None unless Linux says it is still that file."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if not isinstance(whole.base, mmap.mmap):
        return None
    path, first = str(Path(whole.filename).resolve()), array.ctypes.data
    stamp = stamp_of(path)  # first: what is replaced from now on has another
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            low, high = (int(address, 16) for address in line.split(" ", 1)[0].split("-"))
            if low <= first < high and line.split(maxsplit=5)[-1] == path:  # else moved, replaced or deleted
                return path, stamp, whole.offset + first - whole.ctypes.data
    return None


def stamp_of(path: str) -> Optional[Stamp]:
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
