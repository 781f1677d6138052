"""What every other model has to beat: popularity, damped means, and what is liked lately.

    popularity   score_i    = training ratings of i that are at least `threshold`
    biases       score_ui   = mu + b_u + b_i                  the expected rating, in stars
    trending     score_i(t) = sum over likes of i before t of  2^(-(t - time of the like) / half_life)

Biases source: Koren, Factor in the Neighbors (TKDD 2010), section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from .base import Ranker, last_times

DAY = 86_400.0


class MostPopular(Ranker):
    """The same order for everybody, the unknown included."""

    name = "popularity"
    likes_: np.ndarray  # (n_movies,) float32

    @dataclass(frozen=True)
    class Settings:
        threshold: float = setting(4.0, "the lowest rating that counts; 0.5 counts every rating", 0.5, 5)

    def _fit(self, train: Interactions) -> None:
        """Count; O(n_ratings)."""
        liked = train.movie_rows[train.ratings >= self.settings.threshold]
        rated = train.movie_counts()
        share = 0.5 * rated / (1 + rated.max(initial=0))  # below 1: orders movies with equal likes
        self.likes_ = (np.bincount(liked, minlength=train.n_movies) + share).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        return self.likes_


class Biases(Ranker):
    """How much better a movie is rated than others, and how generously a user rates; a new user needs no fitting."""

    name = "biases"
    scores_are_ratings = True
    mean_: np.ndarray  # (1,) float32, mu
    movie_bias_: np.ndarray  # (n_movies,) float32, b_i; 0 for a movie without ratings

    @dataclass(frozen=True)
    class Settings:
        movie_damping: float = setting(5.0, "average ratings added to each movie's", 0)
        user_damping: float = setting(5.0, "average ratings added to each user's", 0)

    def _fit(self, train: Interactions) -> None:
        """Average; O(n_ratings)."""
        mu = float(train.ratings.mean(dtype=np.float64)) if train.n_ratings else 0.0
        # b_i = sum over its ratings (r - mu) / (n_i + movie_damping)
        sums = np.bincount(train.movie_rows, train.ratings - mu, minlength=train.n_movies)
        counts = train.movie_counts() + self.settings.movie_damping
        self.mean_ = np.array([mu], dtype=np.float32)
        self.movie_bias_ = (sums / np.where(counts > 0, counts, 1)).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        residuals = ratings - self.mean_ - self.movie_bias_[movies]
        # b_u = sum over their ratings (r - mu - b_i) / (n_u + user_damping)
        bias = residuals.sum() / max(len(ratings) + self.settings.user_damping, 1e-9)
        return self.mean_ + bias + self.movie_bias_


class Trending(Ranker):
    """Popularity that fades and never looks ahead: a request in the past is answered as it would have been then."""

    name = "trending"
    starts_: np.ndarray  # (n_movies + 1,) int64, where each movie's ratings begin, oldest first
    times_: np.ndarray  # (n_ratings,) int64
    likes_: np.ndarray  # (n_ratings,) float64, running sum of likes within each movie
    faded_: np.ndarray  # (n_ratings,) float64, the same of 2^((time - first time) / half_life) for each like
    _keys: tuple[Any, Any] = (None, None)  # times_, and its movie and time as one number
    _today: tuple[Any, ...] = (None,)  # times_, and what `_after_all` gives

    @dataclass(frozen=True)
    class Settings:
        half_life_days: float = setting(365.0, "days after which a like counts half", 30)

    def _fit(self, train: Interactions) -> None:
        """Sort and sum; O(n_ratings log n_ratings)."""
        order = np.lexsort((train.times, train.movie_rows))
        self.starts_ = np.concatenate(([0], np.cumsum(train.movie_counts())))
        self.times_ = train.times[order]
        liked = (train.ratings[order] >= LIKED).astype(np.float64)
        growth = liked * 2.0 ** ((self.times_ - train.times.min(initial=2**62)) / (self.settings.half_life_days * DAY))
        self.likes_, self.faded_ = np.empty_like(liked), np.empty_like(liked)
        for start, end in zip(self.starts_[:-1], self.starts_[1:]):
            np.cumsum(liked[start:end], out=self.likes_[start:end])
            np.cumsum(growth[start:end], out=self.faded_[start:end])

    def _after_all(self) -> tuple[np.ndarray, int, int]:
        """Return likes and faded likes after all ratings, and the first time, infinite without any, (3, n_movies).

        Also the first and the last of all times. Found once a fit.
        """
        if self._today[0] is not self.times_:
            rated = self.starts_[1:] > self.starts_[:-1]
            first, last = self.times_[self.starts_[:-1][rated]], self.starts_[1:][rated] - 1
            found = np.stack([0 * rated, 0 * rated, np.where(rated, 0, np.inf)])
            found[:, rated] = self.likes_[last], self.faded_[last], first
            ends = int(first.min(initial=2**62)), int(self.times_[last].max(initial=0))
            self._today = self.times_, found, *ends
        return self._today[1:]

    def before(self, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, before each of `moments` (B,): faded likes, all likes, days since the first rating.

        Each (B, n_movies) float64; a movie that nobody had rated by then has 0 in all three.
        """
        (today, origin, latest), n_movies, far = self._after_all(), len(self.movie_ids), np.int64(1 << 40)
        since = np.maximum(moments - origin, 0)
        likes, growth, first = np.repeat(today[:, None], len(moments), axis=1)  # (B, n_movies) each
        past = np.flatnonzero(moments <= latest)
        if len(past):
            if self._keys[0] is not self.times_:
                movies = np.repeat(np.arange(n_movies), np.diff(self.starts_))
                self._keys = self.times_, movies * far + self.times_ - origin
            # a movie's moments together, so that one search finds in the cache what the one before has read
            last = np.searchsorted(self._keys[1], (np.arange(n_movies) * far)[:, None] + since[past]).T - 1
            some = last >= self.starts_[:-1]
            likes[past], growth[past] = (np.where(some, sums[last], 0) for sums in (self.likes_, self.faded_))
        growth *= 2.0 ** (-since / (self.settings.half_life_days * DAY))[:, None]
        return growth, likes, np.maximum(moments[:, None] - first, 0) / DAY

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        moments = last_times(history, user_rows) + 1 if at is None else at
        return self.before(moments)[0].astype(np.float32)
