"""`model.runtwotower`: the same conversation as `model.runsvd`, over the movie tower's vectors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import train_ranking_model
from recommender import Recommender
from recommender.data.errors import ArtifactError, ChoiceError
from recommender.learn.svd import SvdModel
from recommender.learn.two_tower.model import TwoTower
from recommender.session.rules import Event, MovingAverage
from recommender.session.two_tower_rule import BIAS_WEIGHT
from tests.test_session_program import RULE, TYPED
from tests.tiny import FILMS, make_processed

ROOT = Path(__file__).resolve().parent.parent
FLAGS = RULE[2:]  # without --learning-rule, which this program does not have


def tiny_two_tower(folder: Path) -> Path:
    """The nine movies with a two-tower artifact of the same vectors as their SVD, and that SVD made useless."""
    make_processed(folder)
    model = TwoTower(factors=2)
    model.movie_ids = np.array([movie[0] for movie in FILMS])
    model.movie_vectors = np.array([movie[4] for movie in FILMS], dtype=np.float32)
    model.movie_biases = np.zeros(len(FILMS), dtype=np.float32)
    model.history_vectors = np.zeros((len(FILMS), 2), dtype=np.float32)
    model.people_mean = np.zeros(0, dtype=np.float32)
    model.user_W, model.user_b = np.zeros((4, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)
    model.save(folder / "artifacts" / "twotower")
    for file in (folder / "artifacts" / "svd").iterdir():
        file.write_bytes(b"not to be read")
    return folder


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_two_tower(tmp_path_factory.mktemp("data") / "processed")


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What runsvd says where the SVD's vectors are those of the tower without their mean."""
    folder = make_processed(tmp_path_factory.mktemp("svd") / "processed")
    model = SvdModel.load(folder / "artifacts" / "svd")
    model.movie_embeddings_ = model.movie_embeddings_ - model.movie_embeddings_.mean(axis=0)
    model.save(folder / "artifacts" / "svd")
    done = run(TYPED, *RULE, "--processed", folder, start=("-m", "model.runsvd"))
    assert "3. " in done.stdout
    return done.stdout


def run(
    text: str, *flags: object, start: tuple[str, ...] = ("-m", "model.runtwotower"), cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *start, *map(str, flags)]
    return subprocess.run(command, input=text, cwd=cwd, capture_output=True, text=True, timeout=60, encoding="utf-8")


def test_a_whole_session_through_a_pipe_is_that_of_runsvd(processed: Path, transcript: str) -> None:
    done = run(TYPED, *FLAGS, "--processed", processed)
    assert (done.stdout, done.stderr, done.returncode) == (transcript, "", 0)


def test_the_file_runs_as_the_module_does(processed: Path, tmp_path: Path, transcript: str) -> None:
    start = (str(ROOT / "model" / "runtwotower.py"),)
    done = run(TYPED, *FLAGS, "--processed", processed, start=start, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (transcript, "", 0)


def test_end_of_input_and_profiles(processed: Path, tmp_path: Path) -> None:
    done = run("alpha\n\ny", "--processed", processed, "--profiles", tmp_path, "--save", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Goodbye.\n")
    again = run("q\n", "--processed", processed, "--profiles", tmp_path, "--resume", "ann")
    assert "Welcome back, ann: 1 favorites, 1 answers." in again.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--processed", "{svd_only}"], "no two_tower artifact in {svd_only}/artifacts/twotower: run python -m "),
        (["--processed", "{damaged}"], "twotower_model.npz is damaged or from another run (its sha256 differs): run"),
        (["--learning-rule", "conditional-gaussian"], "unrecognized arguments: --learning-rule conditional-gaussian"),
        (["--vector-scaling", "1"], "unrecognized arguments: --vector-scaling 1: see --help"),
        (["--learning-rate", "2"], "--learning-rate: 2.0 is out of range"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, flags: list[str], message: str) -> None:
    places = {"svd_only": make_processed(tmp_path / "a"), "damaged": tiny_two_tower(tmp_path / "b")}
    with open(places["damaged"] / "artifacts" / "twotower" / "twotower_model.npz", "r+b") as file:
        file.seek(200)
        file.write(b"XX")
    done = run("", *(flag.format(**places) for flag in flags))
    assert (done.returncode, done.stdout) == (2, "")
    assert message.format(**places) in done.stderr
    assert done.stderr.startswith("tastevec: ")
    assert done.stderr.count("\n") == 1


def test_a_model_of_other_movies_is_refused(processed: Path, tmp_path: Path) -> None:
    folder = tiny_two_tower(tmp_path / "processed")
    listed = folder / "movie_metadata.csv"
    listed.write_text(listed.read_text(encoding="utf-8").replace("9,Iota", "10,Iota"), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_twotower"):
        Recommender.load(folder, vectors="two_tower")


def test_the_library_has_the_same_vectors(processed: Path) -> None:
    recommender = Recommender.load(processed, vectors="two_tower")
    assert isinstance(recommender.rule, MovingAverage)
    assert recommender.policy.learning_rule == "moving-average"
    np.testing.assert_array_equal(recommender.movie_vectors, np.array([movie[4] for movie in FILMS], np.float32))
    with pytest.raises(ChoiceError, match="vectors 'towers': give one of svd, two_tower"):
        Recommender.load(processed, vectors="towers")


def test_the_ranking_program_points_to_its_own(tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match=r"program of its own, python -m model\.train_twotower"):
        train_ranking_model.main(["--model", "two_tower", "--processed", str(tmp_path)])


def test_biases_lie_beneath_and_are_explained_as_what_people_in_general_like(tmp_path: Path) -> None:
    """Epsilon's bias of 30 counts in the score of anybody; without it the session shows Gamma."""
    folder = tiny_two_tower(tmp_path / "processed")
    model = TwoTower.load(folder / "artifacts" / "twotower")
    model.movie_biases[4] = 30
    model.save(folder / "artifacts" / "twotower")
    recommender = Recommender.load(folder, vectors="two_tower")
    vectors = model.movie_vectors - model.movie_vectors.mean(axis=0)
    base = BIAS_WEIGHT * (vectors**2).sum(axis=1).mean() * 30
    scores = recommender.rule.scores([Event(0, "favorite")])
    assert scores[4] == pytest.approx(vectors[0] @ vectors[4] + base, rel=1e-5)
    table = recommender.rule.contributions([Event(0, "favorite")], np.arange(9))
    np.testing.assert_allclose(table.sum(axis=0), scores, rtol=1e-5, atol=1e-6)
    assert table[0, 4] == pytest.approx(base, rel=1e-5)
    movie = recommender.session([1, 6]).next()
    assert movie is not None
    assert movie.movie.movie_id == 5
    assert movie.because[0].kind == "average"
    assert movie.because[0].value > 1
