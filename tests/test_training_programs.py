"""The programs that train SVD and ranking models: what they print, store and refuse; what a fit takes; known users."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model import generate_embeddings, train_ranking_model, train_session_model, train_svd_model, train_twotower
from preprocess import setup
from preprocess.filter_data import filter_ratings
from preprocess.steps import PipelineSettings
from recommender import Recommender, models
from recommender.data import artifacts, weighting
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.interactions import Interactions, concat
from recommender.data.settings import default_folder
from recommender.data.splits import PARTS_FILE, load_all, load_split, part_per_user
from recommender.evaluate import run
from recommender.learn import registry
from recommender.learn.svd import SvdModel
from recommender.models import Models

from .raw_sets import random_lines, random_movies, write_csv
from .tiny import load_final_rating

PROGRAMS = (train_svd_model, train_session_model, train_ranking_model, train_twotower)


def make_processed(folder: Path, value: float = 0.0) -> Path:
    """Two groups of users with their own movies, split by time as preprocess does; `value` overrides the ratings."""
    rng = np.random.default_rng(0)
    users, movies = np.nonzero(rng.random((50, 40)) < 0.4)
    ratings = np.where(users % 2 == movies % 2, rng.integers(7, 11, len(users)), rng.integers(1, 6, len(users))) / 2
    if value:
        ratings[:] = value
    data = Interactions.from_columns(users + 1, 7 * movies, ratings, rng.permutation(len(users)), 7 * np.arange(40))
    with artifacts.replace_set(folder, "processed", {"setup": {}}) as stage:
        data.save(stage)
        np.save(stage / PARTS_FILE, part_per_user(data.indptr))
    lines = [f"{7 * i},Movie {i} (1999),1999,{('Action', 'Drama')[i % 2]}\n" for i in range(40)]
    (folder / "movie_metadata.csv").write_text("movieId,title,year,genres\n" + "".join(lines), encoding="utf-8")
    return folder


def settings_of(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["settings"]


def test_report_and_artifact_of_the_svd(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_BATCH_BYTES", 1000)
    monkeypatch.setattr(train_svd_model, "RMSE_BLOCK", 11)
    folder = make_processed(tmp_path / "processed")
    train_svd_model.main(["--processed", str(folder), "--rank", "4", "--signal", "centered"])
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if re.match(r"  \w+ +\.?\d", line)}
    train, val = load_split(folder, "train"), load_split(folder, "val")
    full = np.zeros((train.n_users, train.n_movies))
    mean = np.array([train.ratings[train.row(user)].mean() for user in range(train.n_users)])
    full[train.user_rows(), train.movie_rows] = train.ratings - mean[train.user_rows()]
    U, s, Vt = np.linalg.svd(full)
    best = (U[:, :4] * s[:4]) @ Vt[:4]
    predicted, known = best[val.user_rows(), val.movie_rows], full[train.user_rows(), train.movie_rows]
    wanted = val.ratings - mean[val.user_rows()]
    truth = [np.sqrt(np.mean((guess - wanted) ** 2)) for guess in (predicted, 0, known.mean())]
    assert [float(cell) for cell in rows["centered"][1:4]] == pytest.approx(truth, abs=6e-5)
    assert f"{(s[:4] ** 2).sum() / (s**2).sum():.1%} of the energy" in printed
    assert float(rows["centered"][0]) > 1.2 * float(rows["popularity"][0])  # the two groups are learned

    model = SvdModel.load(folder / "artifacts" / "svd")
    np.testing.assert_allclose(model.user_embeddings_ @ model.movie_embeddings_.T, best, atol=1e-4)


@pytest.mark.parametrize(("flags", "half_life", "power"), [([], 1.0, 2.0), (["--half-life-days", "7"], 7.0, 2.0)])
def test_the_weighted_signal_is_the_one_that_the_preprocessing_stored(tmp_path, capsys, flags, half_life, power):
    folder = tmp_path / "processed"
    raw = write_csv(tmp_path / "raw", random_lines(0), random_movies())
    plain = ["--min-user-ratings", "3", "--min-movie-ratings", "3"]
    weights = ["--half-life-days", "1", "--popularity-power", "2"]
    setup.main(["--data", str(raw), "--output", str(folder), *plain, *weights])
    train_svd_model.main(["--processed", str(folder), "--signal", "weighted", "--rank", "3", *flags])
    assert f"weighted (half-life {half_life:g} days, popularity power {power:g}), rank 3" in capsys.readouterr().out
    model = SvdModel.load(folder / "artifacts" / "svd")
    assert (model.settings.half_life_days, model.settings.popularity_power) == (half_life, power)
    train = load_split(folder, "train")
    # rounding in float32 of the same float64 values: equal to the bit, or weighed otherwise
    assert np.array_equal(model.values(train), load_final_rating(folder, "train")) == (not flags)
    val = model.values(load_split(folder, "val"), weighting.user_means(train)[0])
    assert np.array_equal(val, load_final_rating(folder, "val")) == (not flags)


def test_all_ratings_are_those_of_all_three_parts(tmp_path):
    folder, output = make_processed(tmp_path / "processed"), tmp_path / "elsewhere"
    train_svd_model.main(["--processed", str(folder), "--output", str(output), "--rank", "4", "--final"])  # old name
    fresh = SvdModel(rank=4).fit(concat(*(load_split(folder, name) for name in ("train", "val", "test"))))
    np.testing.assert_array_equal(SvdModel.load(output).movie_embeddings_, fresh.movie_embeddings_)
    assert settings_of(output)["train"]["fitted_on"] == "train+val+test"
    assert not (folder / "artifacts").exists()


def test_bad_input_is_refused_before_any_work(tmp_path, capsys):
    folder = make_processed(tmp_path / "processed")
    for program, flags, message in (
        (train_svd_model, "--rank 41", "--rank 41 for 50 users and 40 movies: give a rank from 1 to 40"),
        (train_svd_model, "--signal stars", "--signal: 'stars' is not one of binary, ones, centered, weighted"),
        (train_twotower, "--factors 100000000000000000000", "--factors: 100000000000000000000 is out of range"),
        (train_twotower, "--threads 0", "--threads 0: give a whole number from 1"),
        (train_twotower, "--patience -1", "argument --patience: '-1' is not a whole number from 0"),
    ):
        with pytest.raises((SettingsError, DataError), match=re.escape(message)):
            program.main(["--processed", str(folder), *flags.split()])
        assert capsys.readouterr().out == ""
    assert not (folder / "artifacts").exists()


def test_signals_that_these_ratings_do_not_have(tmp_path, capsys):
    flags = ["--processed", str(make_processed(tmp_path / "flat", value=3.0)), "--rank", "2", "--signal"]
    train_svd_model.main([*flags, "ones"])
    assert re.search(r"binary +the matrix is all zero", capsys.readouterr().out)
    with pytest.raises(DataError, match="the matrix is all zero: choose a signal"):
        train_svd_model.main([*flags, "binary"])


@pytest.mark.slow
def test_the_shipped_svd_is_what_the_command_builds(tmp_path):
    processed = default_folder("processed")
    train_svd_model.main(["--processed", str(processed), "--output", str(tmp_path), "--all-ratings"])
    built, shipped = SvdModel.load(tmp_path), SvdModel.load(processed / "artifacts" / "svd")
    assert settings_of(tmp_path) == settings_of(processed / "artifacts" / "svd")
    np.testing.assert_array_equal(built.user_ids_, shipped.user_ids_)
    np.testing.assert_array_equal(built.movie_counts_, shipped.movie_counts_)
    np.testing.assert_allclose(built.singular_values_, shipped.singular_values_, rtol=1e-5)
    products = [model.user_embeddings_ @ model.movie_embeddings_.T for model in (built, shipped)]
    np.testing.assert_allclose(*products, atol=1e-4 * shipped.singular_values_[0])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_folders_that_cannot_be_are_refused_before_anything_is_read(tmp_path, program):
    file = tmp_path / "README.md"
    file.write_text("mine", encoding="utf-8")
    nowhere = ["--processed", str(tmp_path / "nowhere")]
    for output in (file, file / "models" / "svd"):
        with pytest.raises(ArtifactError, match=r"README\.md is a file, not a folder: give another --output"):
            program.main([*nowhere, "--output", str(output)])
    (own := tmp_path / "own").mkdir()
    (own / "movie_embeddings.npy").write_text("mine")
    with pytest.raises(ArtifactError, match=r"movie_embeddings.npy is not of tastevec: move it, or give another --out"):
        program.main([*nowhere, "--output", str(own)])
    assert [path.name for path in own.iterdir()] == ["movie_embeddings.npy"]
    shutil.rmtree(own)
    with pytest.raises(ArtifactError, match=r"file is not a folder|no movie list at|README\.md"):
        program.main(["--processed", str(file)])
    with pytest.raises(ArtifactError, match=r"run python -m preprocess\.setup"):
        program.main([*nowhere, "--output", str(tmp_path / "new")])
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(SettingsError, match="unrecognized arguments: --bogus: see --help"):
        program.main(["--bogus"])


def test_popularity_is_the_most_liked_movies_that_the_user_has_not_rated(shipped):
    data = concat(*(load_split(default_folder("processed"), name) for name in ("train", "val", "test")))
    likes = np.bincount(data.movie_rows[data.ratings >= 4], minlength=data.n_movies)
    known = data.movie_rows[data.row(int(np.searchsorted(data.user_ids, 15)))]
    by_likes = np.lexsort((-data.movie_counts(), -likes))
    expected = data.movie_ids[by_likes[~np.isin(by_likes, known)]].tolist()
    assert [movie.movie.movie_id for movie in shipped.recommend(15, n=10**12, method="popularity")] == expected


def test_a_stored_model_answers_as_a_fresh_one(shipped, tmp_path):
    folder = Path(shutil.copytree(default_folder("processed"), tmp_path / "processed"))
    train_ranking_model.main(["--processed", str(folder), "--model", "biases"])
    assert (folder / "artifacts" / "biases" / "manifest.json").is_file()
    stored = Recommender.load(folder).recommend(3, n=20, method="biases", at=1_600_000_000)
    assert stored == shipped.recommend(3, n=20, method="biases", at=1_600_000_000)
    with pytest.raises(ChoiceError, match="train_svd_model"):
        train_ranking_model.main(["--processed", str(folder), "--method", "svd"])
    with pytest.raises(ChoiceError, match="no model is called 'magic'"):
        train_ranking_model.main(["--processed", str(tmp_path / "nowhere"), "--method", "magic"])


def test_a_program_says_what_a_fit_takes_and_what_fits_in_less_memory(tmp_path, capsys, monkeypatch):
    folder, home = make_processed(tmp_path / "processed"), ["--processed", str(tmp_path / "processed")]
    train = load_split(folder, "train")
    train_svd_model.main([*home, "--rank", "8"])
    rows = f"{train.n_ratings} ratings, {train.n_users} users x {train.n_movies} movies"
    assert re.search(rf"svd: {rows}; about \d+ s and \d+\.\d GB", capsys.readouterr().out)

    at_8, at_2 = (models.cost("svd", train, rank)[1] for rank in (8, 2))
    assert at_2 < at_8
    monkeypatch.setattr(models, "free_memory", lambda: int(at_2))
    with pytest.raises(ChoiceError, match=r"GB are free: give a smaller --rank, or"):
        train_svd_model.main([*home, "--rank", "8"])
    train_svd_model.main([*home, "--rank", "2"])
    monkeypatch.setattr(models, "free_memory", lambda: 0)
    with pytest.raises(ChoiceError, match="larger machine"):
        train_svd_model.main([*home, "--rank", "8"])
    monkeypatch.setattr(models, "free_memory", lambda: None)  # where the system does not tell
    train_svd_model.main([*home, "--rank", "8"])


def test_a_ranking_that_does_not_fit_names_one_that_does(tmp_path, monkeypatch):
    folder = make_processed(tmp_path / "processed")
    history = load_all(folder)
    sizes = {name: models.cost(name, history)[1] for name in ("directed_ease", "ease")}
    assert sizes["ease"] < sizes["directed_ease"]
    monkeypatch.setattr(models, "free_memory", lambda: int(sizes["ease"]))
    with pytest.raises(ChoiceError, match="give --method ease"):
        train_ranking_model.main(["--processed", str(folder), "--method", "directed_ease"])


def test_embeddings_of_users_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys):
    home = ["--processed", str(default_folder("processed")), "--output", str(tmp_path / "out"), "--backend", "local"]
    monkeypatch.setattr(models, "free_memory", lambda: 50_000_000)
    with pytest.raises(ChoiceError, match=r"local: [1-9][\d,]+ ratings, .* omit the users: --no-users"):
        generate_embeddings.main(home)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(generate_embeddings.TasteEmbeddingGenerator, "build_movie_embeddings", lambda self: None)
    generate_embeddings.main([*home, "--no-users"])
    assert "local: 0 ratings, 0 users x 6,136 movies; about 5 s" in capsys.readouterr().out


def test_the_remedy_of_a_slow_fit_trains_on_that_folder(tmp_path, monkeypatch):
    folder = make_processed(tmp_path / "processed")
    told = []
    shelf = Models(folder, Catalog.load(folder), "minilm", told.append)
    monkeypatch.setattr(models, "PATIENCE", -1.0)
    monkeypatch.setattr(registry.model_class("svd"), "fit", lambda self, history: self)  # 40 movies are fewer than k
    shelf.get("popularity")
    shelf.get("svd")
    remedy = f"python -m model.train_ranking_model --method popularity --processed {folder}"
    assert told[0].endswith(f" GB; {remedy} stores it for the next time")
    assert told[1].endswith(" GB")  # a stored SVD is not read where there are ratings
    monkeypatch.setattr(models, "free_memory", lambda: 0)
    shelf = Models(folder, shelf.catalog, "minilm", print)
    with pytest.raises(ArtifactError, match=rf" are free: run {re.escape(remedy)} where there is more$"):
        shelf.get("popularity")
    with pytest.raises(ArtifactError, match=r"are free: use a larger machine$"):
        shelf.get("svd")
    monkeypatch.setattr(models, "free_memory", lambda: None)
    train_ranking_model.main(remedy.split()[3:])
    shelf.get("popularity")  # it is read


def test_idle_pages_of_files_are_free_memory_of_a_container(tmp_path):
    for name, text in (("max", "1000\n"), ("current", "900\n"), ("stat", "anon 1\ninactive_file 600\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert models.container_memory(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    with pytest.raises(ValueError, match="max"):
        models.container_memory(tmp_path)


def test_ratings_and_parts_are_of_one_run(tmp_path, monkeypatch):
    folder, read = make_processed(tmp_path / "processed"), Interactions.load

    def slowly(place):
        data = read(place)
        make_processed(folder, value=3.0)  # somebody runs preprocess meanwhile
        return data

    monkeypatch.setattr(Interactions, "load", slowly)
    for load in (load_all, lambda place: load_split(place, "train")):
        with pytest.raises(ArtifactError, match="was rewritten while it was read: run this again"):
            load(folder)
        make_processed(folder)


@pytest.mark.parametrize(("least", "advice"), [((3, 5), "--min-movie-ratings 2"), ((8, 5), "--min-user-ratings 4")])
def test_filters_that_leave_nothing_name_a_smaller_threshold(least, advice):
    data = Interactions.from_rows(*(np.array([7]),) * 2, *(np.array([0]),) * 2, np.ones(1), np.array([1]))
    table = SimpleNamespace(ratings=data, n_rows=1)
    with pytest.raises(DataError, match=f"lower them, for example {advice}$"):
        filter_ratings(table, PipelineSettings(min_user_ratings=least[0], min_movie_ratings=least[1]))
