"""The two towers with texts: unrated movies are found by their texts, not by shuffled ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError
from recommender.learn import registry
from recommender.learn.features import TextFeatureSettings, item_features, text_features
from recommender.learn.two_tower.settings import TwoTowerSettings
from recommender.learn.two_tower.text import TextTwoTower, TextTwoTowerSettings

from .test_text_ridge import N_COLD, N_MOVIES, N_USERS, make_catalog, make_ratings

QUICK: dict[str, Any] = {"factors": 4, "batch": 64, "epochs": 8, "rate": 0.02}
THEMES = np.arange(N_MOVIES) % 3


def hits(model: TextTwoTower) -> float:
    """Return the share of the five best among the unrated movies that are of the user's theme."""
    scores = model.score(make_ratings(), np.arange(N_USERS))[:, -N_COLD:]
    best = np.argsort(-scores, axis=1)[:, :5] + N_MOVIES - N_COLD
    return float((best % 3 == (np.arange(N_USERS) % 3)[:, None]).mean())


@pytest.mark.parametrize("ridge", [TextTwoTowerSettings().ridge, 0.0])
def test_unrated_movies_are_found_by_their_texts_and_not_by_shuffled_ones(ridge: float) -> None:
    data = make_ratings()
    assert hits(TextTwoTower(make_catalog(), **QUICK, ridge=ridge).fit(data)) > 0.9
    # The five best of 15 in 3 themes, the same few lists for all users: wide around a third.
    shuffled = (make_catalog(seed, shuffled=True) for seed in range(4))
    assert np.mean([hits(TextTwoTower(each, **QUICK, ridge=ridge).fit(data)) for each in shuffled]) < 0.5
    assert hits(TextTwoTower(None, **QUICK, ridge=ridge).fit(data)) < 0.5


def test_an_unrated_movie_lies_near_the_movies_of_its_kind() -> None:
    model = TextTwoTower(make_catalog(), **QUICK).fit(make_ratings())
    vectors = model.movie_vectors_ - model.movie_vectors_[:-N_COLD].mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.argsort(-(vectors[-N_COLD:] @ vectors[:-N_COLD].T), axis=1)[:, :10]
    assert (THEMES[near] == THEMES[-N_COLD:, None]).mean() > 0.9


def test_the_map_for_unrated_movies_is_the_ridge_regression_of_its_equation() -> None:
    """Solved here by the normal equations, with the constant as a column that is not penalised."""
    data = make_ratings()
    model = TextTwoTower(make_catalog(), **QUICK, ridge=3.0)
    run = model.start(data)
    for _ in range(3):
        run.run_epoch()
    model.take_over(run)
    rated = data.movie_counts() > 0
    asked = run.counts[rated]  # ratings of 4 and more, but for each user's first
    assert (asked > 0).all()
    vectors, biases = run.movie_vectors()
    wanted = np.concatenate([vectors, biases[:, None]], axis=1).astype(float)
    F = np.concatenate([run.features, np.ones((N_MOVIES, 1))], axis=1).astype(float)
    w = np.sqrt(asked) / np.sqrt(asked).mean()
    penalty = np.diag([3.0] * (F.shape[1] - 1) + [0.0])
    B = np.linalg.solve(F[rated].T @ (w[:, None] * F[rated]) + penalty, F[rated].T @ (w[:, None] * wanted[rated]))
    found = np.concatenate([model.movie_vectors_, model.movie_biases_[:, None]], axis=1)
    np.testing.assert_allclose(found[~rated], F[~rated] @ B, atol=1e-3)
    np.testing.assert_array_equal(found[rated], wanted[rated].astype(np.float32))


def test_texts_are_those_of_the_text_ridge() -> None:
    ids = make_ratings().movie_ids
    expected = text_features(make_catalog(), ids, TextFeatureSettings(dimension=7, year_weight=0.3))
    found = TextTwoTower(make_catalog(), dimension=7, year_weight=0.3, side_features="none").features(ids)
    np.testing.assert_array_equal(found, expected)
    more = TextTwoTower(make_catalog(), dimension=7, year_weight=0.3, side_features="metadata").features(ids)
    np.testing.assert_array_equal(more[:, : found.shape[1]], expected)
    np.testing.assert_array_equal(more[:, found.shape[1] :], item_features("metadata", make_catalog(), ids))


def test_each_movie_has_the_vector_of_its_own_text_and_director() -> None:
    topics = ["rocket", "wedding", "sheriff", "submarine", "violin", "volcano"]  # of movies 0 and 6, 1 and 7 ...
    names = ["Arno", "Bibi", "Cleo", "Dirk", "Emil", "Fritz"]  # of movies 0 and 1, 2 and 3 ...
    rows = [
        {"movieId": str(100 + i), "title": f"{i}", "overview": topics[i % 6], "director": names[i // 2]}
        for i in range(12)
    ]
    movies = np.random.default_rng(0).permutation(13)  # the last one is not listed
    place = np.argsort(movies)

    def likeness(catalog: Catalog) -> np.ndarray:
        z = text_features(catalog, 100 + movies, TextFeatureSettings(50, 2.0, 0.0, 0.0))[place]
        assert not z[12].any()
        found = z[:12] @ z[:12].T
        np.testing.assert_allclose(found.diagonal(), 4, rtol=1e-5)
        np.fill_diagonal(found, -1)
        return found

    alone = likeness(Catalog([{**row, "director": ""} for row in rows]))
    assert alone.argmax(axis=1).tolist() == [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]
    together = likeness(Catalog(rows))
    for first in range(0, 12, 2):
        assert together[first, first + 1] > alone[first, first + 1] + 0.5


def test_the_settings_of_its_own_are_all_that_differ_from_two_tower() -> None:
    plain, own = dataclasses.asdict(TwoTowerSettings()), dataclasses.asdict(TextTwoTowerSettings())
    others = {"side_features", "dimension", "text_weight", "genre_weight", "year_weight", "ridge"}
    assert {name for name in own if name not in plain or own[name] != plain[name]} == others


def test_a_stored_model_needs_no_catalogue_and_is_not_the_plain_one(tmp_path: Path) -> None:
    data = make_ratings()
    model = TextTwoTower(make_catalog(), **QUICK).fit(data)
    model.save(tmp_path / "model")
    loaded = registry.load("two_tower_text", tmp_path / "model")
    np.testing.assert_array_equal(loaded.score(data, np.arange(5)), model.score(data, np.arange(5)))
    with pytest.raises(ArtifactError, match="'two_tower_text' artifact, not 'two_tower'"):
        registry.load("two_tower", tmp_path / "model")
