"""`Recommender.recommend`: rankings for people whose ratings are in the processed data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from model import train_ranking_model
from recommender import Recommender
from recommender.data.errors import ChoiceError
from recommender.data.settings import default_folder
from recommender.data.splits import load_split


@pytest.fixture(scope="module")
def shipped() -> Recommender:
    return Recommender.load()


def test_popularity_is_the_most_liked_movies_that_the_person_has_not_rated(shipped: Recommender) -> None:
    parts = [load_split(default_folder("processed"), name) for name in ("train", "val", "test")]
    likes = sum(np.bincount(part.movie_rows[part.ratings >= 4], minlength=part.n_movies) for part in parts)
    row = int(np.searchsorted(parts[0].user_ids, 15))
    known = {int(i) for part in parts for i in part.movie_rows[part.indptr[row] : part.indptr[row + 1]]}
    rated = sum(part.movie_counts() for part in parts)
    by_likes = [int(i) for i in np.lexsort((-rated, -likes)) if int(i) not in known]
    found = shipped.recommend(15, n=30, method="popularity")
    assert [movie.movie.movie_id for movie in found] == [int(parts[0].movie_ids[i]) for i in by_likes[:30]]
    assert all(earlier.score >= later.score for earlier, later in zip(found, found[1:]))
    everything = shipped.recommend(15, n=10**12, method="popularity")
    assert [movie.movie.movie_id for movie in everything] == [int(parts[0].movie_ids[i]) for i in by_likes]


def test_what_cannot_be_done_says_why(shipped: Recommender) -> None:
    with pytest.raises(ChoiceError, match="no user 100000 in these ratings: their ids run from 1 to 610"):
        shipped.recommend(100000, method="popularity")
    with pytest.raises(ChoiceError, match="no model is called 'magic': choose from popularity"):
        shipped.recommend(1, method="magic")
    with pytest.raises(ChoiceError, match="n = 0"):
        shipped.recommend(1, n=0, method="popularity")
    for given in ({"user_id": None}, {"user_id": "1"}, {"user_id": True}, {"n": "3"}, {"n": 2.5}, {"at": "x"}):
        with pytest.raises(ChoiceError, match="give a whole number"):
            shipped.recommend(**{"user_id": 1, "method": "popularity", **given})
    with pytest.raises(ChoiceError, match="at = 1600000000000: give seconds since 1970"):
        shipped.recommend(1, method="popularity", at=1_600_000_000_000)
    with pytest.raises(ChoiceError, match="no model is called None: choose from popularity"):
        shipped.recommend(1, method=None)
    apart = Recommender(shipped.catalog, shipped.movie_vectors, shipped.policy)
    with pytest.raises(ChoiceError, match="no ratings of known users"):
        apart.recommend(1)


def test_a_stored_model_answers_as_a_fresh_one(shipped: Recommender, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(default_folder("processed"), tmp_path / "processed"))
    train_ranking_model.main(["--processed", str(folder), "--method", "item_knn"])
    assert (folder / "artifacts" / "item_knn" / "manifest.json").is_file()
    stored = Recommender.load(folder).recommend(3, n=20, method="item_knn", at=1_600_000_000)
    assert stored == shipped.recommend(3, n=20, method="item_knn", at=1_600_000_000)
    with pytest.raises(ChoiceError, match="train_svd_model"):
        train_ranking_model.main(["--processed", str(folder), "--model", "svd"])
