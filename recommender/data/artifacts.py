"""Sets of files that are either whole or not there, and fitted models stored as such.

A set is written to a staging folder; one rename makes that the folder's `.commit`, which is the moment it counts; then
its files move to their places, the manifest last. A process killed in between leaves a `.commit` that the next reader
or writer moves to the end, so the folder shows either all of the old set or all of the new one. The manifest lists
every file's sha256, shape and dtype, with the settings and the step that made it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArtifactError, SettingsError
from .files import dump_json, exclusive, flush, load_json, load_npy, sha256
from .files import ids_sha256 as ids_sha256
from .files import load_npz as load_npz
from .settings import check_value, default_folder

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_COMMIT = ".commit"
_STAGING = ".staging-"


@contextlib.contextmanager
def replace_set(
    folder: Path,
    kind: str,
    step: str,
    settings: Mapping[str, Any],
    keep_steps: Sequence[str] = (),
    step_of: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Give a staging folder; on success its files replace those of `step` in `folder`, all or none.

    Files that steps in `keep_steps` made stay listed in the manifest. Files of every other earlier step were made
    from what is now replaced: they are deleted. A folder that holds a set of another kind is refused, and so is a
    second process that writes the same one. `step_of` (file name -> step) is for a run of several steps at once, so
    that all of them count or none; `settings` then holds one mapping for each step.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / f"{_STAGING}{os.urandom(4).hex()}"
    try:
        with exclusive(folder, str(folder)):
            _finish_commit(folder)
            need_folder(folder, "folder", kind)
            for leftover in folder.glob(_STAGING + "*"):
                shutil.rmtree(leftover)
            stage.mkdir()
            yield stage
            old: dict[str, Any] = {}
            if keep_steps and (folder / MANIFEST).is_file():
                old = read_manifest(folder, kind, "the earlier steps again")
            files = {name: entry for name, entry in old.get("files", {}).items() if entry["step"] in keep_steps}
            for file in sorted(stage.iterdir()):
                files[file.name] = {"step": step_of[file.name] if step_of else step, **_describe(file)}
                flush(file)
            by_step = {name: value for name, value in old.get("settings", {}).items() if name in keep_steps}
            by_step.update(settings if step_of else {step: dict(settings)})
            manifest = {"format_version": FORMAT_VERSION, "kind": kind, "settings": by_step, "files": files}
            dump_json(manifest, stage / MANIFEST)
            flush(stage / MANIFEST)
            os.rename(stage, folder / _COMMIT)
            _finish_commit(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):  # it holds the set, or it failed and is empty
                folder.rmdir()


def need_folder(folder: Path, flag: str = "--output", kind: str = "") -> None:
    """Raise `ArtifactError` where `folder`, which a program was given with `flag`, can't be one: before any work.

    kind: of the set that is to be stored there, if any; a set of another kind would be deleted.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not place.is_dir():
        raise ArtifactError(f"{place} is a file, not a folder: give another {flag}")
    if not kind:
        return
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # none, or one that lists nothing that could be deleted
    if found != kind:
        raise ArtifactError(f"{folder} holds a {found!r} artifact, which {kind!r} would replace: give another {flag}")


def has_manifest(folder: Path) -> bool:
    """Tell whether `folder` holds a set, or one whose writer was killed while it moved the files."""
    return (folder / MANIFEST).is_file() or (folder / _COMMIT).is_dir()


def read_manifest(folder: Path, kind: str, remedy: str) -> dict[str, Any]:
    """Return the manifest of `folder`, an artifact of `kind`; `remedy` is the command that makes it again."""
    if (folder / _COMMIT).is_dir():
        with exclusive(folder, str(folder)):
            _finish_commit(folder)
    path = folder / MANIFEST
    remedy = command(remedy, folder)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"no {kind} artifact in {folder}: run {remedy}") from None
    except NotADirectoryError:
        raise ArtifactError(f"{folder} is not a folder: give the folder of a {kind} artifact") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ArtifactError(f"{path} is damaged (not JSON): run {remedy}") from None
    if not isinstance(manifest, dict) or not _is_dict_of_dicts(manifest.get("files")):
        raise ArtifactError(f"{path} is damaged (no list of files): run {remedy}")
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise ArtifactError(f"{path} has format version {found!r}, this program reads {FORMAT_VERSION}: run {remedy}")
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{folder} holds a {manifest.get('kind')!r} artifact, not {kind!r}: run {remedy}")
    if not _is_dict_of_dicts(manifest.get("settings")):
        raise ArtifactError(f"{path} is damaged (its settings are not given by step): run {remedy}")
    return manifest


def check_files(folder: Path, manifest: Mapping[str, Any], names: Sequence[str], remedy: str) -> None:
    """Raise `ArtifactError` by name for a file that is missing or is not the one that the manifest lists."""
    remedy = command(remedy, folder)
    for name in names:
        entry = manifest["files"].get(name)
        if entry is None or not (folder / name).is_file():
            raise ArtifactError(f"{folder / name} is missing: run {remedy}")
        if entry.get("sha256") != sha256(folder / name):
            raise ArtifactError(f"{folder / name} is damaged or from another run (its sha256 differs): run {remedy}")


def command(remedy: str, folder: Path) -> str:
    """Return the command `remedy` with the flag that makes it write `folder`, where that is not its default."""
    processed = next((place.parent for place in folder.parents if place.name == "artifacts"), folder)
    done = not remedy.startswith("python -m") or "--processed" in remedy or "--output" in remedy
    if done or processed.resolve() == default_folder("processed").resolve():
        return remedy
    return f"{remedy} --{'output' if processed == folder else 'processed'} {processed}"


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored model as `restore` found it. settings: of the class that was asked for.  about: all that the manifest
    says of the step."""

    folder: Path
    remedy: str
    manifest: Mapping[str, Any]
    settings: Any
    about: Mapping[str, Any]

    def read(self, files: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the arrays of `files` by name, each file checked against the manifest.

        files: name -> dtype, by array for an `.npz`; the array of `X.npy` and the ids of `X.json` are called `X`.
        Raises `ArtifactError` for files missing, damaged or of another run, and for numbers that are not finite.
        """
        check_files(self.folder, self.manifest, list(files), self.remedy)
        again = command(self.remedy, self.folder)
        arrays: dict[str, np.ndarray] = {}
        for name, dtypes in files.items():
            path = self.folder / name
            if path.suffix == ".npz":
                found = load_npz(path, dtypes)
            else:
                is_array = path.suffix == ".npy"
                found = {path.name[: -len(path.suffix)]: load_npy(path, dtypes) if is_array else self._ids(path)}
            if not all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f"):
                raise ArtifactError(f"{path} holds values that are not numbers: run {again}")
            arrays.update(found)
        return arrays

    def _ids(self, path: Path) -> np.ndarray:
        """Return the external ids of a map from id to row, in row order."""
        rows = load_json(path)
        try:
            ids = np.array([int(ident) for ident in rows], dtype=np.int64)
            in_order = list(rows.values()) == list(range(len(ids))) and bool((np.diff(ids) > 0).all())
        except (AttributeError, TypeError, ValueError, OverflowError):
            in_order = False
        if not in_order:
            raise ArtifactError(
                f"{path} is not a map from ids to rows in order: run {command(self.remedy, self.folder)}"
            )
        return ids


def store(
    folder: Path,
    kind: str,
    settings: Any,
    files: Mapping[str, Any],
    step: str = "train",
    movie_ids: np.ndarray | None = None,
    **about: Any,
) -> None:
    """Write a fitted model to `folder`, all files or none.

    settings: its dataclass.  files: name -> an array for `X.npy`, arrays by name for `X.npz`, external ids for
    `X.json`, which maps them to rows.  movie_ids: what its rows mean, checked by `restore`.  about: anything else that
    the manifest is to say (fitted_on, ...).
    """
    described = {**dataclasses.asdict(settings), **about}
    if movie_ids is not None:
        described["movies_sha256"] = ids_sha256(movie_ids)
    with replace_set(folder, kind, step, described) as stage:
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
    """Open what `store` wrote and check its settings; then `read` gives the arrays.

    remedy: the command that makes it again.  movie_ids: those that the caller works with. Raises `ArtifactError` for
    no artifact of this kind, damaged settings, or another movie list.
    """
    remedy = command(remedy, folder)
    manifest = read_manifest(folder, kind, remedy)
    about = manifest["settings"].get(step, {})
    try:
        names = [field.name for field in dataclasses.fields(settings)]
        chosen = settings(**{name: check_value(settings, name, about[name]) for name in names})
    except (KeyError, SettingsError) as error:
        again = command(remedy, folder)
        raise ArtifactError(f"{folder / MANIFEST} is damaged (its settings: {error}): run {again}") from None
    if movie_ids is not None and about.get("movies_sha256") != ids_sha256(movie_ids):
        raise ArtifactError(f"{folder} was trained on another movie list: run {command(remedy, folder)}")
    return Stored(folder, remedy, manifest, chosen, about)


def _describe(file: Path) -> dict[str, Any]:
    """Return size, sha256, and dtype and shape of each array in a `.npy` or `.npz`, read from their headers."""

    def header(stream: Any) -> dict[str, Any]:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        return {"dtype": str(dtype), "shape": list(shape)}

    found: dict[str, Any] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    if file.suffix == ".npy":
        with open(file, "rb") as stream:
            found.update(header(stream))
    elif file.suffix == ".npz":
        with zipfile.ZipFile(file) as members:
            names = members.namelist()
            found["arrays"] = {name.removesuffix(".npy"): header(members.open(name)) for name in names}
    return found


def _finish_commit(folder: Path) -> None:
    """Move a committed set to its place, the manifest last; repeats safely after an interruption."""
    commit = folder / _COMMIT
    if not commit.is_dir():
        return
    if (commit / MANIFEST).is_file():
        stale = _listed(folder / MANIFEST) - _listed(commit / MANIFEST)
        for file in sorted(commit.iterdir()):
            if file.name != MANIFEST:
                os.replace(file, folder / file.name)
        for name in stale:
            (folder / Path(name).name).unlink(missing_ok=True)
        os.replace(commit / MANIFEST, folder / MANIFEST)
    commit.rmdir()


def _listed(manifest: Path) -> set[str]:
    try:
        return set(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _is_dict_of_dicts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values())
