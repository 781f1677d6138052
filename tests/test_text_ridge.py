"""EASE with predicted columns: rated movies as in EASE, unrated ones found by their texts, not by shuffled texts."""

from __future__ import annotations

import numpy as np

from recommender.data.catalog import Catalog
from recommender.data.interactions import Interactions
from recommender.learn.ease import Ease
from recommender.learn.text_ridge import TextRidge

N_USERS, N_MOVIES, N_COLD = 80, 90, 15
WORDS = (
    ["rocket", "planet", "alien", "galaxy", "comet", "orbit"],
    ["wedding", "kiss", "letter", "paris", "flowers", "waltz"],
    ["sheriff", "saloon", "cattle", "canyon", "outlaw", "gold"],
)


def make_catalog(seed: int = 0, shuffled: bool = False) -> Catalog:
    """Movie i is of theme i mod 3, which only its keywords tell (or, shuffled, those of another movie)."""
    rng = np.random.default_rng(seed)
    theme = rng.permutation(N_MOVIES) % 3 if shuffled else np.arange(N_MOVIES) % 3
    rows = [
        {
            "movieId": str(i + 1),
            "title": f"Movie {i}",
            "genres": "Drama",
            "keywords": "; ".join(rng.choice(WORDS[theme[i]], size=3, replace=False)),
            "director": f"Director {theme[i]}",
        }
        for i in range(N_MOVIES)
    ]
    return Catalog(rows)


def make_ratings(seed: int = 0) -> Interactions:
    """User u likes movies of theme u mod 3; the last movies are rated by nobody."""
    rng = np.random.default_rng(seed)
    users, movies, values = [], [], []
    for user in range(N_USERS):
        for movie in rng.permutation(N_MOVIES - N_COLD)[:30]:
            liked = movie % 3 == user % 3
            if liked or rng.random() < 0.3:
                users.append(user)
                movies.append(movie + 1)
                values.append(rng.choice([4.0, 5.0]) if liked else rng.choice([1.0, 2.0, 3.0, 3.5]))
    return Interactions.from_columns(users, movies, values, list(range(len(users))), np.arange(1, N_MOVIES + 1))


def hits(model: TextRidge, data: Interactions) -> float:
    """Return the share of the five best among the unrated movies that are of the user's theme."""
    scores = model.score(data, np.arange(N_USERS))[:, -N_COLD:]
    best = np.argsort(-scores, axis=1)[:, :5] + N_MOVIES - N_COLD
    return float((best % 3 == (np.arange(N_USERS) % 3)[:, None]).mean())


def test_unrated_movies_are_found_by_their_texts_and_not_by_shuffled_ones() -> None:
    data = make_ratings()
    assert hits(TextRidge(make_catalog()).fit(data), data) > 0.9
    # The five best of 15 in 3 themes, the same few lists for all users: wide around a third.
    by_chance = [hits(TextRidge(make_catalog(seed, shuffled=True)).fit(data), data) for seed in range(6)]
    assert np.mean(by_chance) < 0.5


def test_rated_movies_have_the_weights_of_ease() -> None:
    data = make_ratings()
    liked = data.take(data.ratings >= 4)
    model = TextRidge(make_catalog(), low_value=0.0, middling_value=0.0, regularisation=20.0).fit(liked)
    plain = Ease(values="likes", regularisation=20.0).fit(liked)
    rated = liked.movie_counts() > 0
    both = np.ix_(rated, rated)
    np.testing.assert_allclose(model.item_weights_[both], plain.item_weights_[both], atol=1e-5)
    assert not model.item_weights_[~rated].any()  # nobody's history has them


def test_without_texts_it_is_the_average_column() -> None:
    data = make_ratings()
    model = TextRidge(None).fit(data)
    rated = data.movie_counts() > 0
    average = model.item_weights_[:, rated].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(model.item_weights_[:, -N_COLD:], np.tile(average, (1, N_COLD)), atol=1e-5)
