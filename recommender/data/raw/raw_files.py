"""Raw data files by name, from a folder (also as .gz) or a .zip."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Optional, cast

from ..errors import DataError

_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


class RawFiles:
    """The data set at `path`: a folder, a .zip, or a folder that holds exactly one of these.

    pairs: name of the ratings file -> name of the movie list. `ratings_name` and `movies_name` are the pair found.
    Raises `DataError` if there is none, or more than one. `ratings.csv.gz` counts as `ratings.csv`.
    """

    def __init__(self, path: Path, pairs: Mapping[str, str]) -> None:
        if not path.exists():
            get = "download a data set with python -m preprocess.download ml-latest-small"
            raise DataError(f"no data at {path}: {get}, or give a folder or .zip with --data")
        self._zip: Optional[zipfile.ZipFile] = None
        if path.is_file() and path.name.lower() in pairs:  # one file
            self.path, self._members = path.parent, {path.name.lower(): str(path)}
            self.ratings_name, self.movies_name = path.name.lower(), pairs[path.name.lower()]
            return
        self.path = _step_inside(path, pairs) if path.is_dir() else path
        self._members = _files_of(self.path) if self.path.is_dir() else self._open_zip()
        found = [name for name in pairs if name in self._members]
        if not found:
            raise DataError(f"{self.path} has no ratings: expected one of {', '.join(pairs)}")
        if len(found) > 1:
            raise DataError(f"{self.path} has {' and '.join(found)}: keep one data set in each folder")
        self.ratings_name, self.movies_name = found[0], pairs[found[0]]
        if self.movies_name not in self._members:
            problem = f"has {self.ratings_name} but no {self.movies_name}: put the movie list beside it"
            raise DataError(f"{self.path} {problem}")

    def _open_zip(self) -> dict[str, str]:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except _DAMAGED:
            remedy = "give its folder" if self.path.suffix != ".zip" else "download it again"
            raise DataError(f"{self.path} is damaged or not a .zip: {remedy}") from None
        # The shallowest file of a name counts: archives made on a Mac repeat each name deeper, under __MACOSX/.
        deepest_first = sorted(self._zip.namelist(), key=lambda name: (name.count("/"), name), reverse=True)
        return {member.rsplit("/", 1)[-1]: member for member in deepest_first if not member.endswith("/")}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def error(self, name: str, problem: str, line: Optional[int] = None) -> DataError:
        """Return an error for a file, and a line of it."""
        label = f"{self.path}: {name}" if self._zip else self._members[name]
        return DataError(f"{label} {problem}" if line is None else f"{label} line {line}: {problem}")

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading bytes; raises `DataError` if it turns out to be damaged."""
        place = self._members[name]
        try:
            if self._zip:
                with self._zip.open(place) as member:
                    yield member
            else:
                with gzip.open(place) if place.endswith(".gz") else open(place, "rb") as file:
                    yield cast("IO[bytes]", file)
        except _DAMAGED as error:
            raise self.error(name, f"is damaged ({error}): download it again") from None
        except RuntimeError as error:
            if "password" in str(error) or "encrypted" in str(error):
                raise self.error(name, "is encrypted: unpack it and give the folder") from None
            raise

    def text(self, name: str, *encodings: str) -> tuple[io.StringIO, str]:
        """Return the whole file as text and the first of `encodings` that decodes it; line ends are kept."""
        with self.open(name) as file:
            data = file.read()
        for encoding in encodings:
            try:
                return io.StringIO(data.decode(encoding), newline=""), encoding
            except UnicodeDecodeError as error:
                line = data.count(b"\n", 0, error.start) + 1
                problem = f"byte {data[error.start]:#04x}"
        raise self.error(name, f"not valid UTF-8 ({problem}): convert the file", line)


def _files_of(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.iterdir(), reverse=True) if file.is_file()]  # x.csv wins over x.csv.gz
    return {file.name.removesuffix(".gz"): str(file) for file in files}


def _step_inside(folder: Path, pairs: Mapping[str, str]) -> Path:
    """Return `folder`, or the one subfolder or .zip in it with the data."""
    inside = sorted(folder.iterdir())
    places = [place for place in (folder, *inside) if place.is_dir() and not pairs.keys().isdisjoint(_files_of(place))]
    if folder in places:
        return folder
    places = places or [place for place in inside if place.is_file() and place.suffix.lower() == ".zip"]
    if len(places) == 1:
        return places[0]
    if places:
        names = ", ".join(place.name for place in places)
        raise DataError(f"{folder} has several data sets ({names}): name one with --data")
    problem = f"has no ratings (none of {', '.join(pairs)}, nor a .zip): give the folder of a data set with --data"
    raise DataError(f"{folder} {problem}")
