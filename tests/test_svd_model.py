"""The SVD model: signals by hand, known answers, fold-in, and the artifact with all that can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data import artifacts
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.interactions import Interactions
from recommender.learn.svd import SIGNALS, SvdModel, signal_values
from recommender.linalg import randomized_svd as kernel

DAY = 86_400


def random_ratings(seed: int = 0, n_users: int = 60, n_movies: int = 40) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(n_users * n_movies) < 0.3)
    columns = cells // n_movies + 5, 10 * (cells % n_movies) + 3
    ratings = rng.integers(1, 11, len(cells)) / 2
    times = rng.integers(1_000 * DAY, size=len(cells))
    return Interactions.from_columns(*columns, ratings, times, 10 * np.arange(n_movies + 1) + 3)


def catalog_of(ids: np.ndarray) -> Catalog:
    return Catalog([{"movieId": str(ident), "title": "x", "genres": ""} for ident in ids.tolist()])


def dense(data: Interactions, values: np.ndarray) -> np.ndarray:
    full = np.zeros((data.n_users, data.n_movies))
    full[data.user_rows(), data.movie_rows] = values
    return full


def groups(shuffled: bool, seed: int = 0) -> tuple[Interactions, np.ndarray]:
    """120 people in 4 groups, each rating a third of its group's 30 movies; shuffled: of any group's movies."""
    rng = np.random.default_rng(seed)
    users, movies = [], []
    for user in range(120):
        own = 30 * (user % 4) + rng.permutation(30)[:10]
        users += [user] * 10
        movies += list(rng.permutation(120)[:10] if shuffled else own)
    n = len(users)
    return Interactions.from_columns(users, movies, np.full(n, 5), np.arange(n), np.arange(120)), np.arange(120) % 4


def share_in_own_group(model: SvdModel, data: Interactions, group: np.ndarray) -> float:
    ids, _ = model.fit(data).recommend(data, np.arange(data.n_users), 10)
    return float((ids // 30 == group[:, None]).mean())


def test_signals_by_hand() -> None:
    """One person, three ratings, mean 4; counts 1, 4, 16; newest rating a year after the first."""
    data = Interactions.from_columns([9, 9, 9], [1, 2, 3], [5, 4.5, 2.5], [0, 365 * DAY, 365 * DAY])
    counts = np.array([1, 4, 16])
    wanted = {
        "ones": [1, 1, 1],
        "binary": [1, 1, 0],
        "centered": [1, 0.5, -1.5],
        "weighted": [1 * 1 * 0.5, 0.5 * 0.5 * 1, -1.5 * 0.25 * 1],
    }
    assert set(wanted) == set(SIGNALS)
    for name, values in wanted.items():
        found = signal_values(name, data, counts, 365 * DAY)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values, rtol=1e-6)
    twice = signal_values("weighted", data, counts, 365 * DAY, half_life_days=182.5, popularity_power=1.0)
    np.testing.assert_allclose(twice, [1 * 1 * 0.25, 0.5 * 0.25 * 1, -1.5 / 16 * 1], rtol=1e-6)
    given_mean = signal_values("centered", data, counts, 0, np.array([3.0]))
    np.testing.assert_allclose(given_mean, [2, 1.5, -0.5])
    with pytest.raises(ChoiceError, match="no signal is called 'stars': choose from binary, ones, centered, weighted"):
        signal_values("stars", data, counts, 0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_embeddings_are_the_truncated_svd_of_the_signal(signal: str) -> None:
    data = random_ratings()
    model = SvdModel(rank=6, signal=signal).fit(data)
    A = dense(data, signal_values(signal, data, data.movie_counts(), int(data.times.max())))
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    best = (U[:, :6] * s[:6]) @ Vt[:6]
    np.testing.assert_allclose(model.user_embeddings_ @ model.movie_embeddings_.T, best, atol=1e-5 * s[0])
    np.testing.assert_allclose(model.singular_values_, s[:6], rtol=1e-5)
    np.testing.assert_allclose(model.movie_embeddings_.T @ model.movie_embeddings_, np.eye(6), atol=1e-5)
    scores = model.score(data, np.arange(data.n_users))
    np.testing.assert_allclose(scores, best, atol=1e-5 * s[0])
    assert scores.dtype == np.float32


def test_fold_in_of_somebody_new_is_the_projection_of_their_row() -> None:
    data = random_ratings()
    model = SvdModel(rank=5, signal="weighted").fit(data)
    counts, newest = data.movie_counts(), int(data.times.max())
    new = Interactions.from_columns(
        [1, 1, 1, 2], [13, 3, 33, 3], [5, 1, 4, 2], [newest, newest - 400 * DAY, 0, 7], data.movie_ids
    )
    row = np.zeros(data.n_movies)
    for movie, rating, time in ((13, 5, newest), (3, 1, newest - 400 * DAY), (33, 4, 0)):
        column = int(np.searchsorted(data.movie_ids, movie))
        row[column] = (rating - 10 / 3) / np.sqrt(counts[column]) * 0.5 ** ((newest - time) / (365 * DAY))
    V = model.movie_embeddings_.astype(np.float64)
    np.testing.assert_allclose(model.score(new, [0])[0], row @ V @ V.T, atol=1e-6)


def test_checkerboard_with_its_diagonal_withheld() -> None:
    """User u rates movie m where u + m is even; the withheld (u, u) must come first for u."""
    cells = [(u, m) for u in range(30) for m in range(30) if (u + m) % 2 == 0 and u != m]
    users, movies = zip(*cells)
    data = Interactions.from_columns(users, movies, np.full(len(cells), 5.0), np.arange(len(cells)))
    for signal in ("binary", "ones"):
        ids, _ = SvdModel(rank=2, signal=signal).fit(data).recommend(data, np.arange(30), 1)
        assert ids[:, 0].tolist() == list(range(30))


def test_planted_groups_are_learned_and_shuffled_ones_are_not() -> None:
    data, group = groups(shuffled=False)
    assert share_in_own_group(SvdModel(rank=4), data, group) == 1.0
    noise, _ = groups(shuffled=True)
    # 1200 places, a quarter right by chance: standard error .0125 if all were independent; lists share 120 movies
    assert abs(share_in_own_group(SvdModel(rank=4), noise, group) - 0.25) < 0.08


def test_a_batch_is_its_people_one_by_one_in_any_order() -> None:
    data = random_ratings()
    model = SvdModel(rank=5, signal="centered").fit(data)
    rows = np.array([7, 0, 7, 59, 3])
    batch = model.score(data, rows)
    for line, row in enumerate(rows):
        np.testing.assert_allclose(model.score(data, row)[0], batch[line], atol=1e-6)


def test_refit_equals_a_fresh_fit() -> None:
    first, second = random_ratings(0), random_ratings(1)
    refitted = SvdModel(rank=5).fit(first).fit(second)
    fresh = SvdModel(rank=5).fit(second)
    for name, array in fresh.arrays().items():
        np.testing.assert_array_equal(refitted.arrays()[name], array)


@pytest.mark.parametrize("change", [{"rank": 6}, {"signal": "ones"}, {"passes": 3}, {"block": 6}, {"seed": 1}])
def test_every_setting_changes_the_result(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> None:
    monkeypatch.setattr(kernel, "DENSE_CELLS", 0)
    data = random_ratings(n_users=200, n_movies=150)
    base: dict[str, Any] = {"rank": 5, "signal": "binary", "passes": 2, "block": 5, "seed": 0}
    one, two = (SvdModel(**settings).fit(data).score(data, [0]) for settings in (base, {**base, **change}))
    assert np.abs(one - two).max() > 1e-5


@pytest.mark.parametrize("change", [{"half_life_days": 30.0}, {"popularity_power": 1.5}])
def test_the_weights_change_the_weighted_signal_alone(change: dict[str, Any]) -> None:
    data = random_ratings()
    for signal in SIGNALS:
        one, two = (SvdModel(rank=5, signal=signal, **more).fit(data).score(data, [0]) for more in ({}, change))
        assert (np.abs(one - two).max() > 1e-3) == (signal == "weighted")


def test_people_and_movies_without_ratings_have_zero_vectors() -> None:
    data = random_ratings()
    assert data.movie_counts()[-1] == 0
    model = SvdModel(rank=5).fit(data)
    assert not model.movie_embeddings_[-1].any()
    unknown = Interactions.from_columns([], [], [], [], data.movie_ids, np.array([1]))
    assert not model.score(unknown, [0]).any()


def test_session_vectors_scale_each_dimension() -> None:
    model = SvdModel(rank=5).fit(random_ratings())
    np.testing.assert_array_equal(model.movie_vectors(0.0), model.movie_embeddings_)
    s = model.singular_values_
    np.testing.assert_allclose(model.movie_vectors(1.0), model.movie_embeddings_ * s / s[0], rtol=1e-6)
    np.testing.assert_allclose(model.movie_vectors(), model.movie_embeddings_ * np.sqrt(s / s[0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "settings", "error", "message"),
    [
        (lambda: random_ratings(), {"rank": 42}, DataError, "rank 42 for 60 users and 41 movies"),
        (lambda: random_ratings(), {"rank": 0}, SettingsError, "rank: 0 is out of range"),
        (lambda: random_ratings(), {"rank": 2.5}, SettingsError, "rank: 2.5 is not a whole number"),
        (lambda: random_ratings(), {"signal": "stars"}, SettingsError, "signal: 'stars' is not one of binary, ones"),
        (lambda: random_ratings(), {"color": 1}, SettingsError, "unknown key 'color'"),
        (lambda: Interactions.from_columns([], [], [], []), {}, DataError, "no ratings to learn from"),
        (lambda: Interactions.from_columns([1, 2], [1, 2], [3, np.nan], [0, 0]), {"rank": 1}, DataError, "not numbers"),
        (lambda: Interactions.from_columns([1, 2], [1, 2], [3, 3], [0, 0]), {"rank": 1}, DataError, "all zero"),
    ],
)
def test_bad_data_and_settings_are_refused(data: Any, settings: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        SvdModel(**settings).fit(data())
    assert "\n" not in str(caught.value)


def test_saved_and_loaded_model_is_the_same(tmp_path: Path) -> None:
    data = random_ratings()
    model = SvdModel(rank=5, signal="weighted", seed=3, half_life_days=20.0, popularity_power=1.0).fit(data)
    model.save(tmp_path / "svd", fitted_on="train+val")
    for loaded in (SvdModel.load(tmp_path / "svd"), SvdModel.load(tmp_path / "svd", catalog_of(data.movie_ids))):
        assert loaded.settings == model.settings
        for name, array in model.arrays().items():
            np.testing.assert_array_equal(loaded.arrays()[name], array)
        np.testing.assert_array_equal(loaded.score(data, [3, 4]), model.score(data, [3, 4]))
    manifest = json.loads((tmp_path / "svd" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["train"]["fitted_on"] == "train+val"
    names = {"user_embeddings.npy", "movie_embeddings.npy", "user_map.json", "movie_map.json", "svd_model.npz"}
    assert {path.name for path in (tmp_path / "svd").iterdir()} == names | {"manifest.json"}
    assert json.loads((tmp_path / "svd" / "movie_map.json").read_text(encoding="utf-8"))["13"] == 1


def test_a_session_reads_the_movies_alone(tmp_path: Path) -> None:
    data = random_ratings()
    SvdModel(rank=5).fit(data).save(tmp_path)
    (tmp_path / "user_embeddings.npy").unlink()
    (tmp_path / "user_map.json").unlink()
    assert len(SvdModel.load(tmp_path, catalog_of(data.movie_ids), users=False).movie_embeddings_) == 41
    with pytest.raises(ArtifactError, match=r"user_embeddings\.npy is missing"):
        SvdModel.load(tmp_path, catalog_of(data.movie_ids))


def rewrite(folder: Path, name: str, content: Any) -> None:
    """Put other content in the place of a file and sign it in the manifest, as a program with a fault would."""
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, content)
    elif name.endswith(".npz"):
        np.savez(path, **content)
    else:
        artifacts.dump_json(content, path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][name]["sha256"] = artifacts.sha256(path)
    artifacts.dump_json(manifest, folder / "manifest.json")


SMALL = {
    "singular_values": np.ones(5, np.float32),
    "movie_counts": np.ones(41, np.int64),
    "newest": np.ones(1, np.int64),
}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("movie_embeddings.npy", np.ones((40, 5), np.float32), r"movie_embeddings is \(40, 5\)"),
        ("movie_embeddings.npy", np.ones((41, 5)), r"movie_embeddings\.npy holds float64"),
        ("movie_embeddings.npy", np.full((41, 5), np.nan, np.float32), r"movie_embeddings\.npy .* not numbers"),
        ("user_embeddings.npy", np.ones((60, 4), np.float32), r"user_embeddings is \(60, 4\)"),
        ("user_embeddings.npy", np.full((60, 5), np.inf, np.float32), r"user_embeddings\.npy .* not numbers"),
        ("svd_model.npz", {**SMALL, "singular_values": np.ones(4, np.float32)}, r"singular_values is \(4,\)"),
        ("svd_model.npz", {**SMALL, "movie_counts": np.ones(3, np.int64)}, r"movie_counts is \(3,\)"),
        ("svd_model.npz", {**SMALL, "newest": np.ones(1)}, r"svd_model\.npz: newest is float64"),
        ("svd_model.npz", {"newest": np.ones(1, np.int64)}, r"svd_model\.npz is damaged"),
        ("movie_map.json", {"3": 1, "13": 0}, r"movie_map\.json is not a map from ids to rows"),
        ("movie_map.json", [3, 13], r"movie_map\.json is not a map from ids to rows"),
        ("user_map.json", {"x": 0}, r"user_map\.json is not a map from ids to rows"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path: Path, name: str, content: Any, message: str) -> None:
    SvdModel(rank=5).fit(random_ratings()).save(tmp_path)
    rewrite(tmp_path, name, content)
    with pytest.raises(ArtifactError, match=message):
        SvdModel.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["movie_embeddings.npy", "user_embeddings.npy", "user_map.json", "movie_map.json", "svd_model.npz"]
)
def test_one_changed_byte_is_refused_by_file_name(tmp_path: Path, name: str) -> None:
    SvdModel(rank=5).fit(random_ratings()).save(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} is damaged .*run python -m model.train_svd_model"):
        SvdModel.load(tmp_path)


def test_another_movie_list_is_refused(tmp_path: Path) -> None:
    data = random_ratings()
    SvdModel(rank=5).fit(data).save(tmp_path)
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_svd_model"):
        SvdModel.load(tmp_path, catalog_of(data.movie_ids + 1))
    with pytest.raises(ArtifactError, match="no svd artifact"):
        SvdModel.load(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "settings",
    [None, {}, {"train": []}, {"train": {"rank": 5}}, {"train": {**vars(SvdModel().settings), "rank": "many"}}],
)
def test_a_manifest_without_sound_settings_is_refused(tmp_path: Path, settings: Any) -> None:
    SvdModel(rank=5).fit(random_ratings()).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    artifacts.dump_json({**manifest, "settings": settings}, tmp_path / "manifest.json")
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged \(its settings"):
        SvdModel.load(tmp_path)
