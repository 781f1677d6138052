"""What every ranking model must do: the contract of `recommender.learn.base`, on data with a known answer."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.interactions import Interactions
from recommender.learn import registry
from recommender.learn.base import Ranker
from recommender.linalg import randomized_svd

N_USERS, N_MOVIES, N_UNRATED, DAY = 60, 40, 4, 86_400
MODELS = registry.names()
ALIKE = ("popularity", "biases", "trending")  # one order for everybody, at one moment
PERSONAL = tuple(name for name in MODELS if name not in ALIKE)
WORDS = (("rocket", "planet", "alien", "comet"), ("sheriff", "saloon", "cattle", "canyon"))
SMALL: dict[str, dict[str, Any]] = {
    "embedding": {"popularity": 0.1},
    "stacker": {"networks": 2, "epochs": 10},
    "two_tower": {"factors": 2, "batch": 64, "epochs": 15, "rate": 0.02},
    "ials": {"factors": 3, "regularisation": 2},
    "svd": {"rank": 2},
    "rating_predictor": {"cooccurrence_factors": 4, "user_factors": 6},
}


@functools.cache
def catalog() -> Catalog:
    rng, rows = np.random.default_rng(0), []
    for i in range(N_MOVIES + N_UNRATED):
        genres = ("Comedy", "Western")[i % 2] + ("|Drama" if i % 5 == 0 else "")
        words = "; ".join([*rng.choice(WORDS[i % 2], 2, replace=False), *(["heist"] if i < 4 else [])])
        about = {"genres": genres, "keywords": words, "director": f"Director {i % 2}"}
        rows.append({"movieId": str(10 + i), "title": f"Movie {i}", "year": str(1980 + i), **about})
    return Catalog(rows)


@functools.cache
def ratings(seed: int = 0, planted: bool = True) -> Interactions:
    """Even users like even movies, odd users odd ones (or, not planted, a random half); some pause for days."""
    rng = np.random.default_rng(seed)
    users, movies, values, times = [], [], [], []
    for user in range(N_USERS):
        liked = np.arange(user % 2, N_MOVIES, 2) if planted else rng.permutation(N_MOVIES)[: N_MOVIES // 2]
        others = np.setdiff1d(np.arange(N_MOVIES), liked)
        chosen = np.concatenate([rng.permutation(liked)[:14], rng.permutation(others)[:5]])
        value = np.concatenate([rng.choice([4, 4.5, 5], 14), rng.choice([1, 2, 3, 3.5], 5)])
        order = rng.permutation(19)
        pause = np.where(np.arange(19) >= 10, 3 * DAY if user % 3 == 0 else 0, 0)
        users += [user] * 19
        movies += (10 + chosen[order]).tolist()
        values += value[order].tolist()
        times += (1_000_000_000 + user * 10_000 + 60 * np.arange(19) + pause).tolist()
    return Interactions.from_columns(users, movies, values, times, np.arange(10, 10 + N_MOVIES + N_UNRATED))


def make(name: str, **settings: Any) -> Ranker:
    return registry.make(name, catalog(), **{**SMALL.get(name, {}), **settings})


@functools.cache
def fitted(name: str, dense_cells: int = 0, **settings: Any) -> Ranker:
    """Return the model of `make` on `ratings()`; dense_cells: where the SVD takes its route for large matrices."""
    return make(name, **settings).fit(ratings())


def hits(model: Ranker, data: Interactions) -> float:
    scores = model.score(data, np.arange(data.n_users))
    scores[:, N_MOVIES:] = -np.inf
    scores[data.user_rows(), data.movie_rows] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    return float((best % 2 == (np.arange(data.n_users) % 2)[:, None]).mean())


@pytest.mark.parametrize("name", PERSONAL)
def test_learns_planted_structure_and_nothing_from_shuffled_labels(name: str) -> None:
    data = ratings()
    assert hits(fitted(name), data) > (0.8 if name == "embedding" else 0.9)  # its texts hold titles too
    if name in ("content", "embedding"):  # they know what a movie is; 6 of 21 unseen movies are of the own half
        assert hits(registry.make(name, None).fit(data), data) < 0.5
        return
    shuffled = dataclasses.replace(data, movie_rows=ratings(1, planted=False).movie_rows)
    blind = registry.make(name, None, **SMALL.get(name, {})).fit(shuffled)
    # 60 users x 3 picks around one half: a standard deviation of .037, more as picks of one user hang together
    assert abs(hits(blind, shuffled) - 0.5) < 0.15


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_its_single_requests_and_strangers_are_served(name: str) -> None:
    data = ratings()
    model = make(name).fit(data.take(data.user_rows() >= 10))
    rows = np.array([3, 40, 3, 11])
    at = np.array([10**9 + 5 * DAY, 10**9 + 6 * DAY, 10**9 + 9 * DAY, 10**9])
    batch = model.score(data, rows, at)
    assert (batch.shape, batch.dtype) == ((4, N_MOVIES + N_UNRATED), np.float32)
    for line in range(4):
        np.testing.assert_allclose(model.score(data, rows[line], at[line])[0], batch[line], rtol=1e-5, atol=2e-6)
    ids, scores = model.recommend(data, rows, 60, at)
    for line, row in enumerate(rows):
        left = ids[line][ids[line] >= 0]
        seen = data.movie_ids[data.movie_rows[data.row(row)]]
        assert sorted(left.tolist()) == np.setdiff1d(data.movie_ids, seen).tolist()
        best, same = np.diff(scores[line][: len(left)]), np.diff(left) > 0
        assert (best <= 0).all()
        assert same[best == 0].all()  # ties by ascending id
        assert np.isneginf(scores[line][len(left) :]).all()
    nobody = Interactions.from_columns([], [], [], [], data.movie_ids, np.array([5]))
    assert np.isfinite(model.score(nobody, [0])).all()


@pytest.mark.parametrize("name", MODELS)
def test_refit_is_a_fresh_fit_and_save_keeps_everything(name: str, tmp_path: Path) -> None:
    data, other = ratings(), ratings(2)
    rows = np.arange(data.n_users)
    expected = fitted(name).score(data, rows)
    again = make(name).fit(other)
    assert not np.array_equal(again.score(data, rows), expected)
    np.testing.assert_array_equal(again.fit(data).score(data, rows), expected)
    again.save(tmp_path)
    loaded = registry.model_class(name).load(tmp_path)
    np.testing.assert_array_equal(loaded.score(data, rows), expected)
    assert loaded.settings == again.settings
    stored, made = ({key: array.tolist() for key, array in one.arrays().items()} for one in (loaded, again))
    assert stored == made
    with pytest.raises(ArtifactError, match="another movie list"):
        registry.model_class(name).load(tmp_path, Catalog([]))
    file = max(tmp_path.glob("*.np[yz]"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=file.name):
        registry.model_class(name).load(tmp_path)


# Another value for settings whose double plus .1 says nothing, and what else a setting needs to have a say.
OTHER: dict[str, dict[str, Any]] = {
    "popularity": {"threshold": 0.5},
    "trending": {"half_life_days": 3000.0},
    "item_knn": {"weighting": "cosine", "neighbours": 2},
    "ease": {"values": "likes"},
    "content": {"keywords": False, "fewest_movies": 3},
    "directed_ease": {"x_middle": 0.9, "x_low": 0.8, "y_other": 0.1},
    "svd": {"signal": "ones"},
    "rating_predictor": {"taste_range": 1.0, "taste_drift": 0.9, "longest_history": 4, "cooccurrence_factors": 2},
    "text_ridge": {"middling_value": 0.9, "low_value": 0.7, "dimension": 2},
    "stacker": {"candidates": 15, "break_seconds": 10 * DAY, "networks": 1},
}
TOWERS: dict[str, Any] = {
    **{"objective": "mse", "user_input": "id", "user_layer": "relu", "movie_layer": "linear", "movie_bias": False},
    **{"side_features": "none", "drop_ids": 0.5, "short_span": 0.0, "long_span": 9.0, "longest_history": 4},
    **{"middling_weight": 0.9, "poor_weight": 0.9, "ahead": 0.5, "anywhere": 0.9, "batch": 50, "rate_falls": False},
}
NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    **{("svd", key): {"signal": "weighted"} for key in ("half_life_days", "popularity_power")},
    **{("svd", key): {"rank": 5, "passes": 2, "block": 5} for key in ("passes", "block", "seed")},
    ("ials", "cg_steps"): {"n_sweeps": 1},
    ("stacker", "dense"): {"dense": 30, "weights": 6},
    ("stacker", "weights"): {"dense": 10, "weights": 6},
    ("stacker", "movies"): {"movies": 20},
}
QUICK = {"epochs": 3, "people": 20}
EVERY_SETTING = [
    (name, field.name)
    for name in MODELS
    for field in dataclasses.fields(registry.model_class(name).Settings)
    if (name, field.name) != ("rating_predictor", "seed")  # an exact SVD here
]


@pytest.mark.parametrize(("name", "key"), EVERY_SETTING)
def test_every_setting_changes_the_result(name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "passes" in NEEDED.get((name, key), {}):  # not the exact route of small matrices
        monkeypatch.setattr(randomized_svd, "DENSE_CELLS", 0)
    data, towers = ratings(), name == "two_tower"
    small = {**SMALL.get(name, {}), **({"epochs": 3} if towers else QUICK if name == "stacker" else {})}
    small.update(NEEDED.get((name, key), {}))
    before = fitted(name, randomized_svd.DENSE_CELLS, **small)
    value = getattr(before.settings, key)
    other = TOWERS if towers else OTHER.get(name, {})
    value = other[key] if key in other else 2 * value + (1 if isinstance(value, int) else 0.1)
    after = make(name, **{**small, key: value}).fit(data)
    assert np.abs(before.score(data, np.arange(6)) - after.score(data, np.arange(6))).max() > 1e-6


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match="no model is called 'eas'"):
        registry.make("eas")
    for message, chosen in (("did you mean neighbours", {"neighbors": 3}), ("out of range", {"neighbours": 0})):
        with pytest.raises(SettingsError, match=message):
            registry.make("item_knn", **chosen)
    with pytest.raises(DataError, match="other movies"):
        make("ease").fit(ratings()).score(Interactions.from_columns([1], [2], [3], [4]), [0])
    assert registry.make("text_bridge").name == "text_ridge"  # the old name
    make("popularity").fit(ratings()).save(tmp_path)
    with pytest.raises(ArtifactError, match="'popularity' artifact, not 'ease'"):
        registry.model_class("ease").load(tmp_path)
