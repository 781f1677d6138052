"""The training program: what it prints against other ways to compute it, what it stores, how it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import program, train_svd_model
from preprocess import setup
from recommender.data import artifacts, weighting
from recommender.data.errors import SettingsError
from recommender.data.interactions import Interactions, concat
from recommender.data.settings import default_folder
from recommender.data.splits import load_split, split_per_user
from recommender.learn.svd import SvdModel

from .raw_sets import random_lines, random_movies, write_csv
from .tiny import load_final_rating

ROOT = Path(__file__).resolve().parents[1]


def make_processed(folder: Path, n_users: int = 50, n_movies: int = 40, value: float = 0.0) -> Path:
    """Two groups of people with their own movies, split by time as preprocess does; `value` overrides the ratings."""
    rng = np.random.default_rng(0)
    users, movies = np.nonzero(rng.random((n_users, n_movies)) < 0.4)
    ratings = np.where(users % 2 == movies % 2, rng.integers(7, 11, len(users)), rng.integers(1, 6, len(users))) / 2
    if value:
        ratings[:] = value
    data = Interactions.from_columns(
        users + 1, 7 * movies, ratings, rng.permutation(len(users)), 7 * np.arange(n_movies)
    )
    with artifacts.replace_set(folder, "processed", "setup", {}) as stage:
        for name, part in zip(("train", "val", "test"), split_per_user(data)):
            part.save(stage / f"{name}.npz")
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    start = ["-m", "model.train_svd_model"]
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *start, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_report_and_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_processed(tmp_path / "processed")
    train_svd_model.main(["--processed", str(folder), "--rank", "4", "--signal", "centered"])
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if re.match(r"  \w+ +\.?\d", line)}
    assert list(rows) == ["popularity", "binary", "ones", "centered", "weighted"]
    assert "<- chosen" in " ".join(rows["centered"])

    train, val = load_split(folder, "train"), load_split(folder, "val")
    full = np.zeros((train.n_users, train.n_movies))
    mean = np.array([train.ratings[a:b].mean() for a, b in zip(train.indptr[:-1], train.indptr[1:])])
    full[train.user_rows(), train.movie_rows] = train.ratings - mean[train.user_rows()]
    U, s, Vt = np.linalg.svd(full)
    predicted = ((U[:, :4] * s[:4]) @ Vt[:4])[val.user_rows(), val.movie_rows]
    wanted = val.ratings - mean[val.user_rows()]
    known = full[train.user_rows(), train.movie_rows]
    truth = [np.sqrt(np.mean((guess - wanted) ** 2)) for guess in (predicted, 0, known.mean())]
    assert [float(cell) for cell in rows["centered"][1:4]] == pytest.approx(truth, abs=6e-5)
    energy = (s[:4] ** 2).sum() / (s**2).sum()
    assert f"{energy:.1%} of the energy" in printed
    assert float(rows["centered"][0]) > 1.2 * float(rows["popularity"][0])  # the two groups are learned

    model = SvdModel.load(folder / "artifacts" / "svd")
    np.testing.assert_allclose(
        model.user_embeddings_ @ model.movie_embeddings_.T, (U[:, :4] * s[:4]) @ Vt[:4], atol=1e-4
    )
    assert (model.settings.rank, model.settings.signal) == (4, "centered")


@pytest.mark.parametrize(
    ("flags", "half_life", "power"),
    [
        ([], 1.0, 2.0),
        (["--half-life-days", "7"], 7.0, 2.0),
        (["--popularity-power", "0"], 1.0, 0.0),
    ],
)
def test_the_weighted_signal_is_the_one_that_the_preprocessing_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], half_life: float, power: float
) -> None:
    folder = tmp_path / "processed"
    raw = write_csv(tmp_path / "raw", random_lines(0), random_movies())
    plain = ["--min-user-ratings", "3", "--min-movie-ratings", "3"]
    weights = ["--half-life-days", "1", "--popularity-power", "2"]
    setup.main(["--data", str(raw), "--output", str(folder), *plain, *weights])
    train_svd_model.main(["--processed", str(folder), "--signal", "weighted", "--rank", "3", *flags])
    assert f"weighted (half-life {half_life:g} days, popularity power {power:g}), rank 3" in capsys.readouterr().out
    model = SvdModel.load(folder / "artifacts" / "svd")
    assert (model.settings.half_life_days, model.settings.popularity_power) == (half_life, power)
    train, stored = load_split(folder, "train"), load_final_rating(folder, "train")
    # rounding in float32 of the same float64 values: equal to the bit, or weighed otherwise
    assert np.array_equal(model.values(train), stored) == (not flags)
    val_means, _ = weighting.user_means(train)
    val = model.values(load_split(folder, "val"), val_means)
    assert np.array_equal(val, load_final_rating(folder, "val")) == (not flags)


def test_damaged_weights_of_the_preprocessing_are_refused(tmp_path: Path) -> None:
    folder = make_processed(tmp_path / "processed")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["settings"]["transform"] = {"half_life_days": "long"}
    artifacts.dump_json(manifest, folder / "manifest.json")
    with pytest.raises(SettingsError, match=r"manifest\.json: half_life_days: 'long' is not a number"):
        train_svd_model.main(["--processed", str(folder), "--rank", "2"])


def test_report_does_not_depend_on_its_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--processed", str(make_processed(tmp_path / "processed")), "--rank", "4"]
    tables = []
    for ranking_block, rmse_block in ((256, 1 << 17), (7, 11)):
        monkeypatch.setattr(program, "RANKING_BLOCK", ranking_block)
        monkeypatch.setattr(train_svd_model, "RMSE_BLOCK", rmse_block)
        train_svd_model.main(arguments)
        tables.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")][1:])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 6


def test_final_is_fitted_on_all_three_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_processed(tmp_path / "processed")
    output = tmp_path / "elsewhere"
    train_svd_model.main(["--processed", str(folder), "--output", str(output), "--rank", "4", "--final"])
    parts = [load_split(folder, name) for name in ("train", "val", "test")]
    assert f"train+val+test: {sum(part.n_ratings for part in parts)} ratings" in capsys.readouterr().out.replace(
        ",", ""
    )
    fresh = SvdModel(rank=4).fit(concat(*parts))
    stored = SvdModel.load(output)
    np.testing.assert_array_equal(stored.movie_embeddings_, fresh.movie_embeddings_)
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["train"]["fitted_on"] == "train+val+test"
    assert not (folder / "artifacts").exists()


def test_runs_as_module(tmp_path: Path) -> None:
    folder = make_processed(tmp_path / "processed")
    done = run("--processed", str(folder), "--rank", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"stored in {folder / 'artifacts' / 'svd'}\n")


def test_help_names_every_flag() -> None:
    done = run("--help-all")
    assert done.returncode == 0
    for flag in ("--processed", "--output", "--all-ratings", "--rank", "--signal", "--passes", "--half-life-days"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rank", "41"], "--rank 41 for 50 users and 40 movies: give a rank from 1 to 40"),
        (["--rank", "0"], "--rank: 0 is out of range"),
        (["--signal", "stars"], "--signal: 'stars' is not one of binary, ones, centered, weighted"),
        (["--passes", "0"], "--passes: 0 is out of range"),
        (["--seed", "-1"], "--seed: -1 is out of range"),
        (["--half-life-days", "0"], "--half-life-days: 0.0 is out of range"),
        (["--rank", "2", "--output", "{file}"], "file is a file, not a folder: give another --output"),
        (["--rank", "2", "--output", "{file}/svd"], "file is a file, not a folder: give another --output"),
        (["--bogus"], "unrecognized arguments: --bogus: see --help"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    folder = make_processed(tmp_path / "processed")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    done = run("--processed", str(folder), *(text.format(file=tmp_path / "file") for text in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""  # refused before any work
    assert done.stderr.startswith("tastevec: ")
    assert done.stderr.count("\n") == 1
    assert not (folder / "artifacts").exists()


def test_missing_and_all_zero_data(tmp_path: Path) -> None:
    done = run("--processed", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "run python -m preprocess.setup" in done.stderr
    folder = make_processed(tmp_path / "flat", value=3.0)
    done = run("--processed", str(folder), "--signal", "binary", "--rank", "2")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the matrix is all zero: choose a signal" in done.stderr


def test_a_signal_that_these_ratings_do_not_have_is_skipped_in_the_report(tmp_path: Path) -> None:
    done = run("--processed", str(make_processed(tmp_path / "flat", value=3.0)), "--signal", "ones", "--rank", "2")
    assert done.returncode == 0
    assert re.search(r"binary +the matrix is all zero", done.stdout)


def test_the_shipped_artifact_is_what_the_command_builds(tmp_path: Path) -> None:
    processed = default_folder("processed")
    shipped = SvdModel.load(processed / "artifacts" / "svd")
    train_svd_model.main(["--processed", str(processed), "--output", str(tmp_path), "--final"])
    built = SvdModel.load(tmp_path)
    manifests = [
        json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["settings"]
        for folder in (processed / "artifacts" / "svd", tmp_path)
    ]
    assert manifests[0] == manifests[1]
    np.testing.assert_array_equal(built.user_ids_, shipped.user_ids_)
    np.testing.assert_array_equal(built.movie_counts_, shipped.movie_counts_)
    np.testing.assert_allclose(built.singular_values_, shipped.singular_values_, rtol=1e-5)
    products = [model.user_embeddings_ @ model.movie_embeddings_.T for model in (built, shipped)]
    np.testing.assert_allclose(*products, atol=1e-4 * shipped.singular_values_[0])
