"""What a fit takes and what is free, the command that is named, and a folder that changes while it is read."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from model import train_ranking_model
from preprocess.filter_data import filter_ratings
from preprocess.steps import PipelineSettings
from recommender import models
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError
from recommender.data.interactions import Interactions
from recommender.data.splits import load_all, load_split
from recommender.learn import registry
from recommender.models import Models
from tests.test_train_twotower import make_processed


def test_the_remedy_of_a_slow_fit_trains_on_that_folder(tmp_path, monkeypatch):
    folder = make_processed(tmp_path / "processed")
    told: list[str] = []
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
        with pytest.raises(ArtifactError, match="was written anew while it was read: start again"):
            load(folder)
        make_processed(folder)


@pytest.mark.parametrize(("least", "advice"), [((3, 5), "--min-movie-ratings 2"), ((8, 5), "--min-user-ratings 4")])
def test_filters_that_leave_nothing_name_a_smaller_threshold(least, advice):
    data = Interactions.from_rows(*(np.array([7]),) * 2, *(np.array([0]),) * 2, np.ones(1), np.array([1]))
    table = SimpleNamespace(ratings=data, n_rows=1)
    with pytest.raises(DataError, match=f"lower them, for example {advice}$"):
        filter_ratings(table, PipelineSettings(min_user_ratings=least[0], min_movie_ratings=least[1]))
