"""What every ranking model must do: the contract of `recommender.learn.base`, on data with a known answer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.interactions import Interactions
from recommender.learn import registry
from recommender.learn.base import Ranker, mask_seen
from recommender.learn.stacking.stacker import N_BLEND, Stacker

N_USERS, N_MOVIES, DAY = 60, 40, 86_400
PERSONAL = ("item_knn", "ease", "directed_ease", "content", "stacker", "two_tower")
QUICK: dict[str, dict[str, Any]] = {
    "stacker": {"networks": 2, "epochs": 10},
    "two_tower": {"factors": 2, "batch": 64, "epochs": 15, "rate": 0.02},
}
ALIKE = ("popularity", "biases", "trending")  # one order for everybody, at one moment


def catalog() -> Catalog:
    """Even movies are comedies, odd ones westerns, from two times; every fifth is also a drama."""
    genres = [("Comedy", "Western")[i % 2] + ("|Drama" if i % 5 == 0 else "") for i in range(N_MOVIES)]
    return Catalog(
        [
            {"movieId": str(10 + i), "title": f"Movie {i}", "year": str(1980 + i), "genres": g}
            for i, g in enumerate(genres)
        ]
    )


def ratings(seed: int = 0, planted: bool = True, n_users: int = N_USERS) -> Interactions:
    """Even users like even movies, odd users odd ones (or, not planted, a random half); some pause for days."""
    rng = np.random.default_rng(seed)
    users, movies, values, times = [], [], [], []
    for user in range(n_users):
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
    return Interactions.from_columns(users, movies, values, times, np.arange(10, 10 + N_MOVIES))


def make(name: str, **settings: Any) -> Ranker:
    return registry.make(name, catalog(), **{**QUICK.get(name, {}), **settings})


def hits(model: Ranker, data: Interactions) -> float:
    """Return the share of the first 3 recommended movies that are of the user's own half."""
    ids, _ = model.recommend(data, np.arange(data.n_users), 3)
    return float(((ids - 10) % 2 == (np.arange(data.n_users) % 2)[:, None]).mean())


@pytest.mark.parametrize("name", PERSONAL)
def test_checkerboard_with_its_diagonal_withheld(name: str) -> None:
    """User u likes every movie of u's parity but movie u itself, in an order of u's own: that one must come first."""
    n = 20
    u, i = np.divmod(np.arange(n * n), n)
    keep = ((u + i) % 2 == 0) & (u != i)
    times = 1_000_000_000 + u[keep] * n + np.random.default_rng(0).permuted(i.reshape(n, n), axis=1).ravel()[keep]
    board = Interactions.from_columns(u[keep], 10 + i[keep], np.full(keep.sum(), 5.0), times, np.arange(10, 10 + n))
    ids, scores = make(name).fit(board).recommend(board, np.arange(n), 1)
    assert ids[:, 0].tolist() == (10 + np.arange(n)).tolist()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", PERSONAL)
def test_learns_planted_structure_and_nothing_from_shuffled_labels(name: str) -> None:
    data = ratings()
    assert hits(make(name).fit(data), data) > 0.9
    if name == "content":  # its structure is in the genres: take those away instead
        blind = registry.make(name, None).fit(data)
        assert hits(blind, data) < 0.5  # 6 of the 21 unseen movies are of the own half
        return
    shuffled = dataclasses.replace(data, movie_rows=ratings(1, planted=False).movie_rows)
    # 60 users x 3 picks around one half: a standard deviation of .037, more as picks of one user hang together
    assert abs(hits(make(name).fit(shuffled), shuffled) - 0.5) < 0.15


@pytest.mark.parametrize("name", PERSONAL + ALIKE)
def test_a_batch_is_its_single_requests_and_strangers_are_served(name: str) -> None:
    data = ratings()
    model = make(name).fit(data.take(data.user_rows() >= 10))
    rows = np.array([3, 40, 3, 11])
    at = np.array([10**9 + 5 * DAY, 10**9 + 6 * DAY, 10**9 + 9 * DAY, 10**9])
    batch = model.score(data, rows, at)
    assert batch.shape == (4, N_MOVIES)
    assert batch.dtype == np.float32
    for line in range(4):
        np.testing.assert_allclose(model.score(data, rows[line], at[line])[0], batch[line], rtol=1e-5, atol=1e-6)
    ids, scores = model.recommend(data, rows, 30, at)
    for line, row in enumerate(rows):
        seen = data.movie_ids[data.movie_rows[data.indptr[row] : data.indptr[row + 1]]]
        left = ids[line][ids[line] >= 0]
        assert len(left) == N_MOVIES - 19 == len(set(left.tolist()))
        assert not np.isin(left, seen).any()
        assert (np.diff(scores[line][: len(left)]) <= 0).all()


@pytest.mark.parametrize("name", PERSONAL + ALIKE)
def test_somebody_without_ratings_gets_finite_scores(name: str) -> None:
    data = ratings()
    nobody = Interactions.from_columns([], [], [], [], data.movie_ids, np.array([5]))
    assert np.isfinite(make(name).fit(data).score(nobody, [0])).all()


@pytest.mark.parametrize("name", PERSONAL + ALIKE)
def test_refit_is_a_fresh_fit_and_save_keeps_everything(name: str, tmp_path: Path) -> None:
    data, other = ratings(), ratings(2)
    rows = np.arange(data.n_users)
    expected = make(name).fit(data).score(data, rows)
    again = make(name).fit(other)
    assert not np.array_equal(again.score(data, rows), expected)
    np.testing.assert_array_equal(again.fit(data).score(data, rows), expected)
    again.save(tmp_path)
    loaded = registry.load(name, tmp_path)
    np.testing.assert_array_equal(loaded.score(data, rows), expected)
    assert loaded.settings == again.settings
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["kind"] == name
    file = max(tmp_path.glob("*.np[yz]"), key=lambda path: path.stat().st_size)
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(ArtifactError, match=file.name):
        registry.load(name, tmp_path)


OTHER_SETTINGS: dict[str, dict[str, Any]] = {
    "popularity": {"threshold": 0.5},
    "biases": {"movie_damping": 50.0, "user_damping": 50.0},
    "trending": {"half_life_days": 3000.0},
    "item_knn": {"weighting": "cosine", "shrinkage": 50.0, "neighbours": 2},
    "ease": {"values": "likes", "regularisation": 9.0},
    "content": {"liking": 3.0, "popularity": 0.1, "fewest_movies": 3},
    "directed_ease": {
        "x_middle": 0.9,
        "x_low": 0.8,
        "y_other": 0.1,
        "gram_base": 0.5,
        "gram_reach": 2.0,
        "target_base": 0.9,
        "target_reach": 2.0,
        "earlier": 1.0,
        "recency_base": 0.9,
        "recency_reach": 50.0,
        "regularisation": 5.0,
        "keep": 3,
    },
    "stacker": {
        "candidates": 15,
        "hidden": 3,
        "networks": 1,
        "epochs": 3,
        "rate": 0.01,
        "l2": 0.1,
        "break_seconds": 10 * DAY,
        "seed": 1,
    },
    "two_tower": {
        "objective": "mse",
        "user_input": "id",
        "user_layer": "relu",
        "movie_layer": "linear",
        "factors": 5,
        "normalised": True,
        "temperature": 0.5,
        "movie_bias": False,
        "side_features": "none",
        "drop_ids": 0.5,
        "positives_from": 3.0,
        "extra_negatives": 9,
        "negative_power": 0.0,
        "short_span": 0.0,
        "long_span": 9.0,
        "longest_history": 4,
        "middling_weight": 0.9,
        "poor_weight": 0.9,
        "ahead": 1.0,
        "anywhere": 0.9,
        "batch": 50,
        "epochs": 4,
        "rate": 0.01,
        "rate_falls": False,
        "l2": 0.1,
        "scale": 0.3,
        "fold_in_steps": 5,
        "seed": 1,
    },
}
NEEDED: dict[tuple[str, str], dict[str, Any]] = {  # settings without which another one has no say
    ("two_tower", "negative_power"): {"extra_negatives": 9},
    ("two_tower", "fold_in_steps"): {"user_input": "id"},
}
EVERY_SETTING = [(name, key) for name, values in OTHER_SETTINGS.items() for key in values]


@pytest.mark.parametrize(("name", "key"), EVERY_SETTING)
def test_every_setting_changes_the_result(name: str, key: str) -> None:
    data = ratings()
    tags = [(10 + i, "heist") for i in range(4)]
    parts: dict[str, Any] = {"tags": tags} if name == "content" else {}
    cls = registry.model_class(name)
    small = {**QUICK.get(name, {}), **({"epochs": 5} if name in QUICK else {}), **NEEDED.get((name, key), {})}

    def scores(**settings: Any) -> Any:
        catalogs = {"catalog": catalog()} if True else {}
        return cls(**catalogs, **parts, **{**small, **settings}).fit(data).score(data, np.arange(6))

    assert np.abs(scores() - scores(**{key: OTHER_SETTINGS[name][key]})).max() > 1e-6


def test_the_list_of_settings_above_is_complete() -> None:
    for name in PERSONAL + ALIKE:
        fields = {field.name for field in dataclasses.fields(registry.model_class(name).Settings)}
        assert fields == set(OTHER_SETTINGS[name]), name


def test_mistakes_are_named() -> None:
    with pytest.raises(ChoiceError, match="no model is called 'eas'"):
        registry.make("eas")
    with pytest.raises(SettingsError, match="did you mean regularisation"):
        registry.make("ease", regularization=3)
    with pytest.raises(SettingsError, match="out of range"):
        registry.make("item_knn", neighbours=0)
    other = Interactions.from_columns([1], [2], [3], [4])
    with pytest.raises(DataError, match="other movies"):
        registry.make("ease").fit(ratings()).score(other, [0])


def test_a_stored_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    make("popularity").fit(ratings()).save(tmp_path)
    with pytest.raises(ArtifactError, match="'popularity' artifact, not 'ease'"):
        registry.load("ease", tmp_path)


def test_the_stacker_puts_all_its_candidates_before_the_rest_of_the_blend() -> None:
    data = ratings()
    rows = np.arange(6)
    model = make("stacker", candidates=5).fit(data)
    assert isinstance(model, Stacker)
    at = data.times[data.indptr[rows + 1] - 1]
    scores = model.score(data, rows)
    mask_seen(scores, data, rows)
    blend = model.scores(data, rows, at)[:, :, :N_BLEND].sum(axis=-1)
    mask_seen(blend, data, rows)
    order = np.argsort(-blend, axis=1, kind="stable")
    for line in range(6):
        first, rest = scores[line, order[line, :5]], scores[line, order[line, 5 : N_MOVIES - 19]]
        assert first.min() >= rest.max() + 0.9
        assert (np.diff(rest) <= 0).all()
