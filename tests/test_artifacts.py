"""Files are whole or not there: kill -9 at every file operation, damage, mixed-up sets, a second writer."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.data import artifacts
from recommender.data.errors import ArtifactError
from recommender.data.files import exclusive

ROOT = Path(__file__).resolve().parent.parent

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
        array = artifacts.load_npy(folder / name, np.int64, (None,))
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


def test_one_file_survives_a_failed_writer(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail() -> None:
        with artifacts.replace_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_full_disk_leaves_the_old_set(tmp_path: Path) -> None:
    write_set(tmp_path, 1)

    def fill(folder: Path) -> None:
        with artifacts.replace_set(folder, "thing", "make", {"value": 2}) as stage:
            (stage / "a.npy").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(OSError, match="No space"):
            fill(folder)
    assert read(tmp_path) == 1
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "new").exists()


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


def test_missing_artifact_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no thing artifact in .*: run the writer"):
        artifacts.read_manifest(tmp_path / "nowhere", "thing", "the writer")


def test_arrays_are_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.float32))
    assert artifacts.load_npy(tmp_path / "x.npy", np.float32, (None, 2)).shape == (3, 2)
    with pytest.raises(ArtifactError, match=r"holds float32 \(3, 2\), expected float32 \(None, 5\)"):
        artifacts.load_npy(tmp_path / "x.npy", np.float32, (None, 5))
    with pytest.raises(ArtifactError, match="expected float64"):
        artifacts.load_npy(tmp_path / "x.npy", np.float64, (3, 2))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    with pytest.raises(ArtifactError, match="damaged"):
        artifacts.load_npy(tmp_path / "cut.npy", np.float32, (3, 2))
    with open(tmp_path / "several.npy", "wb") as file:
        np.savez(file, x=np.zeros(3))
    with pytest.raises(ArtifactError, match="it holds several arrays"):
        artifacts.load_npy(tmp_path / "several.npy", np.float32, (3,))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="damaged"):
        artifacts.load_npy(tmp_path / "pickled.npy", np.float32, (1,))


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
    with artifacts.replace_set(tmp_path, "thing", "make", {}):
        code = "from recommender.data.artifacts import *; from pathlib import Path; import sys\n"
        code += "with replace_set(Path(sys.argv[1]), 'thing', 'make', {}): pass"
        second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 1
    assert "another process is using" in second.stderr.splitlines()[-1]


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
