"""The SVD model: signals by hand, oracles, and its artifact (what can be wrong with one: test_artifacts)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError, SettingsError
from recommender.data.interactions import Interactions
from recommender.learn.svd import SIGNALS, USERS, SvdModel

from .tiny import DAY, random_ratings


def test_signals_by_hand() -> None:
    """One user, three ratings, mean 4; counts 1, 4, 16; newest rating a year after the first."""
    data = Interactions.from_columns([9, 9, 9], [1, 2, 3], [5, 4.5, 2.5], [0, 365 * DAY, 365 * DAY])

    def values(signal: str, means: Any = None, **settings: float) -> np.ndarray:
        model = SvdModel(signal=signal, **settings)
        model.movie_counts_, model.newest_ = np.array([1, 4, 16]), np.array([365 * DAY])
        return model.values(data, means)

    wanted = {"ones": [1, 1, 1], "binary": [1, 1, 0], "centered": [1, 0.5, -1.5]}
    wanted["weighted"] = [1 * 1 * 0.5, 0.5 * 0.5 * 1, -1.5 * 0.25 * 1]
    assert set(wanted) == set(SIGNALS)
    for name, cells in wanted.items():
        assert values(name).dtype == np.float32
        np.testing.assert_allclose(values(name), cells, rtol=1e-6)
    twice = values("weighted", half_life_days=182.5, popularity_power=1.0)
    np.testing.assert_allclose(twice, [1 * 1 * 0.25, 0.5 * 0.25 * 1, -1.5 / 16 * 1], rtol=1e-6)
    np.testing.assert_allclose(values("centered", np.array([3.0])), [2, 1.5, -0.5])


@pytest.mark.parametrize("signal", SIGNALS)
def test_embeddings_are_the_truncated_svd_of_the_signal(signal: str) -> None:
    data = random_ratings(0, 60, 40, 1000, step=10)
    model = SvdModel(rank=6, signal=signal).fit(data)
    A = np.zeros((data.n_users, data.n_movies))
    A[data.user_rows(), data.movie_rows] = model.values(data)
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    best = (U[:, :6] * s[:6]) @ Vt[:6]
    np.testing.assert_allclose(model.user_embeddings_ @ model.movie_embeddings_.T, best, atol=1e-5 * s[0])
    np.testing.assert_allclose(model.singular_values_, s[:6], rtol=1e-5)
    np.testing.assert_allclose(model.movie_embeddings_.T @ model.movie_embeddings_, np.eye(6), atol=1e-5)
    np.testing.assert_allclose(model.score(data, np.arange(data.n_users)), best, atol=1e-5 * s[0])
    V, scale = model.movie_embeddings_, model.singular_values_ / model.singular_values_[0]
    for power in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(model.movie_vectors(power), V * scale**power, rtol=1e-5)


def test_a_movie_without_ratings_stays_at_zero_beyond_the_rank_of_the_data() -> None:
    users, movies = np.repeat(np.arange(5), 2), np.tile([1, 2], 5)
    data = Interactions.from_columns(users, movies, np.full(10, 5.0), np.arange(10), np.arange(6))
    model = SvdModel(rank=5).fit(data)
    assert not model.movie_embeddings_[[0, 3, 4, 5]].any()


def test_a_new_user_is_the_projection_of_their_row() -> None:
    data = random_ratings(0, 60, 40, 1000, step=10)
    model = SvdModel(rank=5, signal="weighted").fit(data)
    counts, newest = data.movie_counts(), int(data.times.max())
    times = [newest, newest - 400 * DAY, 0, 7]
    new = Interactions.from_columns([1, 1, 1, 2], [10, 0, 30, 0], [5, 1, 4, 2], times, data.movie_ids)
    row = np.zeros(data.n_movies)
    for movie, rating, time in zip((10, 0, 30), (5, 1, 4), times):
        column = int(np.searchsorted(data.movie_ids, movie))
        row[column] = (rating - 10 / 3) / np.sqrt(counts[column]) * 0.5 ** ((newest - time) / (365 * DAY))
    V = model.movie_embeddings_.astype(np.float64)
    np.testing.assert_allclose(model.score(new, [0])[0], row @ V @ V.T, atol=1e-6)


def test_bad_data_and_settings_are_refused() -> None:
    two = {"user_ids": [1, 2], "movie_ids": [1, 2], "times": [0, 0]}
    for data, message in (
        (Interactions.from_columns([], [], [], []), "no ratings to learn from"),
        (Interactions.from_columns(ratings=[3, np.nan], **two), "not numbers"),
        (Interactions.from_columns(ratings=[3, 3], **two), "all zero"),
    ):
        with pytest.raises(DataError, match=message):
            SvdModel(rank=1).fit(data)
    with pytest.raises(SettingsError, match="signal: 'stars' is not one of binary, ones"):
        SvdModel(signal="stars")


def test_the_artifact_has_the_published_names(tmp_path: Path) -> None:
    data = random_ratings(0, 60, 40, 1000, step=10)
    model = SvdModel(rank=5, signal="weighted", seed=3, half_life_days=20.0, popularity_power=1.0).fit(data)
    model.save(tmp_path, fitted_on="train+val")
    rows = [{"movieId": str(i), "title": "x", "genres": ""} for i in data.movie_ids.tolist()]
    assert SvdModel.load(tmp_path, Catalog(rows)).settings == model.settings
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["train"]["fitted_on"] == "train+val"
    names = {"user_embeddings.npy", "movie_embeddings.npy", "user_map.json", "movie_map.json", "svd_model.npz"}
    names |= {"movie_means.npy"}
    assert {path.name for path in tmp_path.iterdir()} == names | {"manifest.json"}
    assert json.loads((tmp_path / "movie_map.json").read_text(encoding="utf-8"))["10"] == 1
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_svd_model"):
        SvdModel.load(tmp_path, Catalog(rows[1:]))
    np.testing.assert_array_equal(SvdModel.load(tmp_path).movie_means_, data.movie_means())
    earlier = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    del earlier["files"]["movie_means.npy"]  # as an artifact of an earlier version
    (tmp_path / "manifest.json").write_text(json.dumps(earlier), encoding="utf-8")
    assert SvdModel.load(tmp_path).movie_means_.size == 0
    (tmp_path / "user_embeddings.npy").unlink()
    (tmp_path / "user_map.json").unlink()
    assert len(SvdModel.load(tmp_path, without=USERS).movie_embeddings_) == 41  # a session reads the movies alone
    with pytest.raises(ArtifactError, match=r"user_embeddings\.npy is missing"):
        SvdModel.load(tmp_path)
