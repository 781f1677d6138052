"""The two-tower training program: curves, the epoch it keeps, killed and resumed, refusals, the shipped artifact."""

import functools
import itertools
import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import train_twotower
from recommender import Recommender
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError
from recommender.data.files import exclusive
from recommender.data.settings import default_folder
from recommender.data.splits import load_all, load_split
from recommender.evaluate import protocols, run
from recommender.learn.two_tower.model import MODEL_FILE, TwoTower
from recommender.learn.two_tower.network import RECIPE, TwoTowerSettings, loss_and_gradient
from recommender.learn.two_tower.training import shuffled_batches

from .test_training_programs import make_processed
from .tiny import exit_code, start

SMALL = ["--factors", 4, "--batch", 32, "--rate", 0.03, "--patience", 0]


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


def train(processed: Path, output: Path, *flags: object) -> None:
    train_twotower.main(["--processed", str(processed), "--output", str(output), *map(str, [*SMALL, *flags])])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def about(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["settings"]["train"]


def test_prints_curves_keeps_the_best_epoch_and_stops_when_patience_is_out(processed, tmp_path, capsys):
    output = tmp_path / "model"
    train(processed, output, "--epochs", 12)
    printed = capsys.readouterr().out
    lines = re.findall(r"epoch (\d+)/12  loss (\d+\.\d+)  nDCG@10 (\d\.\d+)(  best so far)?", printed)
    losses, quality = ([float(line[column]) for line in lines] for column in (1, 2))
    assert losses[-1] < losses[0] - 0.1
    best = int(np.argmax(quality)) + 1
    assert [int(line[0]) for line in lines if line[3]][-1] == best
    assert train_twotower.curve([3.0, 2.0, 1.5, 1.75], "loss").split() == ["loss", "3.0000", "█▃▁▂", "1.7500"]
    assert len(re.findall("[▁-█]{12}", printed)) == 2

    train_split, val = load_split(processed, "train"), load_split(processed, "val")
    stored = TwoTower.load(output)
    case = protocols.from_known(train_split, val, "val")
    assert run.ranking_quality(stored, case) == pytest.approx(quality[best - 1], abs=6e-5)
    popular = float(re.search(r"popularity: (\d\.\d+)", printed)[1])  # type: ignore[index]
    assert quality[best - 1] > 1.2 * popular  # the two groups are learned
    fresh = TwoTower(Catalog.load(processed), **vars(stored.settings))
    training = fresh.start(train_split)
    for _ in range(best):
        training.run_epoch()
    np.testing.assert_array_equal(fresh.take_over(training).movie_vectors_, stored.movie_vectors_)
    train(processed, tmp_path / "patient", "--epochs", 300, "--rate", 0.05, "--patience", 2)
    quality = [float(value) for value in re.findall(r"nDCG@10 (\d\.\d+)", capsys.readouterr().out)]
    assert len(quality) == int(np.argmax(quality)) + 3 < 300


def test_same_seed_same_bytes_and_all_ratings_for_the_best_number_of_epochs(processed: Path, tmp_path: Path) -> None:
    for name, seed, flag in (("a", 1, "--all-ratings"), ("b", 1, "--final"), ("c", 2, "--all-ratings")):
        train(processed, tmp_path / name, "--epochs", 4, "--seed", seed, flag)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a[MODEL_FILE] != c[MODEL_FILE]
    stored = TwoTower.load(tmp_path / "a", Catalog.load(processed))
    assert about(tmp_path / "a")["fitted_on"] == "train+val+test"
    training = stored.start(load_all(processed))
    for _ in range(about(tmp_path / "a")["epochs_trained"]):
        training.run_epoch()
    fresh = TwoTower(**vars(stored.settings)).take_over(training)
    np.testing.assert_array_equal(fresh.movie_vectors_, stored.movie_vectors_)


@pytest.mark.parametrize(("stop_after", "stop"), [(2, signal.SIGINT), (3, signal.SIGKILL), (5, signal.SIGINT)])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(processed, tmp_path, stop_after, stop, monkeypatch, capsys):
    flags, output = ["--epochs", 4, "--all-ratings"], tmp_path / "model"
    train(processed, tmp_path / "whole", *flags)
    kept, keep = itertools.count(1), train_twotower.Run.keep

    def keep_then_stop(self: train_twotower.Run) -> None:
        keep(self)
        if next(kept) == stop_after:
            signal.raise_signal(stop)

    with monkeypatch.context() as patch:
        patch.setattr(train_twotower.Run, "keep", keep_then_stop)
        heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        code = exit_code(start(lambda _: train(processed, output, *flags), on={1: tmp_path / "out"}, first=heed))
    assert code == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    assert not output.exists() or not list(output.iterdir())
    with pytest.raises(ArtifactError, match="unfinished training with epochs 4, now 5: use the same value to resume"):
        train(processed, output, *flags, "--epochs", 5)
    train(processed, output, *flags)
    assert "resuming after epoch" in capsys.readouterr().out
    assert contents(output) == contents(tmp_path / "whole")
    assert [path.name for path in tmp_path.glob("model.*")] == []


def test_a_damaged_checkpoint_is_refused_until_it_starts_over(processed: Path, tmp_path: Path) -> None:
    (waiting := tmp_path / "model.checkpoint").mkdir()
    (waiting / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"is damaged .*: run again with --restart"):
        train(processed, tmp_path / "model", "--epochs", 1)
    train(processed, tmp_path / "model", "--epochs", 1, "--restart")


def test_the_program_starts_itself_again_for_threads_that_numpy_reads_once(processed, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)
    with pytest.raises(SystemExit, match="0"):
        train(processed, tmp_path / "again", "--epochs", 2, "--threads", 1)
    train(processed, tmp_path / "here", "--epochs", 2)
    assert contents(tmp_path / "again") == contents(tmp_path / "here")


def test_where_the_model_may_be_written(processed: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has a 'processed' artifact, which 'two_tower' would replace"):
        train(processed, processed)
    with exclusive(tmp_path / ".model.lock", "x"):  # noqa: SIM117
        with pytest.raises(ArtifactError, match="another process is using the training"):
            train(processed, tmp_path / "model")


def test_a_loss_that_is_no_number_and_a_val_without_likes_are_refused(processed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"after epoch \d+ the loss is (nan|inf) .*: give a rate below 1e\+30"):
        train(processed, tmp_path / "model", "--rate", "1e30", "--objective", "mse")
    # one batch: its loss is that before the only step, after which the weights are of no use
    with pytest.raises(DataError, match=r"the loss is \d.* and the largest weight \S+e\+19: give a rate below"):
        train(processed, tmp_path / "model", "--rate", "1e20", "--batch", 99999)
    with pytest.raises(DataError, match="no user likes a movie of val"):
        train(make_processed(tmp_path / "flat", value=2.0), tmp_path / "model")


def test_presets_and_flags_over_them(processed: Path, tmp_path: Path) -> None:
    train_twotower.main(f"--processed {processed} --output {tmp_path} --preset recipe --epochs 2".split())
    settings = vars(TwoTower.load(tmp_path).settings)
    wanted = {**RECIPE, "epochs": 2, "factors": 64, "batch": 1024, "rate": 1e-3, "objective": "mse"}
    assert {name: settings[name] for name in wanted} == wanted


@pytest.mark.slow
def test_the_shipped_artifact_is_what_the_command_builds() -> None:
    processed = default_folder("processed")
    folder = processed / "artifacts" / "twotower"
    catalog = Catalog.load(processed)
    shipped = TwoTower.load(folder, catalog)
    assert shipped.settings == TwoTowerSettings()
    stored = about(folder)
    assert (stored["fitted_on"], stored["epochs_trained"]) == ("train+val+test", len(stored["losses"]))
    everything = load_all(processed)
    assert TwoTower(catalog).start(everything).run_epoch() == pytest.approx(stored["losses"][0], rel=1e-3)
    # a network without side features whose tables are the shipped vectors: its loss is that of the shipped model
    plain = TwoTower(side_features="none", drop_ids=0.0).start(everything)
    shipped_tables = shipped.movie_vectors_, shipped.movie_biases_[:, None], shipped.history_vectors_
    for name, values in zip(("movies", "bias", "history"), shipped_tables):
        plain.learned[name].weights[...] = values
    losses, rng = [], np.random.default_rng(0)
    for rows in itertools.islice(shuffled_batches(len(plain.examples), 512, rng), 10):
        batch = plain.make_batch(rows, plain.draw_ends(rng)[rows], rng)
        losses.append(loss_and_gradient(plain.parameters, batch, plain.settings)[0])
    assert -0.5 < np.mean(losses) - stored["losses"][-1] < 0.1
    movie = Recommender.load(processed).recommend(int(everything.user_ids[0]), n=1, method="two_tower")[0]
    assert movie.movie.movie_id == shipped.recommend(everything, [0], 1)[0][0, 0]
