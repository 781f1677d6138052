"""Raw data files by name, from a folder or an archive (.zip, .tar, .tar.gz ...), in any case, also as .gz.

A data set is a file of ratings with the list of its movies in the same folder. An archive in an archive counts as a
folder; nothing is unpacked to disk. Files of two data sets are never mixed: if there are several, one is to be named,
also inside an archive: `two.zip/ml-1m`.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Callable, Optional

from ..errors import DataError

MAX_LINE = 1 << 20  # bytes, up to the end of a block
_BLOCK = 1 << 18
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.\w+)$", re.IGNORECASE)
# RuntimeError: an encrypted archive
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
Files = dict[str, Callable[[], Any]]  # path inside a folder or archive -> opens the file for reading bytes


class RawFiles:
    """The data set at `path`: a folder, an archive, a file of ratings, or what an archive holds: `two.zip/ml-1m`.

    pairs: name of the ratings file -> name of the movie list; by default `path` is one file, and both.
    `ratings_name` and `movies_name` are the pair found. A folder's own files come first, then those of its folders,
    then of its archives. Raises `DataError` if there is no data set, or more than one.
    """

    def __init__(self, path: Path, pairs: Optional[Mapping[str, str]] = None) -> None:
        pairs = pairs or {_plain(path.name): _plain(path.name)}
        place = next(parent for parent in (path, *path.parents) if parent.exists())
        inside = path.relative_to(place).as_posix() if place != path else ""
        if inside and place.is_dir():
            get = "download a data set with python -m preprocess.download ml-latest-small"
            raise DataError(f"no data at {path}: {get}, or give a folder or .zip with --data")
        if place.is_file() and _plain(place.name) in pairs:
            place, inside = place.parent, place.name
        self._place = place
        self._files = _in_folder(place, "*") if place.is_dir() else _in_archive(place.open("rb"), place)
        found = _find(self._files, pairs, inside)
        if not found and place.is_dir():
            self._files |= _in_folder(place, "*/*") | _in_folder(place, "*/*/*")
            found = _find(self._files, pairs, inside)
        if not found:
            for archive in [path for path in self._files if _ARCHIVE.search(path)]:
                files = _in_archive(self._files[archive](), place / archive)
                self._files |= {f"{archive}/{name}": start for name, start in files.items()}
            found = _find(self._files, pairs, inside)
        if not found:
            problem = f"has no ratings (none of {', '.join(pairs)}, nor a .zip)"
            raise DataError(f"{path} {problem}: give the folder of a data set with --data")
        if inside or place.is_dir():  # what was named comes before what is inside it
            found = [one for one in found if inside in one[:2]] or found
        complete = [one for one in found if pairs[one[2]] in one[3]]
        if len(complete) > 1:
            names = ", ".join(one[1] for one in complete[:9])
            raise DataError(f"{path} has several data sets ({names}): name one, --data {place / complete[0][1]}")
        folder, chosen, self.ratings_name, self._near = (complete or found)[0]
        self.path, self.movies_name = place / folder, pairs[self.ratings_name]
        self._near[self.ratings_name] = [chosen]
        if not complete:
            problem = f"has {self.ratings_name} but no {self.movies_name}: put the movie list beside it"
            raise DataError(f"{self.path} {problem}")

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._near

    def error(self, name: str, problem: str, line: Optional[int] = None) -> DataError:
        """Return an error for a file, and a line of it."""
        label = self.label(name)
        return DataError(f"{label} {problem}" if line is None else f"{label} line {line}: {problem}")

    def label(self, name: str) -> Path:
        """Return what messages call a file."""
        return self._place / self._near[name.lower()][0]

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[io.BufferedReader]:
        """Open a file for reading bytes; raises `DataError` if it turns out to be damaged."""
        path, *more = self._near[name.lower()]
        if more:
            raise DataError(f"{self.path} has {Path(path).name} and {Path(more[0]).name}: keep one")
        with _damage_told(self._place / path), self._files[path]() as packed:
            file = gzip.GzipFile(fileobj=packed) if path.lower().endswith(".gz") else packed
            yield io.BufferedReader(_Blocks(file, functools.partial(self.error, name)), _BLOCK)

    def text(self, name: str, *encodings: str) -> tuple[str, str]:
        """Return the whole file as text and the first of `encodings` that decodes it; line ends are kept."""
        with self.open(name) as file:
            data = file.read()
        for encoding in encodings:
            with contextlib.suppress(UnicodeDecodeError):
                return data.decode(encoding), encoding
        raise self.error(name, "is not valid UTF-8: convert the file")


class _Blocks(io.RawIOBase):
    """The bytes of a file; an absurdly long line is refused when its first `MAX_LINE` bytes are read."""

    def __init__(self, file: Any, fail: Callable[[str], DataError]) -> None:
        self._file, self._fail, self._open_line = file, fail, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        end = block.rfind(b"\n")
        self._open_line = len(block) - 1 - end if end >= 0 else self._open_line + len(block)
        if self._open_line > MAX_LINE:
            raise self._fail(f"has a line of more than {MAX_LINE:,} bytes: give a file with one row in each line")
        return len(block)


@contextlib.contextmanager
def _damage_told(label: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        if getattr(error, "errno", None):  # of the system, such as a missing permission
            raise
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(f"{label} is damaged or no archive ({reason}): download it again, or give a folder") from None


def _in_folder(folder: Path, pattern: str) -> Files:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): functools.partial(path.open, "rb") for path in found}


def _in_archive(file: IO[bytes], label: Path) -> Files:
    with _damage_told(label):
        if zipfile.is_zipfile(file):
            archive = zipfile.ZipFile(file)
            return {_slashes(name): functools.partial(archive.open, name) for name in archive.namelist()}
        file.seek(0)
        tar = tarfile.TarFile.open(fileobj=file)
        members = [member for member in tar.getmembers() if member.isfile()]
        return {_slashes(member.name): functools.partial(tar.extractfile, member) for member in members}


def _slashes(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").lstrip("/")


def _plain(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _find(files: Files, pairs: Mapping[str, str], inside: str) -> list[tuple[str, str, str, dict[str, list[str]]]]:
    """Return folder, path and name of each file of ratings that `inside` is or holds, and all files of its folder.

    These as name in lower case without .gz -> paths.
    """
    folders: dict[str, dict[str, list[str]]] = {}
    for path in files:
        folder, _, name = path.rpartition("/")
        if not name.startswith("._") and "__MACOSX" not in folder:  # a Mac's archives repeat each name there
            folders.setdefault(folder, {"": []}).setdefault(_plain(name), []).append(path)
    found = [(at, path, name, near) for at, near in folders.items() for name in pairs for path in near.get(name, [])]
    return [one for one in found if f"{one[1]}/".startswith(inside and f"{inside}/")]
