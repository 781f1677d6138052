"""The two-tower training program: curves, the epoch it keeps, refusals."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import program as common
from model import text_plot, train_twotower
from recommender import Recommender
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError
from recommender.data.settings import default_folder
from recommender.data.splits import load_all, load_split
from recommender.learn.two_tower.artifact import MODEL_FILE, load_movie_tower
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import loss_and_gradient
from recommender.learn.two_tower.samplers import shuffled_batches
from recommender.learn.two_tower.settings import RECIPE, TwoTowerSettings

from .test_training_programs import make_processed as make_splits

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--factors", "4", "--batch", "32", "--rate", "0.03", "--patience", "0"]


def make_processed(folder: Path, value: float = 0.0) -> Path:
    """The two groups of test_training_programs with a list of their 40 movies; `value` overrides the ratings."""
    make_splits(folder, value=value)
    with open(folder / "movie_metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "title", "year", "genres"])
        for number in range(40):
            writer.writerow([7 * number, f"Movie {number} (1999)", "1999", ("Action", "Drama")[number % 2]])
    return folder


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


def command(*arguments: object, as_file: bool = False) -> list[str]:
    start = ["model/train_twotower.py"] if as_file else ["-m", "model.train_twotower"]
    return [sys.executable, *start, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}


def run(*arguments: object, as_file: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, as_file=as_file), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_prints_curves_and_keeps_the_best_epoch(
    processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    train_twotower.main(["--processed", str(processed), "--output", str(output), *SMALL, "--epochs", "12"])
    printed = capsys.readouterr().out
    lines = re.findall(r"epoch (\d+)/12  loss (\d+\.\d+)  nDCG@10 (\d\.\d+)(  best so far)?", printed)
    assert [int(line[0]) for line in lines] == list(range(1, 13))
    losses, quality = ([float(line[column]) for line in lines] for column in (1, 2))
    assert losses[-1] < losses[0] - 0.1
    best = int(np.argmax(quality)) + 1
    assert [int(line[0]) for line in lines if line[3]][-1] == best
    assert f"the model of epoch {best}\n" in printed
    assert printed.count(" |") == 2 * text_plot.HEIGHT

    train, val = load_split(processed, "train"), load_split(processed, "val")
    stored = TwoTower.load(output)
    case = common.validation_case(train, val)
    assert common.ranking_quality(stored, case) == pytest.approx(quality[best - 1], abs=6e-5)
    popular = float(re.search(r"popularity has (\d\.\d+)", printed)[1])  # type: ignore[index]
    assert quality[best - 1] > 1.2 * popular  # the two groups are learned
    fresh = TwoTower(catalog=Catalog.load(processed), **vars(stored.settings))
    training = fresh.start(train)
    for _ in range(best):
        training.run_epoch()
    np.testing.assert_array_equal(fresh.take_over(training).movie_vectors, stored.movie_vectors)
    np.testing.assert_array_equal(load_movie_tower(output, train.movie_ids)[0], stored.movie_vectors)
    np.testing.assert_array_equal(load_movie_tower(output, train.movie_ids)[1], stored.movie_biases)
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_twotower"):
        load_movie_tower(output, train.movie_ids + 1)
    assert not output.with_name("model.checkpoint").exists()


def test_stops_when_patience_is_out(processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--factors", "4", "--batch", "32", "--epochs", "300", "--rate", "0.05", "--patience", "2"]
    train_twotower.main(["--processed", str(processed), "--output", str(tmp_path / "model"), *flags])
    quality = [float(value) for value in re.findall(r"nDCG@10 (\d\.\d+)", capsys.readouterr().out)]
    best = int(np.argmax(quality))
    assert len(quality) == best + 3 < 300


def test_same_seed_same_bytes_other_seed_other_bytes(processed: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        flags = ["--output", str(tmp_path / name), *SMALL, "--epochs", "2", "--seed", str(seed), "--final"]
        train_twotower.main(["--processed", str(processed), *flags])
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a[MODEL_FILE] != c[MODEL_FILE]


def test_final_is_fitted_on_everything_for_the_best_number_of_epochs(
    processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--output", str(tmp_path), *SMALL, "--epochs", "4", "--final"]
    train_twotower.main(["--processed", str(processed), *flags])
    everything = load_all(processed)
    assert f"train+val+test: {everything.n_ratings} ratings" in capsys.readouterr().out.replace(",", "")
    stored = TwoTower.load(tmp_path, catalog=Catalog.load(processed))
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["settings"]["train"]
    assert manifest["fitted_on"] == "train+val+test"
    training = stored.start(everything)
    for _ in range(manifest["epochs_trained"]):
        training.run_epoch()
    fresh = TwoTower(**vars(stored.settings)).take_over(training)
    np.testing.assert_array_equal(fresh.movie_vectors, stored.movie_vectors)


def test_the_data_are_not_replaced_by_the_model(processed: Path) -> None:
    before = contents(processed)
    with pytest.raises(ArtifactError, match="holds a 'processed' artifact, which 'two_tower' would replace"):
        train_twotower.main(["--processed", str(processed), "--output", str(processed), *SMALL])
    assert contents(processed) == before


def test_the_folder_one_is_in_serves_as_output(
    processed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train_twotower.main(["--processed", str(processed), "--output", ".", *SMALL, "--epochs", "1"])
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert TwoTower.load(tmp_path / "here").settings.epochs == 1


def test_a_loss_that_is_no_number_and_a_val_without_likes_are_refused(processed: Path, tmp_path: Path) -> None:
    flags = ["--output", str(tmp_path / "model"), *SMALL]
    with pytest.raises(DataError, match=r"after epoch \d+ the loss is (nan|inf) .*: give a rate below 1e\+30"):
        train_twotower.main(["--processed", str(processed), *flags, "--rate", "1e30", "--objective", "mse"])
    # one batch: its loss is that before the only step, after which the weights are of no use
    with pytest.raises(DataError, match=r"the loss is \d.* and the largest weight \S+e\+19: give a rate below"):
        train_twotower.main(["--processed", str(processed), *flags, "--rate", "1e20", "--batch", "99999"])
    flat = make_processed(tmp_path / "flat", value=2.0)
    with pytest.raises(DataError, match="nobody likes a movie of val"):
        train_twotower.main(["--processed", str(flat), *flags])


def test_presets_and_flags_over_them(processed: Path, tmp_path: Path) -> None:
    flags = ["--processed", str(processed), "--output", str(tmp_path), "--preset", "recipe", "--epochs", "2"]
    train_twotower.main(flags)
    stored = TwoTower.load(tmp_path)
    expected = {**RECIPE, "epochs": 2}
    assert {name: getattr(stored.settings, name) for name in expected} == expected
    wanted = {"factors": 64, "batch": 1024, "rate": 1e-3, "objective": "mse", "epochs": 10}
    assert {name: RECIPE[name] for name in wanted} == wanted


def test_plot(processed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    arguments = ["--processed", str(processed), "--output", str(tmp_path / "model"), *SMALL, "--epochs", "2"]
    with pytest.raises(DataError, match=r"pip install 'tastevec\[plots\]', or leave out --plot$"):
        train_twotower.main([*arguments, "--plot", str(tmp_path / "curve.png")])
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    train_twotower.main([*arguments, "--plot", str(tmp_path / "curve.png")])
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("as_file", [False, True])
def test_runs_as_module_and_as_file_and_helps(as_file: bool) -> None:
    done = run("--help-all", as_file=as_file)
    assert done.returncode == 0
    for flag in ("--final", "--preset", "--restart", "--plot", "--threads", "--patience", "--objective", "--seed"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs: 0 is out of range"),
        (["--factors", "100000000000000000000"], "--factors: 100000000000000000000 is out of range"),
        (["--longest-history", "1000000000000000000000"], "is out of range (ratings that are read at most; from 1 to"),
        (["--objective", "hinge"], "--objective: 'hinge' is not one of softmax, mse"),
        (["--threads", "0"], "--threads 0: give a whole number from 1"),
        (["--patience", "-1"], "--patience: -1 is out of range"),
        (["--preset", "best"], "argument --preset: invalid choice: 'best'"),
        (["--plot", "{folder}"], "is a folder: give the name of a file"),
        (["--output", "{file}"], "file is a file, not a folder: give another --output"),
        (["--processed", "{folder}"], "no movie list at"),
        (["--bogus"], "unrecognized arguments: --bogus: see --help"),
    ],
)
def test_bad_input_is_one_line(processed: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    pytest.importorskip("matplotlib" if "--plot" in arguments else "numpy")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    given = [text.format(file=tmp_path / "file", folder=tmp_path / "folder") for text in arguments]
    if "--processed" not in given:
        given = ["--processed", str(processed), *given]
    done = run(*given)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("tastevec: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_text_plot() -> None:
    drawn = text_plot.curve([3.0, 2.0, 1.5, 1.75], "loss", mark=2).splitlines()
    assert drawn[0] == "        3 |*"
    assert drawn[5:8] == ["          |   *", "          |         *", "      1.5 |      O"]
    assert drawn[-1] == "           1        4   loss"
    many = text_plot.curve(list(range(1000)), "x", mark=500).splitlines()
    assert max(map(len, many)) <= 11 + text_plot.WIDTH + 10
    assert sum(line.count("O") for line in many) == 1
    assert text_plot.curve([float("nan")], "x") == "x: no values"
    assert text_plot.curve([2.0], "x").count("*") == text_plot.curve([2.0, 2.0], "x").count("*") - 1 == 1


def test_the_shipped_artifact_is_what_the_command_builds() -> None:
    """The first epochs of the final fit have the losses that the manifest names, and the vectors fit the last one.

    All epochs again would take 20 seconds. A processor of another kind rounds otherwise, so digits may differ a little.
    """
    processed = default_folder("processed")
    folder = processed / "artifacts" / "twotower"
    catalog = Catalog.load(processed)
    shipped = TwoTower.load(folder, catalog=catalog)
    assert shipped.settings == TwoTowerSettings()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["settings"]["train"]
    assert (manifest["fitted_on"], manifest["epochs_trained"]) == ("train+val+test", len(manifest["losses"]))
    everything = load_all(processed)
    training = TwoTower(catalog=catalog).start(everything)
    assert [training.run_epoch() for _ in range(2)] == pytest.approx(manifest["losses"][:2], rel=1e-3)

    # a network without side features whose tables are the shipped vectors: its loss is that of the shipped model
    plain = TwoTower(side_features="none", drop_ids=0.0).start(everything)
    tables = {
        "movies": shipped.movie_vectors,
        "bias": shipped.movie_biases[:, None],
        "history": shipped.history_vectors,
    }
    assert tables.keys() == plain.tables.keys()
    for name, values in tables.items():
        plain.tables[name].weights[...] = values
    rng = np.random.default_rng(0)
    losses = []
    for lines in itertools.islice(shuffled_batches(len(plain.examples), 512, rng), 10):
        moments = plain._draw_moments(rng)[lines]
        losses.append(loss_and_gradient(plain.parameters, plain.make_batch(lines, moments, rng), plain.design)[0])
    assert -0.5 < np.mean(losses) - manifest["losses"][-1] < 0.1
    # the library answers with it, and quickly enough not to have trained it
    movie = Recommender.load(processed).recommend(int(everything.user_ids[0]), n=1, method="two_tower")[0]
    assert movie.movie.movie_id == shipped.recommend(everything, [0], 1)[0][0, 0]
