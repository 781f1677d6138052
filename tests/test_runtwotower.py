"""`model.runtwotower`: the same conversation as `model.runsvd`, over the movie tower's vectors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import runtwotower, train_ranking_model
from recommender import Recommender
from recommender.data.errors import ArtifactError, ChoiceError, SettingsError
from recommender.learn.svd import SvdModel
from recommender.learn.two_tower.model import TwoTower
from recommender.session.fitted_rules import BIAS_WEIGHT
from recommender.session.rules import MovingAverage
from recommender.session.state import Event
from tests.test_session_program import RULE, TYPED, run
from tests.tiny import FILMS, make_processed

ROOT = Path(__file__).resolve().parent.parent
FLAGS = RULE[2:]  # without --learning-rule, which this program does not have
VECTORS = np.array([movie[4] for movie in FILMS], dtype=np.float32)


def tiny_two_tower(folder: Path, biases: dict[int, float]) -> Path:
    """The nine movies with a two-tower artifact of the same vectors as their SVD, and that SVD made useless."""
    make_processed(folder)
    model = TwoTower(factors=2)
    model.movie_ids = np.array([movie[0] for movie in FILMS])
    model.movie_vectors_, model.movie_biases_ = VECTORS, np.zeros(len(FILMS), dtype=np.float32)
    model.movie_biases_[list(biases)] = list(biases.values())
    model.history_vectors_ = np.zeros((len(FILMS), 2), dtype=np.float32)
    model.people_mean_, model.user_b_ = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32)
    model.user_W_ = np.zeros((0, 2), dtype=np.float32)
    model.save(folder / "artifacts" / "twotower")
    for file in (folder / "artifacts" / "svd").iterdir():
        file.write_bytes(b"not to be read")
    return folder


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return tiny_two_tower(tmp_path_factory.mktemp("data") / "processed", {})


def test_a_whole_session_is_that_of_runsvd(processed, tmp_path):
    """Of runsvd where the SVD's vectors are those of the tower without their mean; the last one as a file, piped."""
    svd = make_processed(tmp_path / "processed")
    model = SvdModel.load(svd / "artifacts" / "svd")
    model.movie_embeddings_ = model.movie_embeddings_ - model.movie_embeddings_.mean(axis=0)
    model.save(svd / "artifacts" / "svd")
    expected = run(TYPED, "--processed", svd, rule=RULE)
    assert (expected.returncode, expected.stderr) == (0, "")
    assert "3. " in expected.stdout
    assert run(TYPED, "--processed", processed, main=runtwotower.main, rule=FLAGS) == expected
    command = [sys.executable, str(ROOT / "model" / "runtwotower.py"), *FLAGS, "--processed", str(processed)]
    done = subprocess.run(command, input=TYPED, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_what_is_refused(processed, tmp_path):
    folder = make_processed(tmp_path / "svd only")
    with pytest.raises(ArtifactError, match=r"no two_tower artifact in .*twotower: run python -m"):
        runtwotower.main(["--processed", str(folder)])
    for flags in (["--learning-rule", "conditional-gaussian"], ["--vector-scaling", "1"], ["--learning-rate", "2"]):
        with pytest.raises(SettingsError, match=f"unrecognized arguments: {flags[0]}|{flags[0]}: 2.0 is out of range"):
            runtwotower.main(flags)
    folder = tiny_two_tower(tmp_path / "other movies", {})
    listed = folder / "movie_metadata.csv"
    listed.write_text(listed.read_text(encoding="utf-8").replace("9,Iota", "10,Iota"), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_twotower"):
        Recommender.load(folder, vectors="two_tower")
    with pytest.raises(ChoiceError, match="vectors 'towers': give one of svd, two_tower"):
        Recommender.load(processed, vectors="towers")
    with pytest.raises(ChoiceError, match=r"program of its own, python -m model\.train_twotower"):
        train_ranking_model.main(["--method", "two_tower", "--processed", str(tmp_path)])


def test_biases_lie_beneath_and_are_explained_as_what_people_in_general_like(tmp_path):
    """Epsilon's bias of 30 counts in the score of anybody; without it the session shows Gamma."""
    recommender = Recommender.load(tiny_two_tower(tmp_path / "processed", {4: 30.0}), vectors="two_tower")
    assert isinstance(recommender.rule, MovingAverage)
    assert recommender.policy.learning_rule == "moving-average"
    np.testing.assert_array_equal(recommender.movie_vectors, VECTORS)
    vectors = VECTORS - VECTORS.mean(axis=0)
    base = BIAS_WEIGHT * (vectors**2).sum(axis=1).mean() * 30
    scores = recommender.rule.scores([Event(0, "favorite")])
    assert scores[4] == pytest.approx(vectors[0] @ vectors[4] + base, rel=1e-5)
    table = recommender.rule.contributions([Event(0, "favorite")], np.arange(9))
    np.testing.assert_allclose(table.sum(axis=0), scores, rtol=1e-5, atol=1e-6)
    assert table[0, 4] == pytest.approx(base, rel=1e-5)
    movie = recommender.session([1, 6]).next()
    assert movie.movie.movie_id == 5
    assert movie.because[0].kind == "average"
    assert movie.because[0].value > 1
