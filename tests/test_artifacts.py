"""Files are whole or not there: kill -9 at every file operation, damage, mixed-up sets, a second writer."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data import artifacts, files
from recommender.data.errors import ArtifactError
from recommender.data.files import exclusive, load_npy, replace_file, sha256
from recommender.data.settings import default_folder, setting

# What Python reports of a program's dealings with files.
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.scandir", "os.listdir"}


def write_set(folder: Path, value: int) -> None:
    with artifacts.replace_set(folder, "thing", "make", {"value": value}) as stage:
        for name in ["a.npy", "b.npy"] if value == 1 else ["a.npy", "c.npy"]:
            np.save(stage / name, np.full(1000, value))


def write_and_die(folder: Path, value: int, kill_at: int) -> int:
    """Write in a child process that kills itself at the n-th file operation; return how it ended."""
    child = os.fork()
    if child == 0:
        seen = 0

        def watch(event: str, _: object) -> None:
            nonlocal seen
            if event in FILE_EVENTS:
                seen += 1
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        write_set(folder, value)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def read(folder: Path) -> int:
    """Return the one value of the set, having checked that every file of it is there, sound, and of that value."""
    manifest = artifacts.read_manifest(folder, "thing", "the writer")
    value = manifest["settings"]["make"]["value"]
    names = ["a.npy", "b.npy"] if value == 1 else ["a.npy", "c.npy"]
    assert sorted(manifest["files"]) == names
    artifacts.check_files(folder, manifest, names, "the writer")
    for name in names:
        array = load_npy(folder / name, np.int64)
        assert (array == value).all()
    return int(value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_a_set_is_old_or_new_wherever_the_writer_is_killed(tmp_path: Path) -> None:
    outcomes = []
    for kill_at in range(1, 200):
        folder = tmp_path / str(kill_at)
        write_set(folder, 1)
        code = write_and_die(folder, 2, kill_at)
        outcomes.append(read(folder))
        visible = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
        assert visible == sorted(["a.npy", "b.npy" if outcomes[-1] == 1 else "c.npy", "manifest.json"])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        # The next writer clears what the dead one left.
        write_set(folder, 2)
        assert read(folder) == 2
        assert not list(folder.glob(".*"))
    assert outcomes[-1] == 2
    assert len(outcomes) > 20  # the kill did reach the middle
    assert outcomes == sorted(outcomes)  # old until one moment, new from then on
    assert outcomes.count(2) > 3  # and killed after that moment too


def test_a_failed_writer_leaves_what_was_there(tmp_path: Path) -> None:
    def write_half(path: Path, name: str = "") -> None:
        replacing = artifacts.replace_set(path, "thing", "make", {}) if name else replace_file(path)
        with replacing as place:
            (place / name if name else place).write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x.txt").write_text("old")
    write_set(tmp_path / "old", 1)
    for name, inside in (("x.txt", ""), ("old", "a.npy"), ("new", "a.npy")):
        with pytest.raises(OSError, match="No space"):
            write_half(tmp_path / name, inside)
    assert (tmp_path / "x.txt").read_text() == "old"
    assert read(tmp_path / "old") == 1
    assert sorted(os.listdir(tmp_path)) == ["old", "x.txt"]
    assert not list((tmp_path / "old").glob(".*"))


def test_damage_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    data = bytearray((tmp_path / "b.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "b.npy").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"b\.npy is damaged or from another run .*: run the writer"):
        read(tmp_path)
    (tmp_path / "b.npy").unlink()
    with pytest.raises(ArtifactError, match=r"b\.npy is missing: run the writer"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no list of files"),
        ("[" * 100_000, "not JSON"),
        ('{"files": {"a.npy": "x"}, "format_version": 1, "kind": "thing"}', "no list of files"),
        ('{"files": {}, "format_version": 1, "kind": "thing"}', "its settings are not given by step"),
        (
            '{"files": {}, "format_version": 1, "kind": "thing", "settings": {"make": 1}}',
            "its settings are not given by step",
        ),
        ('{"files": {}, "format_version": 99, "kind": "thing"}', "format version 99, this program reads 1"),
        ('{"files": {}, "format_version": 1, "kind": "other"}', "holds a 'other' artifact, not 'thing'"),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match=message):
        artifacts.read_manifest(tmp_path, "thing", "the writer")
    if "other" not in content:  # what can't be read can be made again
        write_set(tmp_path, 1)
        assert read(tmp_path) == 1


def test_missing_artifact_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no thing artifact in .*: run the writer"):
        artifacts.read_manifest(tmp_path / "nowhere", "thing", "the writer")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: np.save(path, np.zeros((3, 2))), "holds float64, expected float32"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.with_suffix(".npz").replace(path), "it holds several arrays"),
        (lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True), "damaged"),
        (Path.unlink, "missing"),
    ],
)
def test_arrays_are_checked(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "x.npy"
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    np.save(path, np.zeros((3, 2), np.float32))
    assert load_npy(path, np.float32).shape == (3, 2)
    harm(path)
    with pytest.raises(ArtifactError, match=message):
        load_npy(path, np.float32)


@dataclass(frozen=True)
class Shape:
    rank: int = setting(2, "columns", 1, 9)


FILES = {"table.npy": np.float32, "rest.npz": {"counts": np.int64, "newest": np.int64}, "movies.json": np.int64}
IDS = np.array([3, 5, 8])


def store(folder: Path, table: Any = ((1, 2), (3, 4), (5, 6))) -> None:
    rest = {"counts": np.array([7, 8, 9]), "newest": np.array([1])}
    files = {"table.npy": np.array(table, np.float32), "rest.npz": rest, "movies.json": IDS}
    artifacts.store(folder, "thing", Shape(rank=3), files, movie_ids=IDS, fitted_on="train")


def restore(folder: Path, ids: np.ndarray = IDS) -> tuple[artifacts.Stored, dict[str, np.ndarray]]:
    stored = artifacts.restore(folder, "thing", "python -m model.make", Shape, movie_ids=ids)
    return stored, stored.read(FILES)


def test_what_is_stored_is_restored(tmp_path: Path) -> None:
    store(tmp_path)
    stored, arrays = restore(tmp_path)
    assert (stored.settings, stored.about["fitted_on"]) == (Shape(rank=3), "train")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "table": [[1, 2], [3, 4], [5, 6]],
        "counts": [7, 8, 9],
        "newest": [1],
        "movies": [3, 5, 8],
    }


def resign(folder: Path, name: str, content: str) -> None:
    """Put other content into a file and into the manifest: what a broken program would leave."""
    (folder / name).write_text(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def set_rank(folder: Path, value: str) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"rank": 3', value))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: store(folder, ((1, np.nan), (3, 4))), r"table\.npy holds values that are not numbers"),
        (lambda folder: resign(folder, "movies.json", "[3, 5, 8]"), r"movies\.json is not a map from ids to rows"),
        (lambda folder: resign(folder, "movies.json", '{"5": 0, "3": 1}'), r"movies\.json is not a map from ids"),
        (lambda folder: resign(folder, "movies.json", '{"3": 0, "x": 1}'), r"movies\.json is not a map from ids"),
        (lambda folder: set_rank(folder, '"rank": 99'), r"manifest\.json is damaged .its settings: rank: 99"),
        (lambda folder: set_rank(folder, '"rnak": 3'), r"manifest\.json is damaged .its settings: 'rank'"),
    ],
)
def test_what_a_broken_program_stored_is_refused(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    store(tmp_path)
    harm(tmp_path)
    with pytest.raises(ArtifactError, match=rf"{message}.*: run python -m model\.make --output {tmp_path}$"):
        restore(tmp_path)


def test_another_movie_list_is_refused(tmp_path: Path) -> None:
    """The remedy names the folder, unless it is the shipped one."""
    folder = tmp_path / "data" / "artifacts" / "thing"
    store(folder)
    with pytest.raises(ArtifactError, match=rf"another movie list: run .*model\.make --processed {tmp_path / 'data'}$"):
        restore(folder, IDS + 1)
    shipped = default_folder("processed")
    assert artifacts.command("python -m model.x", shipped) == "python -m model.x"
    assert artifacts.command("python -m model.x", shipped / "artifacts" / "x") == "python -m model.x"
    assert artifacts.command("again", tmp_path) == "again"


def test_files_are_flushed_through_handles_that_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to flush a file that is open for reading only."""
    fcntl = pytest.importorskip("fcntl")
    flushed = []

    def as_on_windows(handle: int) -> None:
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        flushed.append(handle)

    monkeypatch.setattr(os, "fsync", as_on_windows)
    write_set(tmp_path / "set", 1)
    with replace_file(tmp_path / "x.txt") as path:
        path.write_text("x")
    assert len(flushed) == 4


def test_a_lock_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There no folder can be opened and no open file deleted; a byte of a file beside the set is locked."""
    held: set[Path] = set()

    def locking(handle: int, mode: int, n: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path in held:
            raise PermissionError
        held.add(path)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    source = Path(files.__file__).read_text(encoding="utf-8")
    windows = types.ModuleType("recommender.data.files")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    windows.__package__ = "recommender.data"
    exec(compile(source, files.__file__, "exec"), windows.__dict__)
    with windows.exclusive(tmp_path, "it"):
        assert held == {tmp_path / ".lock"}
        with pytest.raises(ArtifactError, match="another process is using it"), windows.exclusive(tmp_path, "it"):
            pass
    held.clear()
    with windows.exclusive(tmp_path / "lock", "it"):
        assert held == {tmp_path / "lock"}
    assert os.listdir(tmp_path) == []


def test_steps_keep_what_came_before_and_drop_what_came_after(tmp_path: Path) -> None:
    def step(name: str, keep: tuple[str, ...]) -> list[str]:
        with artifacts.replace_set(tmp_path, "thing", name, {"by": name}, keep) as stage:
            (stage / f"{name}.txt").write_text(name)
        manifest = artifacts.read_manifest(tmp_path, "thing", "again")
        assert sorted(manifest["files"]) == sorted(file.name for file in tmp_path.glob("*.txt"))
        assert sorted(f"{name}.txt" for name in manifest["settings"]) == sorted(manifest["files"])
        return sorted(manifest["files"])

    (tmp_path / "mine.md").write_text("not ours")
    assert step("filter", ()) == ["filter.txt"]
    assert step("split", ("filter",)) == ["filter.txt", "split.txt"]
    assert step("model", ("filter", "split")) == ["filter.txt", "model.txt", "split.txt"]
    assert step("split", ("filter",)) == ["filter.txt", "split.txt"]
    assert (tmp_path / "mine.md").read_text() == "not ours"


def test_a_folder_that_holds_another_kind_is_left_alone(tmp_path: Path) -> None:
    """Its files would be deleted as stale: a model must not replace the data it was made from."""
    write_set(tmp_path, 1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    refused = r"holds a 'thing' artifact, which 'other' would replace: give another "
    with pytest.raises(ArtifactError, match=refused + "folder$"), artifacts.replace_set(tmp_path, "other", "make", {}):
        pass
    with pytest.raises(ArtifactError, match=refused + "--output$"):
        artifacts.need_folder(tmp_path, kind="other")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    artifacts.need_folder(tmp_path, kind="thing")
    for unreadable in ("{", "[]", '{"files": {}}'):
        (tmp_path / "manifest.json").write_text(unreadable)
        artifacts.need_folder(tmp_path, kind="other")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with exclusive(tmp_path, "it"), pytest.raises(ArtifactError, match="another process is using"):
        write_set(tmp_path, 1)  # a lock belongs to a handle, not to the process
    write_set(tmp_path, 2)
    assert read(tmp_path) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_lock_file_that_its_holder_deleted_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Who opened the file before it was deleted must not go on beside who locks the next one of that name."""
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


def test_manifest_lists_shapes(tmp_path: Path) -> None:
    with artifacts.replace_set(tmp_path, "thing", "make", {}) as stage:
        np.save(stage / "x.npy", np.zeros((3, 2), np.float32))
        np.savez(stage / "y.npz", ids=np.arange(4), flags=np.zeros((2, 2), bool))
    files = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert files["x.npy"]["dtype"] == "float32"
    assert files["x.npy"]["shape"] == [3, 2]
    assert files["y.npz"]["arrays"] == {
        "ids": {"dtype": "int64", "shape": [4]},
        "flags": {"dtype": "bool", "shape": [2, 2]},
    }
