"""What the stacker knows of a movie for a person: ten scores, and what kind of moment it is.

    per movie   directed EASE; the same with every rating counted as 1 (what people choose, not what they like);
                EASE on rating values; iALS; the movie's bias; fit to genres; likes that fade with a half-life, all
                likes and days since the first rating, before the moment; how new the movie is at the moment
    per person  far = ln(1 + gap / 1 minute) / ln(1 + 1 week / 1 minute), at most 1;  activity = ln(1 + n_ratings)

Every score is standardised over the person's unseen movies. Each then occurs twice, as it is and times `far`, so
that the network can trust the order of the current sitting while it lasts and not after a break.
Nothing here looks past the training data, nor, in the parts that know time, past the moment.
"""

from __future__ import annotations

from typing import Optional

import numpy as np
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.interactions import Interactions
from .base import Arrays, Ranker, mask_seen
from .biases import Biases
from .content import Content
from .directed_ease import DirectedEase
from .ease import Ease
from .ials import Ials
from .trending import Trending, last_times

SCORES = ("directed", "exposure", "ease", "ials", "bias", "content", "trending", "likes", "age", "newness")
N_BLEND = 4  # the first four choose the candidates
N_FEATURES = 2 * len(SCORES) + 2
MINUTE, WEEK, YEAR = 60.0, 604_800.0, 31_556_952.0


class Scorers:
    """The fitted models behind the features; saved and loaded as one set of arrays."""

    def __init__(self, catalog: Optional[Catalog] = None) -> None:
        self.catalog = catalog
        self.models: dict[str, Ranker] = {
            "directed": DirectedEase(),
            "exposure": DirectedEase(x_middle=1, x_low=1, y_other=1),
            "ease": Ease(values="ratings", regularisation=4000),
            "ials": Ials(factors=64, regularisation=20, alpha=3, recency_floor=0.07, recency_span=5),
            "bias": Biases(),
            "content": Content(catalog, tags=(), popularity=0),
            "trending": Trending(half_life_days=60),
        }
        self.years: np.ndarray = np.zeros(0, dtype=np.float32)

    def fit(self, train: Interactions) -> Scorers:
        """Fit each model on `train`."""
        for model in self.models.values():
            model.fit(train)
        self.years = release_years(self.catalog, train.movie_ids)
        return self

    def arrays(self) -> Arrays:
        """Return all that was learned; names begin with the model's."""
        parts = {f"{name}.{key}": value for name, model in self.models.items() for key, value in model.arrays().items()}
        return {"years": self.years, **parts}

    def dtypes(self) -> dict[str, npt.DTypeLike]:
        """Return the dtype of each of `arrays`."""
        parts = {f"{name}.{key}": value for name, model in self.models.items() for key, value in model.dtypes().items()}
        return {"years": np.float32, **parts}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` returned."""
        self.years = arrays["years"]
        for name, model in self.models.items():
            model.restore({key: arrays[f"{name}.{key}"] for key in model.dtypes()})

    def scores(self, history: Interactions, user_rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return (B, n_movies, 10) float32 in the order of `SCORES`, standardised over unseen movies.

        Seen movies have values too, on the same scale.
        """
        trending = self.models["trending"]
        assert isinstance(trending, Trending)
        faded, likes, age = trending.before(at)
        columns = [self.models[name].score(history, user_rows, at) for name in SCORES[:6]]
        newness = np.exp(-np.maximum((1970 + at / YEAR)[:, None] - self.years, 0) / 2)
        columns += [np.log1p(10 * faded), np.log1p(likes), np.log1p(age), np.where(self.years > 0, newness, 0)]
        unseen = np.zeros((len(user_rows), history.n_movies), dtype=np.float32)
        mask_seen(unseen, history, user_rows)
        return np.stack([standardised(column, unseen == 0) for column in columns], axis=-1)


def standardised(scores: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return (s - mean) / deviation of each row, both over `counted`; clipped to -4..8, 0 where all are equal."""
    n = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    s = scores.astype(np.float64)
    centred = s - np.where(counted, s, 0).sum(axis=1, keepdims=True) / n
    deviation = np.sqrt(np.where(counted, centred**2, 0).sum(axis=1, keepdims=True) / n)
    flat = deviation <= 1e-6 * np.abs(s).max(axis=1, keepdims=True, initial=0)
    return np.where(flat, 0, np.clip(centred / np.where(flat, 1, deviation), -4, 8)).astype(np.float32)


def features(scores: np.ndarray, gap: np.ndarray, n_ratings: np.ndarray) -> np.ndarray:
    """Return (B, C, N_FEATURES) float32: the scores (B, C, 10), what kind of moment it is, the scores times `far`.

    gap: (B,) seconds since the person's last rating.  n_ratings: (B,) how many are known.
    """
    far = np.minimum(np.log1p(np.maximum(gap, 0) / MINUTE) / np.log1p(WEEK / MINUTE), 1)
    activity = (np.log1p(n_ratings) - 4) / 1.5  # about -2 to 2
    moment = np.stack([far, activity], axis=-1).astype(np.float32)[:, None, :]
    moment = np.broadcast_to(moment, (*scores.shape[:2], 2))
    return np.concatenate([scores, moment, scores * moment[:, :, :1]], axis=-1)


def gaps(history: Interactions, user_rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the seconds from each person's last known rating to the moment of the request, (B,), at least 0."""
    seconds = np.maximum(at - last_times(history, user_rows), 0).astype(np.float64)
    return seconds


def release_years(catalog: Optional[Catalog], movie_ids: np.ndarray) -> np.ndarray:
    """Return (n_movies,) float32, 0 where unknown."""
    years = np.zeros(len(movie_ids), dtype=np.float32)
    if catalog is not None:
        listed = np.isin(movie_ids, catalog.movie_ids)
        years[listed] = catalog.years[np.searchsorted(catalog.movie_ids, movie_ids[listed])]
    return years
