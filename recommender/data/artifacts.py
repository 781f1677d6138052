"""Sets of files that are complete or rejected, and fitted models stored as such sets.

`manifest.json` lists every file of a set with its sha256, shapes and dtypes, and the settings of the step that made
it. A writer creates all files in `.tastevec-staging`, then moves the new manifest into the folder, then the files. A
process killed before that leaves the old set; one killed in between leaves a manifest that does not match its files,
which readers reject with the command that rebuilds them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from .errors import ArtifactError, SettingsError
from .files import LARGE, checksum, dump_json, exclusive, flush, ids_sha256, load_arrays, load_json, parse_json
from .settings import check_value, default_folder

FORMAT_VERSION = 1
LEAST_FREE = 1 << 20  # bytes on the disk of an output
MANIFEST = "manifest.json"


@contextlib.contextmanager
def replace_set(
    folder: Path,
    kind: str,
    settings: Mapping[str, Mapping[str, Any]],
    keep_steps: Sequence[str] = (),
    step_of: Optional[Mapping[str, str]] = None,
) -> Iterator[Path]:
    """Yield a staging folder; on success its files replace those in `folder`, on failure nothing changes.

    settings: by step.  step_of: file name -> step; by default all files belong to the one step.
    Files of `keep_steps` stay listed; those of all other earlier steps depend on what is replaced, and are deleted.
    Raises `ArtifactError` for a folder with another kind or that another process writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / ".tastevec-staging"
    try:
        with exclusive(folder, str(folder)):
            need_folder(folder, "folder", kind)
            shutil.rmtree(stage, ignore_errors=True)  # left by a killed process
            stage.mkdir()
            try:
                yield stage
                old = _peek(folder)
                files = {name: entry for name, entry in old["files"].items() if entry.get("step") in keep_steps}
                used = {step: value for step, value in old["settings"].items() if step in keep_steps}
                new = sorted(file.name for file in stage.iterdir())
                need_folder(folder, "folder", kind, new)
                for name in new:
                    step = step_of[name] if step_of else next(iter(settings))
                    files[name] = {"step": step, **_describe(stage / name)}
                manifest = {"format_version": FORMAT_VERSION, "kind": kind, "settings": {**used, **settings}}
                dump_json({**manifest, "files": files}, stage / MANIFEST)
                for name in (MANIFEST, *new):
                    flush(stage / name)
                for name in old["files"].keys() - files.keys():
                    (folder / Path(name).name).unlink(missing_ok=True)
                for name in (MANIFEST, *new):
                    os.replace(stage / name, folder / name)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):  # of a failed writer, it may be empty
            folder.rmdir()


def need_folder(folder: Path, flag: str = "--output", kind: str = "", names: Iterable[str] = ()) -> None:
    """Raise `ArtifactError` if `folder`, the value of `flag`, cannot be an output folder.

    kind: of the set to store there, if any; a set of another kind would be deleted.  names: of its files; those that
    are there, but in no manifest, are somebody's own.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not place.is_dir():
        raise ArtifactError(f"{place} is a file, not a folder: give another {flag}")
    if not os.access(place, os.W_OK):
        raise ArtifactError(f"no permission to write in {place}: give another {flag}, or change its rights")
    disk = shutil.disk_usage(place)
    if disk.total and disk.free < LEAST_FREE:  # some file systems tell neither
        raise ArtifactError(f"the disk of {place} is full: free some space, or give another {flag}")
    if not kind:
        return
    path, manifest = folder / MANIFEST, _peek(folder)
    if (found := manifest.get("kind", kind)) != kind:
        raise ArtifactError(f"{folder} has a {found!r} artifact, which {kind!r} would replace: give another {flag}")
    ours = path.is_file() and b'"format_version"' in path.read_bytes()
    if ours and not manifest["files"]:
        return  # damaged, and ours: so are the files beside it
    for name in names if ours else (MANIFEST, *names):
        if name not in manifest["files"] and os.path.lexists(folder / name):
            raise ArtifactError(f"{folder / name} is not of tastevec: move it, or give another {flag}")


def need_file(path: Path, flag: str, mark: str = "") -> None:
    """Raise `ArtifactError` if `path`, the value of `flag`, cannot be written, or would replace somebody's own file.

    mark: in the first 200 characters of a file of the program itself, such as columns of a CSV; "": all are its own.
    """
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is a {'folder' if path.is_dir() else 'device'}: give a file name with {flag}")
    need_folder(path.parent, flag)
    if mark and path.exists():
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(200)
        if head.startswith("PAR1"):  # Parquet names its columns at the end
            head = ",".join(name for name in mark.split(",") if name.encode() in path.read_bytes())
        if head and mark not in head:
            raise ArtifactError(f"{path} is not of this program: move it, or give another {flag}")


def has_manifest(folder: Path) -> bool:
    """Return whether `folder` has a manifest."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path, kind: str, remedy: str) -> dict[str, Any]:
    """Return the manifest of `folder`, an artifact of `kind`; `remedy` is the command that rebuilds it."""
    path, remedy = folder / MANIFEST, command(remedy, folder)
    try:
        manifest = _parse(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"no {kind} artifact in {folder}: run {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged ({error}): run {remedy}") from None
    if (found := manifest.get("format_version")) != FORMAT_VERSION:
        raise ArtifactError(f"{path} has format version {found!r}, this program reads {FORMAT_VERSION}: run {remedy}")
    if (found := manifest.get("kind")) != kind:
        raise ArtifactError(f"{folder} has a {found!r} artifact, not {kind!r}: run {remedy}")
    return manifest


def _parse(folder: Path) -> dict[str, Any]:
    """Return the manifest; raises `ValueError` if it does not list files, and settings by step."""
    manifest = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
    for part in ("files", "settings"):
        listed = manifest.get(part) if isinstance(manifest, dict) else None
        if not isinstance(listed, dict) or not all(isinstance(entry, dict) for entry in listed.values()):
            raise ValueError(f"no list of {part}")
    return dict(manifest)


def _peek(folder: Path) -> dict[str, Any]:
    """Return the manifest of any kind; an empty one if it cannot be read."""
    try:
        return _parse(folder)
    except (OSError, ValueError, RecursionError):
        return {"files": {}, "settings": {}}


def check_files(folder: Path, manifest: Mapping[str, Any], names: Sequence[str], remedy: str) -> None:
    """Raise `ArtifactError` for a file that is missing or does not match the manifest.

    A large file of the size and time of change in the manifest is the one that was written, and is not read for it.
    """
    for name in names:
        entry, path = manifest["files"].get(name), folder / name
        if entry is None or not path.is_file():
            raise ArtifactError(f"{path} is missing: run {command(remedy, folder)}")
        as_written = "changed" in entry and entry.items() >= _stat(path).items()
        if not as_written and entry.get("sha256") != checksum(path):
            again = command(remedy, folder)
            raise ArtifactError(f"{path} is damaged or from another run (its sha256 differs): run {again}")


def command(remedy: str, folder: Path) -> str:
    """Return the command `remedy` with the flag for `folder`, if that is not the default."""
    processed = next((place.parent for place in folder.parents if place.name == "artifacts"), folder)
    done = not remedy.startswith("python -m") or "--processed" in remedy or "--output" in remedy
    if done or processed.resolve() == default_folder("processed").resolve():
        return remedy
    return f"{remedy} --{'output' if processed == folder else 'processed'} {processed}"


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored model found by `restore`; `about` is the manifest entry of its step."""

    folder: Path
    remedy: str
    manifest: Mapping[str, Any]
    settings: Any
    about: Mapping[str, Any]

    def read(self, files: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the arrays of `files` by name, each file checked against the manifest.

        files: name -> dtype, by array for an `.npz`; the array of `X.npy` and the ids of `X.json` are called `X`.
        Raises `ArtifactError` for missing or damaged files, files of another run, and values that are not finite.
        """
        check_files(self.folder, self.manifest, list(files), self.remedy)
        arrays, again = dict[str, np.ndarray](), f"run {self.remedy}"
        for name, dtypes in files.items():
            path = self.folder / name
            if path.suffix == ".json":
                found = {path.stem: load_json(path, again, lambda ids: np.array([*map(int, ids)], np.int64))}
            else:
                found = load_arrays(path, dtypes if path.suffix == ".npz" else {path.stem: dtypes}, again)
            floats = [array for array in found.values() if array.dtype.kind == "f" and array.size]
            if not all(math.isfinite(array.min()) and math.isfinite(array.max()) for array in floats):
                raise ArtifactError(f"{path} has values that are not finite: run {self.remedy}")
            arrays.update(found)
        return arrays


def store(
    folder: Path,
    kind: str,
    settings: Any,
    files: Mapping[str, Any],
    step: str = "train",
    movie_ids: Optional[np.ndarray] = None,
    **about: Any,
) -> None:
    """Write a fitted model to `folder` atomically.

    settings: its dataclass.  files: name -> an array for `X.npy`, arrays by name for `X.npz`, external ids for
    `X.json`, which maps them to rows.  movie_ids: of its rows, checked by `restore`.  about: more entries.
    """
    described = {**dataclasses.asdict(settings), **about}
    if movie_ids is not None:
        described["movies_sha256"] = ids_sha256(movie_ids)
    with replace_set(folder, kind, {step: described}) as stage:
        for name, content in files.items():
            if name.endswith(".npy"):
                np.save(stage / name, content, allow_pickle=False)
            elif name.endswith(".npz"):
                np.savez(stage / name, **content)
            else:
                dump_json({str(ident): row for row, ident in enumerate(content.tolist())}, stage / name)


def restore(
    folder: Path, kind: str, remedy: str, settings: type[Any], step: str = "train", movie_ids: np.ndarray | None = None
) -> Stored:
    """Open a stored model and check its settings; `read` then returns the arrays.

    remedy: the command that rebuilds it.  movie_ids: those of the caller. Raises `ArtifactError` for a missing
    artifact, another kind, damaged settings, or another movie list.
    """
    remedy = command(remedy, folder)
    manifest = read_manifest(folder, kind, remedy)
    about = manifest["settings"].get(step, {})
    try:
        names = [field.name for field in dataclasses.fields(settings)]
        if missing := [name for name in names if name not in about]:
            raise SettingsError(f"no {', '.join(missing)}")
        chosen = settings(**{name: check_value(settings, name, about[name]) for name in names})
    except SettingsError as error:
        raise ArtifactError(f"{folder / MANIFEST} is damaged (its settings: {error}): run {remedy}") from None
    if movie_ids is not None and about.get("movies_sha256") != ids_sha256(movie_ids):
        raise ArtifactError(f"{folder} was trained on another movie list: run {remedy}")
    return Stored(folder, remedy, manifest, chosen, about)


def _describe(file: Path) -> dict[str, Any]:
    """Return size and sha256, and dtype and shape of each array in a `.npy` or `.npz`, read from their headers."""
    found: dict[str, Any] = {**_stat(file), "sha256": checksum(file)}
    if file.suffix == ".npy":
        with open(file, "rb") as stream:
            found.update(_header(stream))
    elif file.suffix == ".npz":
        with zipfile.ZipFile(file) as members:
            found["arrays"] = {name[:-4]: _header(members.open(name)) for name in members.namelist()}
    return found


def _stat(file: Path) -> dict[str, int]:
    """Return the size, and of a large file the time of its last change."""
    stat = file.stat()
    return {"bytes": stat.st_size, **({"changed": stat.st_mtime_ns} if stat.st_size > LARGE else {})}


def _header(stream: Any) -> dict[str, Any]:
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return {"dtype": str(dtype), "shape": list(shape)}
