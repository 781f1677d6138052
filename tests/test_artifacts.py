"""Sets of files are whole or refused: kill -9 at every file operation, damage, mixed-up sets, a second writer."""

import errno
import io
import itertools
import json
import os
import shutil
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from recommender.data import artifacts, files
from recommender.data.errors import ArtifactError
from recommender.data.files import checksum, exclusive, replace_file
from recommender.data.settings import default_folder, setting
from recommender.learn.ease import Ease
from tests.tiny import random_ratings

FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "os.listdir"}


def write_set(folder: Path, value: int) -> None:
    with artifacts.replace_set(folder, "thing", {"make": {"value": value}}) as stage:
        for name in ["a.npy", "b.npy"] if value == 1 else ["a.npy", "c.npy"]:
            np.save(stage / name, np.full(1000, value))


def write_and_die(folder: Path, value: int, kill_at: int) -> int:
    """Write in a child process that kills itself at the n-th file operation; return how it ended."""
    child, seen = os.fork(), itertools.count(1)
    if child == 0:

        def watch(event: str, _: object) -> None:
            if event in FILE_EVENTS and next(seen) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        write_set(folder, value)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def read(folder: Path) -> str:
    """Return the value of a set whose files are all there, sound, and of that value; else what the refusal says."""
    try:
        manifest = artifacts.read_manifest(folder, "thing", "the writer")
        artifacts.check_files(folder, manifest, list(manifest["files"]), "the writer")
    except ArtifactError as error:
        return f"1 or 2: {str(error).rpartition(': ')[2]}"
    value = manifest["settings"]["make"]["value"]
    assert sorted(manifest["files"]) == ["a.npy", "b.npy" if value == 1 else "c.npy"]
    assert all((np.load(folder / name) == value).all() for name in manifest["files"])
    return str(value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_a_set_is_old_or_refused_or_new_wherever_the_writer_is_killed(tmp_path: Path) -> None:
    seen, code = [], -signal.SIGKILL
    while code:
        assert code == -signal.SIGKILL
        folder = tmp_path / str(len(seen))
        write_set(folder, 1)
        write_and_die(folder / "empty", 2, len(seen) + 1)
        visible = {path.name for path in folder.glob("empty/[!.]*")}
        assert not visible or "manifest.json" in visible  # or it would pass for files that nobody lists
        shutil.rmtree(folder / "empty", ignore_errors=True)
        code = write_and_die(folder, 2, len(seen) + 1)
        seen.append(read(folder))
        write_set(folder, 2)  # the next writer clears what the dead one left
        assert read(folder) == "2"
        assert sorted(os.listdir(folder)) == ["a.npy", "c.npy", "manifest.json"]
    assert seen == sorted(seen)  # old until one moment, new from another on
    assert sorted(set(seen)) == ["1", "1 or 2: run the writer", "2"]
    assert min(map(seen.count, seen)) > 1  # the kill did reach each stretch


def write_half(path: Path, name: str) -> None:
    with artifacts.replace_set(path, "thing", {"make": {}}) if name else replace_file(path) as place:
        (place / name).write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failed_writer_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("old")
    write_set(tmp_path / "old", 1)
    for place, name in ((tmp_path / "x.txt", ""), (tmp_path / "old", "a.npy"), (tmp_path / "new", "a.npy")):
        with pytest.raises(OSError, match="No space"):
            write_half(place, name)
    assert (tmp_path / "x.txt").read_text() == "old"
    assert read(tmp_path / "old") == "1"
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"x.txt", "old", "old/a.npy", "old/b.npy", "old/manifest.json"}


@dataclass(frozen=True)
class Shape:
    rank: int = setting(2, "columns", 1, 9)


FILES = {"table.npy": np.float32, "rest.npz": {"counts": np.int64, "newest": np.int64}, "movies.json": np.int64}
IDS = np.array([3, 5, 8])
PICKLED = io.BytesIO()
np.save(PICKLED, np.array([{}]), allow_pickle=True)


def store(folder: Path, table: Any = ((1, 2), (3, 4), (5, 6)), dtype: type = np.float32) -> None:
    rest = {"counts": np.array([7, 8, 9]), "newest": np.array([1])}
    files = {"table.npy": np.array(table, dtype), "rest.npz": rest, "movies.json": IDS}
    artifacts.store(folder, "thing", Shape(rank=3), files, movie_ids=IDS, fitted_on="train")


def restore(folder: Path, ids: Optional[np.ndarray] = IDS) -> tuple[artifacts.Stored, dict[str, np.ndarray]]:
    stored = artifacts.restore(folder, "thing", "python -m model.make", Shape, movie_ids=ids)
    return stored, stored.read(FILES)


def test_what_is_stored_is_restored(tmp_path: Path) -> None:
    store(tmp_path)
    stored, arrays = restore(tmp_path)
    assert (stored.settings, stored.about["fitted_on"]) == (Shape(rank=3), "train")
    found = {name: array.tolist() for name, array in arrays.items()}
    assert found == {"table": [[1, 2], [3, 4], [5, 6]], "counts": [7, 8, 9], "newest": [1], "movies": [3, 5, 8]}
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert (entries["table.npy"]["dtype"], entries["table.npy"]["shape"]) == ("float32", [3, 2])
    assert entries["rest.npz"]["arrays"]["counts"] == {"dtype": "int64", "shape": [3]}


def flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


def resign(folder: Path, name: str, content: bytes) -> None:
    """Put other content into a file and into the manifest: what a broken program would leave."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = checksum(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def put(folder: Path, old: str, new: str) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: flip(folder / "rest.npz"), r"rest\.npz is damaged or from another run"),
        (lambda folder: (folder / "table.npy").unlink(), r"table\.npy is missing"),
        (lambda folder: store(folder, ((1, np.nan), (3, 4))), r"table\.npy has values that are not finite"),
        (lambda folder: store(folder, dtype=np.float64), "table is float64, expected float32"),
        (lambda folder: resign(folder, "table.npy", PICKLED.getvalue()), r"table\.npy is damaged"),
        (lambda folder: resign(folder, "rest.npz", (folder / "rest.npz").read_bytes()[:-9]), "npz is damaged"),
        (lambda folder: put(folder, '"rank": 3', '"rank": 99'), r"manifest\.json is damaged .its settings: rank: 99"),
        (lambda folder: resign(folder, "movies.json", b'{"' + b"9" * 5000 + b'": 0}'), "value has 5000 digits."),
        (lambda folder: resign(folder, "movies.json", b'{"3": 0, "3": 1}'), "key '3' is given twice"),
        (lambda folder: put(folder, '"rank": 3', f'"rank": {"9" * 5000}'), "rank: 9+... is not a whole number"),
        (lambda folder: resign(folder, "rest.npz", (folder / "other.npz").read_bytes()), "it has no counts, newest"),
        (lambda folder: put(folder, '"rank": 3', '"rnak": 3'), r"manifest\.json is damaged .its settings: no rank"),
        (lambda folder: put(folder, '"format_version": 1', '"format_version": 99'), "has format version 99"),
        (lambda folder: put(folder, '"files"', '"fils"'), r"manifest\.json is damaged .no list of files"),
        (lambda folder: (folder / "manifest.json").write_text('["format_version"]'), r"manifest\.json is damaged"),
        (
            lambda folder: (folder / "manifest.json").write_text('"format_version"' + "[" * 100_000),
            r"manifest\.json is damaged",
        ),
        (
            lambda folder: (folder / "manifest.json").write_text('{"format_version": 1, "files": {}, "settings": 1}'),
            "no list of settings",
        ),
    ],
)
def test_damage_is_named_and_can_be_made_again(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    store(tmp_path)
    np.savez(tmp_path / "other.npz", x=np.zeros(1))
    harm(tmp_path)
    with pytest.raises(ArtifactError, match=message) as caught:
        restore(tmp_path)
    assert str(caught.value).endswith(f": run python -m model.make --output {tmp_path}")
    store(tmp_path)
    restore(tmp_path)


def test_what_belongs_to_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "artifacts" / "thing"
    store(folder)
    with pytest.raises(ArtifactError, match=rf"another movie list: run .*model\.make --processed {tmp_path / 'data'}$"):
        restore(folder, IDS + 1)
    with pytest.raises(ArtifactError, match="has a 'thing' artifact, not 'other': run it"):
        artifacts.read_manifest(folder, "other", "it")
    for place in (folder / "table.npy", folder / "table.npy" / "x"):
        with pytest.raises(ArtifactError, match=r"table\.npy is a file, not a folder: give another --output"):
            artifacts.need_folder(place)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    refused = "has a 'thing' artifact, which 'other' would replace: give another folder$"
    with pytest.raises(ArtifactError, match=refused), artifacts.replace_set(folder, "other", {"make": {}}):
        pass
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    shipped = default_folder("processed")
    for place, remedy in ((shipped, "python -m x"), (shipped / "artifacts" / "x", "python -m x"), (folder, "again")):
        assert artifacts.command(remedy, place) == remedy


def test_what_somebody_else_put_there_is_never_replaced(tmp_path: Path) -> None:
    own = {name: f"my {name}" for name in ("notes.txt", "table.npy")}
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError, match=r"table\.npy is not of tastevec: move it, or give another folder$"):
        store(tmp_path)
    with pytest.raises(ArtifactError, match=r"table\.npy is not .* another --output$"):
        artifacts.need_folder(tmp_path, kind="thing", names=FILES)
    (tmp_path / "table.npy").rename(tmp_path / "manifest.json")
    with pytest.raises(ArtifactError, match=r"manifest\.json is not of tastevec"):
        store(tmp_path)
    (tmp_path / "manifest.json").rename(tmp_path / "table.npy")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == own
    (tmp_path / "table.npy").unlink()
    for _ in range(2):
        store(tmp_path)  # what it made itself is replaced
    assert (tmp_path / "notes.txt").read_text() == "my notes.txt"
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no thing artifact in"):
        restore(tmp_path)


def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own := tmp_path / "own.csv").write_text("task,who\n")
    for path, message in ((own, "own.csv is not of this program"), (tmp_path, "is a folder: give a file name with")):
        with pytest.raises(ArtifactError, match=f"{message}.* --csv"):
            artifacts.need_file(path, "--csv", "task,split")
    if os.path.exists(os.devnull):
        with pytest.raises(ArtifactError, match="is a device"):
            artifacts.need_file(Path(os.devnull), "--csv")
    artifacts.need_file(own, "--csv", "task,who")
    artifacts.need_file(tmp_path / "new" / "x.csv", "--csv", "task")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: types.SimpleNamespace(total=1 << 30, free=4096))
    with pytest.raises(ArtifactError, match=r"the disk of .* is full: free some space, or give another --csv"):
        artifacts.need_file(own, "--csv")


def test_files_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    write_set(tmp_path / "set", 1)
    with replace_file(tmp_path / "x.txt") as path:
        path.write_text("x")
    assert len(flushed) == 4


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with exclusive(tmp_path, "it"), pytest.raises(ArtifactError, match="another process is using"):
        write_set(tmp_path, 1)  # a lock belongs to a handle, not to the process
    write_set(tmp_path, 2)
    assert read(tmp_path) == "2"


@pytest.mark.parametrize("again", [False, True])
def test_a_deleted_lock_file_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock, flock = tmp_path / "lock", fcntl.flock

    def late(handle: int, how: int) -> None:
        flock(handle, how)
        lock.unlink()
        if again:
            lock.touch()

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ArtifactError, match="another process is using it"), exclusive(lock, "it"):
        pass


def test_a_large_array_that_is_mapped_outlives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGE", 0)
    model = Ease().fit(random_ratings(0))
    model.save(tmp_path)
    before = model.item_weights_.copy()
    loaded = Ease.load(tmp_path)
    loaded.item_weights_[0] = 7  # of this process alone
    np.testing.assert_array_equal(Ease.load(tmp_path).item_weights_, before)
    Ease().fit(random_ratings(1)).save(tmp_path)
    np.testing.assert_array_equal(loaded.item_weights_[1:], before[1:])
