"""Vectors of movies made elsewhere, and the files that hold them.

.npz      arrays `movie_ids` (n,) and `vectors` (n, d)
.npy      the matrix (n, d); its ids (n,) in NAME_ids.npy beside it
folder    one ID.npy (d,) for each movie, ID being the movie id; or files that `audio` and `visual` can read
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Callable

import numpy as np
import numpy.typing as npt

from ..data.errors import DataError
from ..data.files import load_arrays

Vectors = tuple[np.ndarray, np.ndarray]  # movie ids (n,) int64, each once; vectors (n, d) float32
Progress = Callable[[int, int], None]
_FORM = "give an .npz with `movie_ids` (n,) and `vectors` (n, d)"


def read_vectors(
    path: Path,
    endings: Iterable[str],
    make: Callable[[Path], np.ndarray],
    progress: Progress = lambda done, n: None,
    make_of_array: Callable[[np.ndarray], np.ndarray] = lambda array: array,
) -> Vectors:
    """Read vectors from a file or folder of the forms above; never unpickles.

    endings: of the files of a folder, beside .npy, which counts only where there is no other.  make: file -> its
    movie's vector.  progress: called with how many of how many files are done.  make_of_array: the same for what a
    .npy of the folder holds, if that is no vector.
    Raises `DataError`, naming the file, for what is not of such a form, `ArtifactError` for a damaged file.
    """
    if path.is_dir():
        there = {file.suffix.lower() for file in path.iterdir()} & {*endings}
        files, rows = movie_files(path, there or {".npy"}), list[np.ndarray]()
        for file in files.values():
            try:
                array = make(file) if there else np.squeeze(read_array(file))
                rows.append(array if array.ndim == 1 else make_of_array(array))
                if rows[-1].shape != rows[0].shape:
                    raise DataError(f"shape {rows[-1].shape}, others {rows[0].shape}: use one kind")
            except DataError as error:
                raise DataError(f"movie id {file.stem}, {file.name}: {error}") from None
            progress(len(rows), len(files))
        return checked(path, list(files), rows)
    if path.suffix == ".npz":
        return checked(path, *load_arrays(path, dict.fromkeys(("movie_ids", "vectors")), _FORM).values())
    if path.suffix == ".npy":
        vectors, ids = read_array(path), path.with_name(f"{path.stem}_ids.npy")
        return checked(path, read_array(ids, f"put the ids of {path.name} there, or {_FORM}"), vectors)
    raise DataError(f"{path} is neither .npz nor .npy nor a folder of .npy files: {_FORM}")


def read_array(path: Path, remedy: str = "make it again") -> np.ndarray:
    """Return the array of a `.npy`; raises `ArtifactError` if it is missing or damaged."""
    return load_arrays(path, {path.stem: None}, remedy)[path.stem]


def checked(label: object, movie_ids: npt.ArrayLike, vectors: npt.ArrayLike) -> Vectors:
    """Return ids and vectors; raises `DataError`, with the label, if they do not fit or are not finite numbers."""
    ids, rows = np.asarray(movie_ids), np.asarray(vectors)
    numbers = ids.dtype.kind in "iu" and rows.dtype.kind in "iuf"
    if not numbers or ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
        what = f"ids {ids.shape} {ids.dtype}, vectors {rows.shape} {rows.dtype}"
        raise DataError(f"{label}: {what}: give whole numbers (n,) and floats (n, d)")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{label}: movie id {values[counts > 1][0]} occurs twice: give each movie once")
    with np.errstate(over="ignore"):  # found in the next lines
        rows = rows.astype(np.float32)
    if not (finite := np.isfinite(rows).all(axis=1)).all():
        raise DataError(f"{label}: the vector of movie id {ids[~finite][0]} is not finite: make it again")
    return ids.astype(np.int64), rows


def movie_files(folder: Path, suffixes: Iterable[str]) -> dict[int, Path]:
    """Return movie id -> file, ascending, for the files of `folder` called ID.SUFFIX; others are left alone.

    Raises `DataError` if there is none at all, and where two files name one movie.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and path.stem.isascii() and path.stem.isdecimal():
            if int(path.stem) in found:
                raise DataError(f"{found[int(path.stem)]} and {path} are of one movie: keep one of them")
            found[int(path.stem)] = path
    if not found:
        names = ", ".join(f"ID{suffix}" for suffix in sorted(suffixes))
        raise DataError(f"{folder} has no file called {names}: name each file by the movie id of its movie")
    return dict(sorted(found.items()))
