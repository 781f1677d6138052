"""Reads a `.safetensors` file, the usual container of published weights, with numpy alone.

    8 bytes      n, the length of the header, unsigned little-endian
    n bytes      the header, JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
    the rest     the numbers of all arrays, row by row, little-endian; offsets count from here

The format (github.com/huggingface/safetensors, README, "Format") allows no gap, no overlap and nothing after the last
array, so the header of a whole file accounts for every byte, and a file that was cut or changed in length is noticed.
Nothing in it is executed, unlike a pickle. The file is mapped: an array's pages are read when they are first used.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import ArtifactError

_DTYPES = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_LONGEST_HEADER = 100_000_000  # the format's own limit


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, read-only views of the mapped file.

    Raises `ArtifactError` for a file that is missing, damaged, or holds a type that numpy lacks (BF16, F8).
    """
    try:
        file = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: install or download the weights") from None
    except (ValueError, OSError) as error:  # ValueError: an empty file can't be mapped
        raise _damaged(path, str(error)) from None
    header, start = _read_header(path, file)
    arrays = {}
    spans = []
    for name, entry in header.items():
        dtype, shape, begin, end = _check_entry(path, name, entry)
        if not 0 <= begin <= end <= len(file) - start:
            raise _damaged(path, f"{name} lies at bytes {begin} to {end} of {len(file) - start}")
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise _damaged(path, f"{name} of shape {shape} does not fill bytes {begin} to {end}")
        arrays[name] = np.ndarray(shape, dtype, file, start + begin)
        spans.append((begin, end))
    spans.sort()
    if any(end != begin for (_, end), (begin, _) in zip([(0, 0), *spans], [*spans, (len(file) - start, 0)])):
        raise _damaged(path, "its arrays leave gaps or overlap")
    return arrays


def _read_header(path: Path, file: np.ndarray) -> tuple[dict[str, Any], int]:
    """Return the header without its metadata, and the offset at which the numbers start."""
    if len(file) < 8:
        raise _damaged(path, f"only {len(file)} bytes")
    length = int.from_bytes(file[:8].tobytes(), "little")
    if length > min(_LONGEST_HEADER, len(file) - 8):
        raise _damaged(path, f"a header of {length} bytes in a file of {len(file)}")
    try:
        header = json.loads(file[8 : 8 + length].tobytes(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, a name twice
        raise _damaged(path, f"its header: {error}") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _check_entry(path: Path, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not _all_counts(shape) or not _all_counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"the header's entry of {name}")
    if dtype not in _DTYPES:
        raise ArtifactError(f"{path}: {name} holds {dtype}, which numpy lacks: convert the weights to F32")
    return np.dtype(_DTYPES[dtype]), tuple(shape), offsets[0], offsets[1]


def _all_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name twice")
    return result


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path} is damaged ({' '.join(what.split())}): install or download the weights again")
