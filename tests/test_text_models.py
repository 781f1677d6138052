"""Models that read what movies are about: unrated movies are found by their texts, not by shuffled ones."""

from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.learn import registry
from recommender.learn.content import TextRidge
from recommender.learn.ease import Ease
from recommender.learn.features import TextFeatureSettings, item_features, text_features

N_USERS, N_MOVIES, N_COLD = 80, 90, 15
WORDS = ("rocket planet alien galaxy comet", "wedding kiss letter paris flowers", "sheriff saloon cattle canyon outlaw")


def make_catalog(seed: int = 0, shuffled: bool = False) -> Catalog:
    """Movie i is of theme i mod 3, which only its keywords and director tell (or, shuffled, those of another movie)."""
    rng, rows = np.random.default_rng(seed), []
    for i, t in enumerate(rng.permutation(N_MOVIES) % 3 if shuffled else np.arange(N_MOVIES) % 3):
        words = "; ".join(rng.choice(WORDS[t].split(), size=3, replace=False))
        about = {"title": f"Movie {i}", "genres": "Drama", "keywords": words, "director": f"Director {t}"}
        rows.append({"movieId": str(i + 1), **about})
    return Catalog(rows)


def make_ratings() -> Interactions:
    """User u likes movies of theme u mod 3; the last movies are rated by nobody."""
    rng = np.random.default_rng(0)
    users, movies = np.nonzero(rng.random((N_USERS, N_MOVIES - N_COLD)) < 0.4)
    liked = users % 3 == movies % 3
    keep = liked | (rng.random(len(users)) < 0.3)
    stars = np.where(liked, rng.choice([4, 5], len(users)), rng.choice([1, 2, 3, 3.5], len(users)))
    columns = users, movies + 1, stars, rng.permutation(len(users))
    return Interactions.from_columns(*(column[keep] for column in columns), np.arange(1, N_MOVIES + 1))


@pytest.mark.parametrize("name", ["content", "text_ridge"])
def test_unrated_movies_are_found_by_their_texts_and_not_by_shuffled_ones(name: str) -> None:
    data = make_ratings()

    def hits(catalog: Any) -> float:
        scores = registry.make(name, catalog).fit(data).score(data, np.arange(N_USERS))[:, -N_COLD:]
        best = np.argsort(-scores, axis=1)[:, :5] + N_MOVIES - N_COLD
        return float((best % 3 == (np.arange(N_USERS) % 3)[:, None]).mean())

    assert hits(make_catalog()) > 0.9
    # The five best of 15 in 3 themes, the same few lists for all users: wide around a third.
    assert np.mean([hits(make_catalog(seed, shuffled=True)) for seed in range(4)]) < 0.5
    assert hits(None) < 0.5


def test_rated_movies_have_the_weights_of_ease() -> None:
    data = make_ratings()
    liked = data.take(data.ratings >= 4)
    model = TextRidge(make_catalog(), low_value=0.0, middling_value=0.0, regularisation=20.0).fit(liked)
    plain = Ease(values="likes", regularisation=20.0).fit(liked)
    rated = liked.movie_counts() > 0
    both = np.ix_(rated, rated)
    np.testing.assert_allclose(model.item_weights_[both], plain.item_weights_[both], atol=1e-5)
    assert not model.item_weights_[~rated].any()  # nobody's history has them
    blind = TextRidge(None).fit(data).item_weights_  # without texts: the average column
    average = blind[:, data.movie_counts() > 0].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(blind[:, -N_COLD:], np.tile(average, (1, N_COLD)), atol=1e-5)


def test_side_features_are_genres_and_years_at_length_1_each() -> None:
    movies = [
        {"movieId": str(i), "title": "", "year": "1994", "genres": genres} for i, genres in ((1, "A"), (2, "A|B"))
    ]
    found = item_features("genres", Catalog(movies), np.array([0, 1, 2]))
    np.testing.assert_allclose((found**2).sum(axis=1), [0, 2, 2], rtol=1e-6)
    np.testing.assert_allclose(found[1] @ found[2], 1 + np.sqrt(0.5), rtol=1e-6)
    assert item_features("none", Catalog(movies), np.array([1])).shape == (1, 0)


def test_each_movie_has_the_vector_of_its_own_text_and_director() -> None:
    topics = ["rocket", "wedding", "sheriff", "submarine", "violin", "volcano"]  # of movies 0 and 6, 1 and 7 ...
    names = ["Arno", "Bibi", "Cleo", "Dirk", "Emil", "Fritz"]  # of movies 0 and 1, 2 and 3 ...
    order = np.random.default_rng(0).permutation(13)  # the last one is not listed

    def likeness(*directors: str) -> np.ndarray:
        texts = [{"movieId": str(i), "title": f"{i}", "overview": topics[i % 6]} for i in range(12)]
        catalog = Catalog([{**text, "director": name} for text, name in zip(texts, directors)])
        z = text_features(catalog, order, TextFeatureSettings(50, 2.0, 0.0, 0.0))[np.argsort(order)]
        assert not z[12].any()
        np.testing.assert_allclose((z[:12] ** 2).sum(axis=1), 4, rtol=1e-5)
        return z[:12] @ z[:12].T - 9 * np.eye(12)

    alone, together = likeness(*[""] * 12), likeness(*np.repeat(names, 2))
    assert alone.argmax(axis=1).tolist() == [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]
    pairs = np.arange(0, 12, 2)
    assert (together[pairs, pairs + 1] > alone[pairs, pairs + 1] + 0.5).all()
