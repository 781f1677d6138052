"""Synthetic ratings of the size and shape of MovieLens, with a structure that can be learned.

    likes(u, i)  =  s . (t_g[i])            each person belongs to a taste group g of movies; t_g low rank
    P(u rates i) ~  popularity[i] exp(likes)
    rating       =  3.6 + person + quality + likes + noise, rounded to half stars, 0.5 to 5

Popularity falls as a Zipf-Mandelbrot law, so that the top 1% of movies hold about half of the ratings, as in MovieLens
25M; activity per person is log-normal from 20 upwards. A person rates in one sitting somewhere in 20 years.
"""

from __future__ import annotations

import time

import numpy as np

from recommender.data.interactions import Interactions

N_GROUPS, TASTE_RANK, EXPONENT = 128, 24, 1.37
START, SPAN = 820_000_000, 20 * 365 * 86_400  # seconds: 1996 and 20 years


Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def timed(call, *given):
    """Return the CPU seconds that `call(*given)` took, and its result."""
    start = time.process_time()
    result = call(*given)
    return time.process_time() - start, result


def synthetic_ratings(n_users: int, n_movies: int, n_ratings: int, rng: np.random.Generator) -> Columns:
    """Draw about `n_ratings` different (user, movie) pairs; return user ids, movie ids, ratings and times.

    Sorted by user and movie; ids count from 1. Cost O(n_ratings log n_ratings); 25M take about 20 s and 2 GB.
    """
    popularity = (np.arange(n_movies) + 0.0015 * n_movies) ** -EXPONENT
    rng.shuffle(popularity)
    decay = np.arange(1, TASTE_RANK + 1) ** -0.5
    movie_tastes = rng.standard_normal((n_movies, TASTE_RANK))
    group_tastes = rng.standard_normal((N_GROUPS, TASTE_RANK)) * decay * 0.35
    likes = group_tastes @ movie_tastes.T  # (N_GROUPS, n_movies)
    chances = popularity * np.exp(likes)
    chances /= chances.sum(axis=1, keepdims=True)

    activity = 20 + rng.lognormal(np.log(max(n_ratings / n_users - 20, 1.0)) - 0.6, 1.1, n_users)
    activity = np.minimum(activity * (n_ratings / activity.sum()), n_movies / 8)
    groups = rng.integers(N_GROUPS, size=n_users)
    pairs = np.empty(0, dtype=np.int64)
    missing = n_ratings
    for _ in range(3):  # draws that repeat a pair are drawn again, which evens out heavy users
        share = activity * (1.02 * missing / activity.sum())
        counts = np.floor(share + rng.random(n_users)).astype(np.int64)
        drawn = [pairs]
        for group in range(N_GROUPS):
            people = np.flatnonzero(groups == group)
            users = np.repeat(people, counts[people])
            movies = np.repeat(np.arange(n_movies), rng.multinomial(len(users), chances[group]))
            drawn.append(users * n_movies + rng.permutation(movies))
        pairs = np.sort(np.concatenate(drawn))  # np.unique would hash first, which is several times slower
        pairs = pairs[np.concatenate(([True], np.diff(pairs) > 0))]
        missing = n_ratings - len(pairs)
        if missing < 0.002 * n_ratings:
            break
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
