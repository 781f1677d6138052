"""What the session and its data refuse: one line that says what was wrong, exit code 2, nothing written.

The same for raw data and preprocessing stands in test_preprocess.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model import runsvd
from recommender import cli
from tests.tiny import make_processed

ROOT = Path(__file__).resolve().parent.parent
SESSION = "alpha\n\ny\n"
RULE = ["--learning-rule", "moving-average"]  # all that the small data have an artifact for


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


@pytest.fixture
def processed(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "processed"))


Refuse = Callable[..., None]


@pytest.fixture
def refuse(processed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run the session on `processed` and demand its refusal; the message is a part of the one line."""

    def check(flags: list[str], message: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(SESSION))
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as ended:
            cli.run(lambda _: runsvd.main([*RULE, "--processed", str(processed), *flags]))
        error = capsys.readouterr().err
        assert ended.value.code == 2, error
        assert re.fullmatch(r"tastevec: .*\n", error)
        assert message in error

    return check


FLAGS = [
    (["--year", "soon"], "'soon' is no year or range: write 1994, 1990-1999, 1990- or -1970"),
    (["--year", "1999-1990"], "'1999-1990' is no year or range"),
    (["--year", "-"], "'-' is no year or range"),
    (["--seed", "-1"], "--seed: '-1' is not a whole number from 0"),
    (["--seed", "x"], "--seed: 'x' is not a whole number from 0"),
    (["--genre", "Sitcom"], "no genre 'Sitcom': choose from Action, Comedy, Drama, War"),
    (["--exclude-genre", ""], "no genre ''"),
    (["--year", "1920"], "no movie passes --genre, --exclude-genre and --year together: widen one of them"),
    (["--save", "../x"], "profile name '../x': use up to 64 letters"),
    (["--save", ""], "profile name ''"),
    (["--resume", "nobody"], "no profile 'nobody' in"),
    (["--learning-rate", "2"], "--learning-rate: 2.0 is out of range (step of the moving average"),
    (["--learning-rate", "0.5", "--learning-rule", "conditional-gaussian"], "--learning-rate belongs to the moving"),
    (["--diversity-band-low", "0.9"], "diversity_band_low 0.9 is above diversity_band_high 0.5: give the lower end"),
    (["--resume", "ann", "--seed", "3"], "--seed 3 with --resume: the profile has its seed, leave --seed out"),
    (["--learning-rate", "fast"], "invalid float value: 'fast'"),
    (["--n-favorites", "0"], "--n-favorites: 0 is out of range"),
    (["--config", "nowhere.yaml"], "no settings file at nowhere.yaml"),
    (["--processed", "nowhere"], "no movie list at nowhere"),
    (["--processed", "setup.cfg"], "setup.cfg"),
    (["--profiles", "setup.cfg", "--save", "ann"], "setup.cfg"),
    (["--like-a-boss"], "unrecognized arguments: --like-a-boss"),
]


@pytest.mark.parametrize(("flags", "message"), FLAGS, ids=[" ".join(flags) for flags, _ in FLAGS])
def test_flags(refuse: Refuse, flags: list[str], message: str) -> None:
    refuse(flags, message)


POLICIES = [  # test_settings has all kinds
    ("learning_rat: 0.1", "line 1: unknown key 'learning_rat': did you mean learning_rate?"),
    ("exploration_rate: 2", "2 is out of range (probability that a turn damps the model score; from 0 to 1"),
    ("min_genre_affinity: [", "is not valid YAML"),
]


@pytest.mark.parametrize(("text", "message"), POLICIES, ids=[text for text, _ in POLICIES])
def test_policies(refuse: Refuse, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    refuse(["--config", str(tmp_path / "policy.yaml")], message)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE = [
    ("artifacts/svd/movie_embeddings.npy", cut, "movie_embeddings.npy is damaged or from another run"),
    ("artifacts/svd/movie_embeddings.npy", flip, "movie_embeddings.npy is damaged or from another run"),
    ("artifacts/svd/movie_embeddings.npy", Path.unlink, "movie_embeddings.npy is missing: run python -m model.train"),
    ("artifacts/svd/svd_model.npz", empty, "svd_model.npz is damaged or from another run"),
    ("artifacts/svd/movie_map.json", cut, "movie_map.json is damaged or from another run"),
    ("artifacts/svd/manifest.json", cut, "manifest.json is damaged (not JSON): run python -m model.train_svd_model"),
    ("artifacts/svd/manifest.json", Path.unlink, "no svd artifact in"),
    ("movie_metadata.csv", empty, "movie_metadata.csv is damaged"),
    ("movie_popularity.json", cut, "movie_popularity.json is damaged"),
    ("movie_popularity.json", lambda path: path.write_text("[1]"), "movie_popularity.json"),
    ("movie_popularity.json", lambda path: path.write_text('{"1": "x"}'), "movie_popularity.json"),
]


@pytest.mark.parametrize(
    ("name", "harm", "message"), DAMAGE, ids=[f"{name} {message[-20:]}" for name, _, message in DAMAGE]
)
def test_damaged_data(refuse: Refuse, processed: Path, name: str, harm: Callable[[Path], object], message: str) -> None:
    harm(processed / name)
    refuse([], message)
    refuse([], f" --processed {processed}" if "svd" in name else f" --output {processed}")  # not the shipped data


def test_an_artifact_with_numbers_that_are_none(refuse: Refuse, processed: Path) -> None:
    """Checksums can be right and values wrong: an artifact written by a broken program."""
    folder = processed / "artifacts" / "svd"
    vectors = np.load(folder / "movie_embeddings.npy")
    vectors[0, 0] = np.nan
    np.save(folder / "movie_embeddings.npy", vectors)
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "movie_embeddings.npy").read_bytes()).hexdigest()
    manifest["files"]["movie_embeddings.npy"]["sha256"] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refuse([], "movie_embeddings.npy holds values that are not numbers")


PROFILES = [
    ("{", "ann.json is damaged"),
    ("[]", "is not a profile of tastevec"),
    ('{"format_version": 1, "seed": 0, "favorites": ["x"], "answers": []}', "is not a profile of tastevec"),
    ('{"format_version": 9, "seed": 0, "favorites": [1], "answers": []}', "format version 9, this program reads 2"),
    ('{"format_version": 1, "seed": 0, "favorites": [1], "answers": [[2, "maybe"]]}', "answer 'maybe' to movie 2"),
    ('{"format_version": 1, "seed": 0, "favorites": [77], "answers": []}', "none of its favorites is in this"),
    ('{"format_version": 1, "seed": 0, "favorites": [1], "answers": [[1, "like"]]}', "is not a profile of tastevec"),
    ('{"format_version": 1, "seed": Infinity, "favorites": [1], "answers": []}', "is not a profile of tastevec"),
    ('{"format_version": 1, "seed": -4, "favorites": [1], "answers": []}', "is not a profile of tastevec"),
]


@pytest.mark.parametrize(("text", "message"), PROFILES)
def test_profiles(refuse: Refuse, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ann.json").write_text(text)
    refuse(["--profiles", str(tmp_path), "--resume", "ann"], message)
    assert (tmp_path / "ann.json").read_text() == text


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that can close a stream")
def test_an_output_that_was_closed(processed: Path) -> None:
    command = f'"{sys.executable}" -m model.runsvd {" ".join(RULE)} --processed "{processed}" >&-'
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, input=SESSION)
    assert done.returncode == 2
    assert re.fullmatch("tastevec: standard output is closed.*\n", done.stderr)


def test_an_input_that_was_closed(processed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert runsvd.main([*RULE, "--processed", str(processed)]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(processed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the output, and under an array, where numpy's error has no number."""
    command = [sys.executable, "-m", "model.runsvd", *RULE, "--processed", str(processed)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, input=SESSION, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert re.fullmatch("tastevec: .*the disk is full.*\n", done.stderr)
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda _: np.ones(99_999).tofile("/dev/full"))
    assert ended.value.code == 2
    assert "the disk is full" in capsys.readouterr().err


def test_a_full_disk_under_the_profile(processed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on file size makes every write of a profile fail as a full disk does."""
    resource = pytest.importorskip("resource")
    flags = [*RULE, "--processed", str(processed), "--profiles", str(tmp_path / "p")]
    monkeypatch.setattr(sys, "stdin", io.StringIO(SESSION))
    assert runsvd.main([*flags, "--save", "ann"]) == 0
    before = (tmp_path / "p" / "ann.json").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "model.runsvd", *flags, "--resume", "ann"],
        input="y\n", cwd=ROOT, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"tastevec: .*\n", done.stderr)
    assert (tmp_path / "p" / "ann.json").read_text() == before
    assert os.listdir(tmp_path / "p") == ["ann.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o500)
    refuse(["--profiles", str(tmp_path / "p"), "--save", "ann"], "no permission")
