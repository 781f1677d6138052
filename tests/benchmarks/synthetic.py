"""Synthetic ratings of the size and shape of MovieLens, with a structure that can be learned.

    likes(u, i)  =  s . (t_g[i])            each person belongs to a taste group g of movies; t_g low rank
    P(u rates i) ~  popularity[i] exp(likes)
    rating       =  3.6 + person + quality + likes + noise, rounded to half stars, 0.5 to 5

Ratings per movie follow a curve through what is published of MovieLens 25M: 59,047 movies, the first with 81,491 of
25,000,095 ratings, 13,181 with at least 50, a Gini index of .942. Activity per person is log-normal from 20 upwards. A
person rates in one sitting somewhere in 20 years.
"""

from __future__ import annotations

import numpy as np

from recommender.data.interactions import Interactions

FULL = (162_541, 59_047, 25_000_095)  # users, movies, ratings of MovieLens 25M
KEPT = (162_541, 13_181, 24_700_000)  # of them, movies with at least 50 ratings
N_TAGS = 1_093_360

N_GROUPS, TASTE_RANK = 128, 24
START, SPAN = 820_000_000, 20 * 365 * 86_400  # seconds: 1996 and 20 years
# The number of ratings of the movie at each rank; straight lines on logarithmic axes between them.
RANKS = (1, 30, 200, 600, 1500, 3800, 13_181, 32_700, 59_047)
COUNTS = (81_491, 47_000, 21_500, 10_300, 4_100, 1_000, 50, 5, 1)

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def synthetic_ratings(n_users: int, n_movies: int, n_ratings: int, rng: np.random.Generator) -> Columns:
    """Draw about `n_ratings` different (user, movie) pairs; return user ids, movie ids, ratings and times.

    Sorted by user and movie; ids count from 1. With fewer than 59,047 movies the most rated ones are meant: `KEPT`.
    Cost O(n_ratings log n_ratings); 25M take about 25 s and 2 GB.
    """
    ranks = np.arange(1, n_movies + 1)
    popularity = np.exp(np.interp(np.log(ranks), np.log(RANKS), np.log(COUNTS)))
    popularity *= n_ratings / popularity.sum()
    rng.shuffle(popularity)
    decay = np.arange(1, TASTE_RANK + 1) ** -0.5
    movie_tastes = rng.standard_normal((n_movies, TASTE_RANK))
    group_tastes = rng.standard_normal((N_GROUPS, TASTE_RANK)) * decay * 0.35
    likes = group_tastes @ movie_tastes.T  # (N_GROUPS, n_movies)

    activity = 20 + rng.lognormal(np.log(max(n_ratings / n_users - 20, 1.0)) - 0.845, 1.3, n_users)
    activity = np.minimum(activity * (n_ratings / activity.sum()), n_movies / 4)
    groups = rng.integers(N_GROUPS, size=n_users)
    pairs = np.empty(0, dtype=np.int64)
    # Pairs drawn twice count once; what is missing is drawn again. A movie of 45 ratings should not get 50 by luck, so
    # the first rounds draw less than all; a busy person soon has the popular movies, so the last ask others for more.
    for attempt in range(10):
        users, movies = np.divmod(pairs, n_movies)
        most = activity * max(1.0, 0.4 + 0.2 * attempt)
        wanted = np.maximum(most - np.bincount(users, minlength=n_users), 0)
        chances = np.maximum(popularity - np.bincount(movies, minlength=n_movies), 0) * np.exp(likes)
        chances /= chances.sum(axis=1, keepdims=True)
        wanted *= (0.7 if attempt < 3 else 1.0) * (n_ratings - len(pairs)) / wanted.sum()
        counts = np.floor(wanted + rng.random(n_users)).astype(np.int64)
        drawn = [pairs]
        for group in range(N_GROUPS):
            people = np.flatnonzero(groups == group)
            users = np.repeat(people, counts[people])
            movies = np.repeat(np.arange(n_movies), rng.multinomial(len(users), chances[group]))
            drawn.append(users * n_movies + rng.permutation(movies))
        pairs = np.sort(np.concatenate(drawn))  # np.unique would hash first, which is several times slower
        pairs = pairs[np.concatenate(([True], np.diff(pairs) > 0))]
    users, movies = np.divmod(pairs, n_movies)
    person, quality = rng.normal(0, 0.4, n_users), rng.normal(0, 0.45, n_movies)
    starts = START + rng.integers(SPAN, size=n_users)
    first = np.searchsorted(users, np.arange(n_users))
    ratings, times = np.empty(len(users), dtype=np.float32), np.empty(len(users), dtype=np.int64)
    for low in range(0, len(users), 1_000_000):  # in blocks, so that memory stays low
        part = slice(low, low + 1_000_000)
        u, i = users[part], movies[part]
        exact = 3.6 + person[u] + quality[i] + 0.8 * likes[groups[u], i] + rng.normal(0, 0.7, len(u))
        ratings[part] = np.clip(np.round(2 * exact), 1, 10) / 2
        # a step that shares no factor with most counts, so that time does not follow the movie id
        position = np.arange(low, low + len(u)) - first[u]
        times[part] = starts[u] + 30 * ((position * 7919) % 10_007) + rng.integers(30, size=len(u))
    return users + 1, movies + 1, ratings, times


def synthetic_interactions(n_users: int, n_movies: int, n_ratings: int, rng: np.random.Generator) -> Interactions:
    """Return the same as `Interactions`, over all `n_movies` movies."""
    columns = synthetic_ratings(n_users, n_movies, n_ratings, rng)
    return Interactions.from_columns(*columns, movie_vocabulary=np.arange(1, n_movies + 1))


def synthetic_tags(users: np.ndarray, movies: np.ndarray, times: np.ndarray, n_tags: int, rng: np.random.Generator):
    """Draw tags of given ratings, as `synthetic_ratings` returns them: rows of user id, movie id, tag and time.

    One person in eleven gives tags, a few of them most (log-normal), to movies that they rated; a movie has a few words
    of its own besides those that any may get. MovieLens 25M has `N_TAGS` of 14,592 people on 45,251 movies.
    """
    n_users = int(users[-1])
    keen = np.zeros(n_users + 1)
    chosen = rng.choice(np.arange(1, n_users + 1), max(n_users // 11, 1), replace=False)
    keen[chosen] = rng.lognormal(0, 2, len(chosen))
    weights = (keen[users] * np.bincount(movies)[movies] ** -0.7).cumsum()  # more often what few have rated
    at = np.sort(np.searchsorted(weights, rng.random(n_tags) * weights[-1], side="right"))
    own = movies[at] * 8 + rng.integers(8, size=n_tags)  # eight words of the movie
    common = np.minimum(rng.zipf(1.35, n_tags), 30_000)
    numbers = np.where(rng.random(n_tags) < 0.1, 30_000 + own, common)
    return users[at], movies[at], np.char.add("tag ", numbers.astype(str)), times[at] + rng.integers(600, size=n_tags)
