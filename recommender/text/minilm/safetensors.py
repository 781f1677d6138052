"""Reads a `.safetensors` file, the usual container of published weights, with numpy alone.

    8 bytes      n, the length of the header, unsigned little-endian
    n bytes      the header, JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
    the rest     the numbers of all arrays, row by row, little-endian; offsets count from here

Source: github.com/huggingface/safetensors, README, "Format", which allows no gap, no overlap and nothing after the
last array. Nothing in the file is executed, unlike a pickle. It is mapped: an array's pages are read when they are
first used.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from ...data.errors import ArtifactError

_DTYPES = {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
_DTYPES.update({f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "UI" for size in (1, 2, 4, 8)})


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, read-only views of the mapped file.

    Raises `ArtifactError` for a file that is missing, damaged, or holds a type that numpy lacks (BF16, F8).
    """
    try:
        file = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
        start = 8 + int.from_bytes(file[:8].tobytes(), "little")
        header = json.loads(file[8:start].tobytes())
        header.pop("__metadata__", None)
        arrays = {}
        for name, entry in header.items():
            (begin, end), dtype = entry["data_offsets"], np.dtype(_DTYPES[entry["dtype"]])
            if not 0 <= begin <= end or end - begin != math.prod(entry["shape"]) * dtype.itemsize:
                raise ValueError(f"{name} of shape {entry['shape']} does not fill bytes {begin} to {end}")
            arrays[name] = np.ndarray(tuple(entry["shape"]), dtype, file, start + begin)
        if sum(array.nbytes for array in arrays.values()) != len(file) - start:
            raise ValueError("its arrays leave gaps or overlap")
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: install or download the weights") from None
    except (ValueError, OSError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ArtifactError(f"{path} is damaged ({what}): install or download float weights again") from None
    return arrays
