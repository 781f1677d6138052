"""What is known of movies in one way (words, pictures, sound): ids and a matrix, and files that hold them.

    .npz      arrays `movie_ids` (n,) and `vectors` (n, d)
    .npy      the matrix (n, d); its ids (n,) in NAME_ids.npy or, as a JSON list, NAME_ids.json beside it
    folder    one ID.npy (d,) for each movie, ID being the movie id; or files that `audio` and `visual` can read

Vectors of a trained picture network such as ResNet-50 (2048 numbers, taken before its last layer) come in this form.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from ..data.errors import ArtifactError, DataError
from ..data.files import load_json

TEXT, VISUAL, AUDIO = "text", "visual", "audio"
Progress = Callable[[int, int], None]


class Modality(NamedTuple):
    """One way to know movies.

    name: text, visual, audio or another word.  movie_ids: (n,) int64, each once.  vectors: (n, d) float32; a row of
    zeros means that nothing is known.  units_differ: whether the columns have units of their own (those of MFCC do:
    the first, the loudness, is hundreds of times the last), so that fusion has to bring them to one scale.
    """

    name: str
    movie_ids: np.ndarray
    vectors: np.ndarray
    units_differ: bool = False


def make_modality(name: str, movie_ids: npt.ArrayLike, vectors: npt.ArrayLike, units_differ: bool = False) -> Modality:
    """Return a checked modality; raises `DataError` if ids and vectors do not fit or are not numbers."""
    ids, rows = np.asarray(movie_ids), np.asarray(vectors)
    if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
        raise DataError(f"{name}: ids {ids.shape} and vectors {rows.shape}: give (n,) ids and (n, d) vectors")
    if (len(ids) and ids.dtype.kind not in "iu") or rows.dtype.kind not in "iuf":
        raise DataError(f"{name}: ids of type {ids.dtype}, vectors of type {rows.dtype}: give whole numbers and floats")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{name}: movie id {values[counts > 1][0]} occurs twice: give each movie once")
    with np.errstate(over="ignore"):  # found in the next lines
        rows = rows.astype(np.float32)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise DataError(f"{name}: the vector of movie id {ids[~finite][0]} is not finite: make it again")
    return Modality(name, ids.astype(np.int64), rows, units_differ)


def read_modality(
    path: Path,
    name: str,
    features: Optional[Mapping[str, Callable[[Path], np.ndarray]]] = None,
    units_differ: bool = False,
    progress: Progress = lambda done, n: None,
) -> Modality:
    """Read vectors from a file or folder of the forms above; never unpickles.

    features: ending -> what makes a vector of such a file; without one for .npy, the array in it.  progress: called
    with how many of how many files are done.  Raises `DataError`, naming the file, for what is not of such a form,
    `ArtifactError` for a missing or damaged file.
    """
    if path.is_dir():
        makers = {".npy": read_vector, **(features or {})}
        endings = {file.suffix.lower() for file in path.iterdir()} & makers.keys() - {".npy"}
        files = movie_files(path, endings or {".npy"})
        vectors = {}
        for done, (movie_id, file) in enumerate(files.items(), 1):
            try:
                vectors[movie_id] = makers[file.suffix.lower()](file)
            except DataError as error:
                raise DataError(f"movie id {movie_id}, {file.name}: {error}") from None
            progress(done, len(files))
        return from_vectors(name, vectors, units_differ)
    if path.suffix == ".npz":
        arrays = _load(path, several=True)
        ids, rows = arrays.get("movie_ids", arrays.get("ids")), arrays.get("vectors", arrays.get("embeddings"))
        if ids is None or rows is None:
            raise DataError(f"{path} holds {', '.join(arrays)}: give `movie_ids` (n,) and `vectors` (n, d)")
    elif path.suffix == ".npy":
        rows = _load(path)
        beside, listed = (path.with_name(f"{path.stem}_ids{ending}") for ending in (".npy", ".json"))
        if not beside.is_file() and not listed.is_file():
            raise DataError(f"{path} has no ids: put {beside.name} or {listed.name} beside it, or give an .npz of both")
        ids = _load(beside) if beside.is_file() else np.array(load_json(listed))
    else:
        raise DataError(f"{path} is neither .npz nor .npy nor a folder of .npy files: give {name} vectors as such")
    return make_modality(f"{name} vectors of {path}", ids, rows, units_differ)._replace(name=name)


def from_vectors(name: str, vectors: Mapping[int, np.ndarray], units_differ: bool = False) -> Modality:
    """Return the modality of movies whose vectors came one by one; raises `DataError` for unequal widths."""
    first = np.shape(next(iter(vectors.values())))
    for movie_id, vector in vectors.items():
        if vector.ndim != 1 or vector.shape != first:
            what = f"the vector of movie id {movie_id} has shape {vector.shape}, others {first}"
            raise DataError(f"{name}: {what}: use one kind")
    ids = sorted(vectors)
    return make_modality(name, np.array(ids), np.stack([vectors[movie_id] for movie_id in ids]), units_differ)


def movie_files(folder: Path, suffixes: Iterable[str]) -> dict[int, Path]:
    """Return movie id -> file for the files of `folder` called ID.SUFFIX; other names are left alone.

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
    return found


def read_vector(path: Path) -> np.ndarray:
    """Return the array of a `.npy` without axes of length 1; never unpickles.

    Raises `ArtifactError` for a missing or damaged file.
    """
    return np.atleast_1d(np.squeeze(_load(path)))


def _load(path: Path, several: bool = False) -> Any:
    """Return the array of a `.npy`, or of an `.npz` the `several` arrays by name."""
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                found = dict(found)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: give an existing file") from None
    except PermissionError:
        raise  # no damage: `cli.run` has the words for it
    except (ValueError, EOFError, OSError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise ArtifactError(f"{path} is damaged ({what}): make it again") from None
    if isinstance(found, dict) != several:
        raise ArtifactError(f"{path} holds {'one array: call it .npy' if several else 'several arrays: call it .npz'}")
    return found
