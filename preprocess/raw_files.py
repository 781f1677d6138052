"""Raw data files by name, whether they lie in a folder or inside a .zip."""

from __future__ import annotations

import contextlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Optional

from recommender.data.errors import DataError

# The pairs that tell a data set: ratings, movies.
KNOWN_PAIRS = (("ratings.csv", "movies.csv"), ("ratings.dat", "movies.dat"), ("u.data", "u.item"))
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


class RawFiles:
    """The data set at `path`: a folder, a .zip, or a folder that holds exactly one of these.

    `ratings_name` and `movies_name` are the pair of `KNOWN_PAIRS` that was found. Raises `DataError` where there is
    none, or more than one.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise DataError(
                f"no data at {path}: get a data set with python -m preprocess.download ml-latest-small, "
                "or give a folder or .zip with --data"
            )
        if path.is_dir():
            path = _step_inside(path)
        self.path = path
        self._zip: Optional[zipfile.ZipFile] = None
        self._members: dict[str, str] = {}
        if path.is_dir():
            self._members = {file.name: str(file) for file in sorted(path.iterdir()) if file.is_file()}
        else:
            self._open_zip()
        found = [pair for pair in KNOWN_PAIRS if pair[0] in self._members]
        if not found:
            names = ", ".join(pair[0] for pair in KNOWN_PAIRS)
            raise DataError(f"{path} holds no ratings: expected one of {names}")
        if len(found) > 1:
            names = " and ".join(pair[0] for pair in found)
            raise DataError(f"{path} holds {names}: keep one data set in one place")
        self.ratings_name, self.movies_name = found[0]
        if self.movies_name not in self._members:
            raise DataError(f"{path} holds {self.ratings_name} but no {self.movies_name}: put the movie list beside it")

    def _open_zip(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self.path)
            names = self._zip.namelist()
        except (*_DAMAGED, NotImplementedError):
            raise DataError(f"{self.path} is not a .zip, or a damaged one: download it again") from None
        # The shallowest file of a name counts: archives made on a Mac repeat each name deeper, under __MACOSX/.
        for member in sorted(names, key=lambda name: (name.count("/"), name), reverse=True):
            if not member.endswith("/"):
                self._members[member.rsplit("/", 1)[-1]] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def label(self, name: str) -> str:
        """Return how messages call the file."""
        return f"{self.path}: {name}" if self._zip else str(self.path / name)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for reading bytes; damage that shows while it is read raises `DataError`."""
        try:
            if self._zip:
                with self._zip.open(self._members[name]) as member:
                    yield member
            else:
                with open(self._members[name], "rb") as file:
                    yield file
        except (*_DAMAGED, NotImplementedError) as error:
            raise DataError(f"{self.label(name)} is damaged ({error}): download it again") from None
        except RuntimeError as error:
            if "password" in str(error) or "encrypted" in str(error):
                raise DataError(f"{self.label(name)} is encrypted: unpack it and give the folder") from None
            raise

    def text(self, name: str, encodings: tuple[str, ...] = ("utf-8-sig",)) -> io.StringIO:
        """Return the whole file as text, in the first of `encodings` that fits; line ends stay as they are."""
        with self.open(name) as file:
            data = file.read()
        for encoding in encodings:
            try:
                return io.StringIO(data.decode(encoding), newline="")
            except UnicodeDecodeError as error:
                line = data.count(b"\n", 0, error.start) + 1
                problem = f"byte {data[error.start]:#04x}"
        raise DataError(f"{self.label(name)} line {line} is not UTF-8 ({problem}): save the file as UTF-8")


def _step_inside(folder: Path) -> Path:
    """Return `folder`, or the one subfolder or .zip in it that holds the data."""

    def has_ratings(place: Path) -> bool:
        return any((place / ratings).is_file() for ratings, _ in KNOWN_PAIRS)

    if has_ratings(folder):
        return folder
    inside = sorted(folder.iterdir())
    places = [place for place in inside if place.is_dir() and has_ratings(place)]
    places = places or [place for place in inside if place.is_file() and place.suffix.lower() == ".zip"]
    if len(places) == 1:
        return places[0]
    if places:
        names = ", ".join(place.name for place in places)
        raise DataError(f"{folder} holds several data sets ({names}): name one with --data")
    names = ", ".join(ratings for ratings, _ in KNOWN_PAIRS)
    raise DataError(
        f"{folder} holds no ratings (none of {names}, nor a .zip): give the folder of a data set with --data"
    )
