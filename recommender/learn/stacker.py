"""The stacker: ten scores of other models, weighed by a small network that knows what kind of moment it is.

    candidates  the 100 unseen movies with the highest sum of directed EASE, its exposure form, EASE and iALS
    scores      directed EASE; the same with every rating counted as 1 (what users choose, not what they like); EASE;
                iALS; the rating expected; fit to genres; likes that fade with a half-life, all likes and days since the
                first rating, before the moment; how new the movie is at the moment
    moment      far = ln(1 + gap / 1 minute) / ln(1 + 1 week / 1 minute), at most 1;  activity = ln(1 + n_ratings)
    result      mean over 5 networks of network(scores, moment, scores times far)       ranking_network.py

Scores times `far` let the network trust the order of the current sitting while it lasts and not after a break. It
learns inside the training data: histories are cut, the models are fitted on the first parts, and the networks learn to
put what was liked next on top. One round cuts after 75%; the other at a break, as rankings tuned to sittings that
continue are worse than EASE after one, and chooses the ridges of EASE and iALS. Last, the models are fitted on all.

Of more than `people` users a sample takes part in the two rounds, whose models are fitted on the sample: the networks
have some thousand parameters. Of more than `dense` movies the linear models keep the largest weights of each row, and
of more than `movies` they know the most rated; for the others the score of iALS stands in for theirs.

Source: Breiman, Stacked Regressions (1996), for weights learned on what the models have not seen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.rows import top_n
from . import ranking_network
from .base import Ranker, best_unseen, last_times
from .baselines import Trending
from .content import Content
from .directed_ease import DirectedEase
from .ease import Ease, most_rated
from .features import release_years
from .ials import Ials
from .ranking_network import Network
from .rating_predictor import RatingPredictor

SCORES = ("directed", "exposure", "ease", "ials", "rating", "content", "trending", "likes", "age", "newness")
N_BLEND = 4  # the first four choose the candidates
N_FEATURES = 2 * len(SCORES) + 2
MINUTE, WEEK, YEAR = 60.0, 604_800.0, 31_556_952.0
RIDGES = {"ease": (4000.0, 16_000.0), "ials": (20.0, 80.0)}  # regularisation to choose from; equally good: the first
_BLOCK = 64  # users whose features are held at once


class Stacker(Ranker):
    """`parts` are the models beneath. Without a catalog the scores of genres and of newness are 0."""

    name = "stacker"
    optional = frozenset({"covered.npy", *(f"{part}.item_columns.npy" for part in SCORES[:3])})
    W_: np.ndarray  # (networks, n_features, n_hidden) float32; b_, v_, w_ likewise, see `Network`
    b_: np.ndarray
    v_: np.ndarray
    w_: np.ndarray
    years_: np.ndarray  # (n_movies,) float32
    covered_: np.ndarray = np.ones(0, dtype=bool)  # (n_movies,), whether the first three scores know the movie
    ridges_: np.ndarray  # (2,) float64, the choice from `RIDGES`

    @dataclass(frozen=True)
    class Settings:
        candidates: int = setting(100, "movies that the networks rank; the rest follow in the order of the blend", 1)
        hidden: int = setting(16, "ReLU units of a network", 1)
        networks: int = setting(5, "networks whose mean is the score", 1)
        epochs: int = setting(40, "passes over the training lists", 1)
        rate: float = setting(0.003, "Adam's learning rate", 1e-6)
        l2: float = setting(0.01, "penalty on the networks' weights", 0)
        people: int = setting(35_000, "users on whose histories the networks learn; of more a sample", 1)
        dense: int = setting(10_000, "movies up to which all weights of a movie on others are kept", 1)
        weights: int = setting(400, "of more movies, the weights of each that are kept: the largest", 1)
        movies: int = setting(20_000, "movies, the most rated, with such weights; iALS stands in for the rest", 1)
        break_seconds: int = setting(86_400, "a pause between two ratings that counts as coming back", 1)
        seed: int = setting(0, "seed of the cuts and of the networks", 0)

    def __init__(self, catalog: Optional[Catalog] = None, **settings: Any) -> None:
        super().__init__(catalog, **settings)
        self.trending, self._done = Trending(half_life_days=60), 0
        self.linear = DirectedEase(), DirectedEase(x_middle=1, x_low=1, y_other=1), Ease(values="ratings")
        self.parts = {
            **dict(zip(SCORES, self.linear)),
            "ials": Ials(factors=64, alpha=3, recency_floor=0.07, recency_span=5),
            "rating": RatingPredictor(catalog),
            "content": Content(catalog, keywords=False, popularity=0),
            "trending": self.trending,
        }

    def _fit(self, train: Interactions) -> None:
        """Fit the models three times, on two rounds of cuts and on everything, and the networks once."""
        chosen, self._done = self.settings, 0
        rng = np.random.default_rng(chosen.seed)
        some = train
        if train.n_users > chosen.people:
            some = train.select(np.sort(rng.choice(train.n_users, chosen.people, replace=False)))
        first, second = (cut(some, lengths) for lengths in cut_lengths(some, chosen.break_seconds, rng))
        self._limit(train.n_movies)
        self._choose_ridges(*second)
        later = self._lists(*second, fitted=RIDGES)
        lists, targets = map(np.concatenate, zip(self._lists(*first), later))
        blend = np.zeros(N_FEATURES, dtype=np.float32)
        blend[:N_BLEND] = 1 / N_BLEND
        networks = []
        for _ in range(chosen.networks):
            self._step("networks")
            network = ranking_network.start(blend, chosen.hidden, rng)
            networks.append(ranking_network.train(network, lists, targets, rng, chosen.epochs, chosen.rate, chosen.l2))
        self.W_, self.b_, self.v_, self.w_ = (np.stack(part) for part in zip(*networks))
        del later, lists, targets
        self.fit_parts(train)
        self.progress(1, 1, "")

    def _choose_ridges(self, known: Interactions, following: Interactions) -> None:
        """Fit the parts of `RIDGES` on `known`, with the ridges that rank best what is liked next."""
        liked = following.take(following.ratings >= LIKED)
        chosen = []
        for name, ridges in RIDGES.items():
            model, found = self.parts[name], []
            for ridge in ridges:
                self._step(f"ridge of {name}")
                self._regularise(name, ridge)
                found.append((gain(model.fit(known), known, liked), ridge, model.arrays()))
            _, ridge, arrays = max(found, key=lambda one: one[0])  # of equal ones the first
            model.restore(arrays)
            self._regularise(name, ridge)
            chosen.append(ridge)
        self.ridges_ = np.array(chosen)

    def _step(self, what: str) -> None:
        total = sum(len(ridges) - 1 for ridges in RIDGES.values()) + 3 * len(self.parts) + 2 + self.settings.networks
        self._done = min(self._done + 1, total - 1)
        self.progress(self._done, total, what)

    def _limit(self, n_movies: int) -> None:
        """Tell the linear models how many weights they keep, of how many movies."""
        chosen = self.settings
        for model in self.linear:
            large = n_movies > min(chosen.dense, chosen.movies)
            model.kept, model.most = (chosen.weights, chosen.movies) if large else (None, None)

    def notes(self) -> list[str]:
        chosen, n_movies = self.settings, len(self.movie_ids)
        if self.linear[0].kept is None:
            return []
        size = sum(model.item_weights_.nbytes + model.item_columns_.nbytes for model in self.linear)
        lost = ", ".join(f"{1 - model.share_kept:.2%}" for model in self.linear)
        sizes = f"the largest {chosen.weights:,} of each kept, {size / 1e6:,.0f} MB"
        lines = [f"weights of movies on movies: {sizes}; lost of the squares of directed, exposure, ease: {lost}"]
        if n_movies > chosen.movies:
            few = n_movies - chosen.movies
            lines.append(f"such weights for the {chosen.movies:,} most rated movies; iALS ranks the other {few:,}")
        return lines

    def _regularise(self, name: str, ridge: float) -> None:
        self.parts[name].settings = replace(self.parts[name].settings, regularisation=float(ridge))

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        super().restore(arrays)
        for name, ridge in zip(RIDGES, self.ridges_):
            self._regularise(name, ridge)

    def fit_parts(self, train: Interactions, fitted: Collection[str] = ()) -> None:
        """Fit the models beneath but those that are `fitted` on the same data."""
        for name, model in self.parts.items():
            if name not in fitted:
                self._step(name)
                model.fit(train)
        self.covered_ = np.zeros(train.n_movies, dtype=bool)
        self.covered_[most_rated(train, self.linear[0].most)] = True
        self.years_ = release_years(self.catalog, train.movie_ids).astype(np.float32)

    def _lists(self, known: Interactions, later: Interactions, fitted: Collection[str] = ()) -> tuple[np.ndarray, ...]:
        """Return features (n, candidates, N_FEATURES) and targets (n, candidates) of one round of cuts."""
        liked = later.take(later.ratings >= LIKED)
        rows = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(liked.indptr) > 0))
        moments = later.times[later.indptr[rows]]
        if len(rows):
            self.fit_parts(known, fitted)
        self._step("lists")
        n = min(self.settings.candidates, known.n_movies)
        all_features = np.zeros((len(rows), n, N_FEATURES), dtype=np.float32)
        targets = np.zeros((len(rows), n), dtype=np.float32)
        for begin in range(0, len(rows), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            columns, _, all_features[block] = self._candidates(known, rows[block], moments[block])
            for line, row in enumerate(rows[block]):
                targets[begin + line] = np.isin(columns[line], liked.movie_rows[liked.row(row)])
        found = targets.sum(axis=1)
        return all_features[found > 0], targets[found > 0] / found[found > 0, None]

    def _candidates(self, history: Interactions, rows: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the candidates' columns (B, C), the blend of all movies (B, n_movies), the candidates' features."""
        columns, blend, scores = self.scores(history, rows, at, self.settings.candidates)
        gap = np.maximum(at - last_times(history, rows), 0).astype(np.float64)  # seconds since the last known rating
        return columns, blend, features(scores, gap, np.diff(history.indptr)[rows])

    def scores(self, history: Interactions, user_rows: np.ndarray, at: np.ndarray, n: int) -> tuple[np.ndarray, ...]:
        """Return the columns of the n candidates (B, n), the blend of all movies (B, n_movies), and the candidates'
        scores (B, n, 10) float32 in the order of `SCORES`, standardized over unseen movies.

        Seen movies come last, in their order. Nothing looks past the training data, nor, in the parts that know time,
        past the moment `at`.
        """
        faded, likes, age = self.trending.before(at)
        values = [self.parts[name].score(history, user_rows, at) for name in SCORES[:6]]
        newness = np.exp(-np.maximum((1970 + at / YEAR)[:, None] - self.years_, 0) / 2)
        values += [np.log1p(10 * faded), np.log1p(likes), np.log1p(age), np.where(self.years_ > 0, newness, 0)]
        unseen = np.ones((len(user_rows), history.n_movies), dtype=bool)
        for line, row in enumerate(user_rows):
            unseen[line, history.movie_rows[history.row(row)]] = False
        first = [standardized(one, unseen) for one in values[:N_BLEND]]
        if not self.covered_.all():
            for one in first[:3]:
                one[:, ~self.covered_] = first[3][:, ~self.covered_]
        blend = np.sum(first, axis=0)
        blend[~unseen] -= 1000
        columns = top_n(blend, n)
        scores = [np.take_along_axis(one, columns, axis=1) for one in first]
        scores += [standardized(one, unseen, columns) for one in values[N_BLEND:]]
        return columns, blend, np.stack(scores, axis=-1)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        moments = last_times(history, user_rows) if at is None else at
        networks = list(map(Network, self.W_, self.b_, self.v_, self.w_))
        result = np.zeros((len(user_rows), history.n_movies), dtype=np.float32)
        for begin in range(0, len(user_rows), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            columns, blend, lists = self._candidates(history, user_rows[block], moments[block])
            ranked = np.mean([ranking_network.scores(network, lists) for network in networks], axis=0)
            behind = ranked.min(axis=1, keepdims=True) - 1 - np.take_along_axis(blend, columns[:, :1], axis=1)
            result[block] = blend + behind  # the others: at least 1 below the last candidate
            np.put_along_axis(result[block], columns, ranked, axis=1)
        return result


def gain(model: Ranker, known: Interactions, liked: Interactions, n: int = 10) -> float:
    """Return the sum of DCG@n of all users, who liked `liked` after `known`."""
    total = 0.0
    for begin in range(0, known.n_users, _BLOCK):
        users = np.arange(begin, min(begin + _BLOCK, known.n_users))
        for user, best in zip(users.tolist(), best_unseen(model.score(known, users), known, users, n)):
            total += float((np.isin(best, liked.movie_rows[liked.row(user)]) / np.log2(np.arange(len(best)) + 2)).sum())
    return total


def standardized(scores: np.ndarray, counted: np.ndarray, columns: Optional[np.ndarray] = None) -> np.ndarray:
    """Return 4 arsinh(z / 4), z = (s - mean) / deviation of each row, both over `counted`; 0 where all are equal.

    columns: (B, n), the only ones to return; None = all.
    The heads of long tails stay apart (a clip would tie them) without leading the training alone.
    """
    n = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    s = scores.astype(np.float64)
    centered = s - np.where(counted, s, 0).sum(axis=1, keepdims=True) / n
    deviation = np.sqrt(np.where(counted, centered**2, 0).sum(axis=1, keepdims=True) / n)
    flat = deviation <= 1e-6 * np.abs(s).max(axis=1, keepdims=True, initial=0)
    if columns is not None:
        centered = np.take_along_axis(centered, columns, axis=1)
    return np.where(flat, 0, 4 * np.arcsinh(centered / np.where(flat, 4, 4 * deviation))).astype(np.float32)


def features(scores: np.ndarray, gap: np.ndarray, n_ratings: np.ndarray) -> np.ndarray:
    """Return (B, C, N_FEATURES) float32: the scores (B, C, 10), what kind of moment it is, the scores times `far`.

    gap: (B,) seconds since the user's last rating.  n_ratings: (B,) how many are known.
    """
    far = np.minimum(np.log1p(np.maximum(gap, 0) / MINUTE) / np.log1p(WEEK / MINUTE), 1)
    activity = (np.log1p(n_ratings) - 4) / 1.5  # about -2 to 2
    moment = np.stack([far, activity], axis=-1).astype(np.float32)[:, None, :]
    moment = np.broadcast_to(moment, (*scores.shape[:2], 2))
    return np.concatenate([scores, moment, scores * moment[:, :, :1]], axis=-1)


def cut_lengths(train: Interactions, break_seconds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the two rounds of cuts: how many of each user's ratings count as known, (n_users,) int64 each.

    First 75%. Then up to a pause of more than `break_seconds` between 20% and 90%, drawn by `rng`, or else 85%.
    """
    n = np.diff(train.indptr)
    second = np.floor(0.85 * n).astype(np.int64)
    for user in range(train.n_users):
        after = 1 + np.flatnonzero(np.diff(train.times[train.row(user)]) > break_seconds)
        after = after[(after >= 0.2 * n[user]) & (after <= 0.9 * n[user])]
        if len(after):
            second[user] = rng.choice(after)
    return np.floor(0.75 * n).astype(np.int64), second


def cut(train: Interactions, lengths: np.ndarray) -> tuple[Interactions, Interactions]:
    """Return each user's first `lengths` (n_users,) ratings, and those that follow, a fifth of all they have."""
    n = np.diff(train.indptr)
    position = np.arange(train.n_ratings) - np.repeat(train.indptr[:-1], n)
    start = np.repeat(lengths, n)
    end = np.repeat(lengths + np.maximum(1, n // 5), n)
    return train.take(position < start), train.take((position >= start) & (position < end))
