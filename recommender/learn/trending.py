"""What has been liked lately, at the moment of the request: popularity that fades and never looks ahead.

    score_i(t) = sum over likes of i given before t of  2^(-(t - time of the like) / half_life)

The same counts serve other models as "recent popularity" and "likes so far". Only what came before t is counted, so
a request in the past is answered as it would have been then. The sums up to each rating are kept; a request then
costs one binary search a movie, O(n_movies log n_ratings), whatever the number of ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from .base import Fitted, Ranker

DAY = 86_400.0


@dataclass(frozen=True)
class TrendingSettings:
    half_life_days: float = setting(365.0, "days after which a like counts half", 30)


class Trending(Ranker):
    """Ratings sorted by movie, then time, with running sums within each movie.

    starts: (n_movies + 1,) int64.  times: (n_ratings,) int64.  likes, faded: (n_ratings,) float64, running sums of
    likes and of 2^((time - first time) / half_life); doubles hold that for 1,000 half-lives.
    """

    name = "trending"
    Settings = TrendingSettings
    fitted: ClassVar[Fitted] = {"starts": np.int64, "times": np.int64, "likes": np.float64, "faded": np.float64}

    starts: np.ndarray
    times: np.ndarray
    likes: np.ndarray
    faded: np.ndarray

    def fit(self, train: Interactions) -> Trending:
        """Sort and sum; O(n_ratings log n_ratings)."""
        self.movie_ids = train.movie_ids
        order = np.lexsort((train.times, train.movie_rows))
        self.starts = np.concatenate(([0], np.cumsum(train.movie_counts())))
        self.times = train.times[order]
        liked = (train.ratings[order] >= LIKED).astype(np.float64)
        growth = liked * 2.0 ** ((self.times - self._origin()) / (self.settings.half_life_days * DAY))
        self.likes, self.faded = np.empty_like(liked), np.empty_like(liked)
        for start, end in zip(self.starts[:-1], self.starts[1:]):
            np.cumsum(liked[start:end], out=self.likes[start:end])
            np.cumsum(growth[start:end], out=self.faded[start:end])
        return self

    def _origin(self) -> int:
        return int(self.times.min(initial=np.iinfo(np.int64).max)) if len(self.times) else 0

    def before(self, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, before each of `moments` (B,): faded likes, all likes, days since the first rating.

        Each (B, n_movies) float64; a movie that nobody had rated by then has 0 in all three.
        """
        shape = (len(moments), len(self.movie_ids))
        faded, likes, age = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        movies = np.repeat(np.arange(shape[1]), np.diff(self.starts))
        origin = self._origin()
        keys = movies * np.int64(1 << 40) + (self.times - origin)
        for line, moment in enumerate(moments):
            since = np.clip(moment - origin, 0, (1 << 40) - 1)
            last = np.searchsorted(keys, np.arange(shape[1]) * np.int64(1 << 40) + since) - 1
            some = last >= self.starts[:-1]
            likes[line, some] = self.likes[last[some]]
            faded[line, some] = self.faded[last[some]] * 2.0 ** (-since / (self.settings.half_life_days * DAY))
            age[line, some] = (moment - self.times[self.starts[:-1][some]]) / DAY
        return faded, likes, age

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        moments = last_times(history, user_rows) + 1 if at is None else at
        return self.before(moments)[0].astype(np.float32)


def last_times(history: Interactions, user_rows: np.ndarray) -> np.ndarray:
    """Return the time of each person's last known rating, (B,) int64; 0 for a person without any."""
    ends = history.indptr[user_rows + 1]
    some = ends > history.indptr[user_rows]
    moments = np.zeros(len(user_rows), dtype=np.int64)
    moments[some] = history.times[ends[some] - 1]
    return moments
