"""What is known of movies in one way (words, pictures, sound): ids and a matrix, and files that hold them.

    .npz      arrays `movie_ids` (n,) and `vectors` (n, d)
    .npy      the matrix (n, d); its ids (n,) in NAME_ids.npy or, as a JSON list, NAME_ids.json beside it
    folder    one ID.npy (d,) for each movie, ID being the movie id

Vectors of a trained picture network such as ResNet-50 (2048 numbers, taken before its last layer) come in this form;
tastevec computes none itself. What it does compute: `posters` and `mfcc`.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..data.errors import ArtifactError, DataError

TEXT, VISUAL, AUDIO = "text", "visual", "audio"
_IDS, _VECTORS = ("movie_ids", "ids"), ("vectors", "embeddings")


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
    """Return a checked modality; raises `DataError` where ids and vectors do not fit or are no numbers."""
    ids, rows = np.asarray(movie_ids), np.asarray(vectors)
    if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
        raise DataError(f"{name}: ids {ids.shape} and vectors {rows.shape}: give (n,) ids and (n, d) vectors")
    if (len(ids) and ids.dtype.kind not in "iu") or rows.dtype.kind not in "iuf":
        raise DataError(f"{name}: ids of type {ids.dtype}, vectors of type {rows.dtype}: give whole numbers and floats")
    if len(np.unique(ids)) != len(ids):
        values, counts = np.unique(ids, return_counts=True)
        raise DataError(f"{name}: movie id {values[counts > 1][0]} occurs twice: give each movie once")
    with np.errstate(over="ignore"):  # told below
        rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        bad = ids[~np.isfinite(rows).all(axis=1)][0]
        raise DataError(f"{name}: the vector of movie id {bad} is not finite: make it again")
    return Modality(name, ids.astype(np.int64), rows, units_differ)


def read_modality(path: Path, name: str, units_differ: bool = False) -> Modality:
    """Read vectors from a file or folder of the forms above; never unpickles.

    Raises `DataError` for what is not of such a form, `ArtifactError` for a missing or damaged file.
    """
    if path.is_dir():
        return from_vectors(name, dict(_folder_vectors(path)), units_differ)
    if path.suffix == ".npz":
        found = _npz(path)
        ids, vectors = _named(found, _IDS, path), _named(found, _VECTORS, path)
    elif path.suffix == ".npy":
        vectors = read_npy(path)
        ids = _ids_beside(path)
    else:
        raise DataError(
            f"{path} is neither .npz nor .npy nor a folder of .npy files: give {name} vectors in such a form"
        )
    return make_modality(f"{name} vectors of {path}", ids, vectors, units_differ)._replace(name=name)


def from_vectors(name: str, vectors: Mapping[int, np.ndarray], units_differ: bool = False) -> Modality:
    """Return the modality of movies whose vectors came one by one; raises `DataError` for unequal widths."""
    if not vectors:
        raise DataError(f"no {name} vector at all: give at least one")
    widths = {movie_id: np.shape(vector) for movie_id, vector in vectors.items()}
    first = next(iter(widths.values()))
    for movie_id, width in widths.items():
        if len(width) != 1 or width != first:
            raise DataError(
                f"{name}: the vector of movie id {movie_id} has shape {width}, others {first}: use one kind"
            )
    ids = sorted(vectors)
    return make_modality(name, np.array(ids), np.stack([vectors[movie_id] for movie_id in ids]), units_differ)


def movie_files(folder: Path, suffixes: Iterable[str]) -> dict[int, Path]:
    """Return movie id -> file for the files of `folder` called ID.SUFFIX; other names are left alone.

    Raises `DataError` where there is none at all, and where two files name one movie.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in wanted and path.stem.isascii() and path.stem.isdecimal():
            movie_id = int(path.stem)
            if movie_id in found:
                raise DataError(f"{found[movie_id]} and {path} are of one movie: keep one of them")
            found[movie_id] = path
    if not found:
        names = ", ".join(f"ID{suffix}" for suffix in sorted(wanted))
        raise DataError(f"{folder} holds no file called {names}: name each file by the movie id of its movie")
    return found


def _folder_vectors(folder: Path) -> Iterable[tuple[int, np.ndarray]]:
    for movie_id, path in movie_files(folder, [".npy"]).items():
        yield movie_id, np.atleast_1d(np.squeeze(read_npy(path)))


def read_npy(path: Path) -> np.ndarray:
    """Return the array of a file; never unpickles.  Raises `ArtifactError` for a missing or damaged one."""
    with _explained(path):
        array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ArtifactError(f"{path} holds several arrays: call it .npz")
    return array


def _npz(path: Path) -> dict[str, np.ndarray]:
    with _explained(path), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name in (*_IDS, *_VECTORS)}


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell errors of reading arrays as ours."""
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: give an existing file") from None
    except PermissionError:
        raise  # no damage; `command.run` has the words for it
    except (ValueError, EOFError, OSError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"{path} is damaged ({str(error).splitlines()[0]}): make it again") from None


def _named(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path) -> np.ndarray:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise DataError(f"{path} has no array {names[0]!r}: give `movie_ids` (n,) and `vectors` (n, d)")


def _ids_beside(path: Path) -> np.ndarray:
    arrays, listed = path.with_name(f"{path.stem}_ids.npy"), path.with_name(f"{path.stem}_ids.json")
    if arrays.is_file():
        return read_npy(arrays)
    if listed.is_file():
        content = artifacts.load_json(listed)
        if isinstance(content, list) and all(type(entry) is int for entry in content):
            return np.array(content, dtype=np.int64)
        raise DataError(f"{listed} is no list of movie ids: write [1, 2, ...]")
    raise DataError(f"{path} has no ids: put {arrays.name} or {listed.name} beside it, or give an .npz with both")
