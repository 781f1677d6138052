"""The stacker: ten scores of other models, weighed by a small network that knows what kind of moment it is.

    candidates  the 100 unseen movies with the highest sum of directed EASE, its exposure form, EASE and iALS
    score       mean over 5 networks of  network(features of the candidate)       ranking_network.py
    features    stacking_features.py

How it learns to weigh: people are cut in two inside the training data, the models are fitted on everybody's first
parts, and the networks learn to put what was liked next on top. There are two rounds of cuts. The first cuts
everybody after 70% of their ratings. The second cuts, wherever a person has one, at a break of more than a day,
everybody else after 85%: so the networks also see people who come back, not only sittings that go on. Last, the
models are fitted on all of the training data.

Sources: Breiman, Stacked Regressions (1996), for weights learned on what the models have not seen; the cuts by time
and the breaks are ours. Why breaks: on MovieLens nine of ten held-out parts continue a sitting, in the order in which
the site lists movies; a ranking tuned to that alone is worse than plain EASE for somebody who comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from . import ranking_network
from .base import Arrays, Ranker
from .stacking_features import N_BLEND, N_FEATURES, Scorers, features, gaps
from .trending import last_times

_BLOCK = 64  # people whose features are held at once


@dataclass(frozen=True)
class StackerSettings:
    candidates: int = setting(100, "movies that the networks rank; the rest follow in the order of the blend", 1)
    hidden: int = setting(8, "ReLU units of a network", 1)
    networks: int = setting(5, "networks whose mean is the score", 1)
    epochs: int = setting(20, "passes over the training lists", 1)
    rate: float = setting(0.003, "Adam's learning rate", 1e-6)
    l2: float = setting(0.001, "penalty on the networks' weights", 0)
    break_seconds: int = setting(86_400, "a pause between two ratings that counts as coming back", 1)
    seed: int = setting(0, "seed of the cuts and of the networks", 0)


class Stacker(Ranker):
    """`networks`: W, b, v, w of all networks, the first axis counting them; `scorers`: the models beneath."""

    name = "stacker"
    Settings = StackerSettings
    takes_catalog = True

    def __init__(self, catalog: Optional[Catalog] = None, **settings: Any) -> None:
        """Take genres and years from `catalog`; without it those two scores are 0."""
        super().__init__(**settings)
        self.catalog = catalog
        self.scorers = Scorers(catalog)
        self.networks: list[ranking_network.Network] = []

    def fit(self, train: Interactions) -> Stacker:
        """Fit the scorers three times, on two rounds of cuts and on everything, and the networks once."""
        setup = self.settings
        rng = np.random.default_rng(setup.seed)
        self.movie_ids = train.movie_ids
        rounds = [self._lists(train, lengths) for lengths in cut_lengths(train, setup.break_seconds, rng)]
        lists = np.concatenate([part[0] for part in rounds])
        targets = np.concatenate([part[1] for part in rounds])
        blend = np.zeros(N_FEATURES, dtype=np.float32)
        blend[:N_BLEND] = 1 / N_BLEND
        self.networks = []
        for _ in range(setup.networks):
            network = ranking_network.start(blend, setup.hidden, rng)
            options = {"epochs": setup.epochs, "rate": setup.rate, "l2": setup.l2}
            self.networks.append(ranking_network.train(network, lists, targets, rng, **options))
        self.scorers = Scorers(self.catalog).fit(train)
        return self

    def _lists(self, train: Interactions, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features (n, candidates, N_FEATURES) and targets (n, candidates) of one round of cuts."""
        known, following = cut(train, lengths)
        liked = following.take(following.ratings >= LIKED)
        rows = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(liked.indptr) > 0))
        moments = following.times[following.indptr[rows]]
        scorers = Scorers(self.catalog).fit(known)
        n = min(self.settings.candidates, train.n_movies)
        all_features = np.zeros((len(rows), n, N_FEATURES), dtype=np.float32)
        targets = np.zeros((len(rows), n), dtype=np.float32)
        for begin in range(0, len(rows), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            columns, _, all_features[block] = self._candidates(scorers, known, rows[block], moments[block])
            for line, row in enumerate(rows[block]):
                wanted = liked.movie_rows[liked.row(row)]
                targets[begin + line] = np.isin(columns[line], wanted)
        found = targets.sum(axis=1)
        return all_features[found > 0], targets[found > 0] / found[found > 0, None]

    def _candidates(
        self, scorers: Scorers, history: Interactions, rows: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the candidates' columns (B, C), the blend of all movies (B, n_movies), the candidates' features."""
        scores = scorers.scores(history, rows, at)
        blend = scores[:, :, :N_BLEND].sum(axis=-1)
        for line, row in enumerate(rows):  # seen movies behind all others, in their order
            blend[line, history.movie_rows[history.row(row)]] -= 1000
        n = min(self.settings.candidates, blend.shape[1])
        columns = np.argsort(-blend, axis=1, kind="stable")[:, :n]
        chosen = np.take_along_axis(scores, columns[:, :, None], axis=1)
        n_ratings = history.indptr[rows + 1] - history.indptr[rows]
        return columns, blend, features(chosen, gaps(history, rows, at), n_ratings)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        moments = last_times(history, user_rows) if at is None else at
        result = np.zeros((len(user_rows), history.n_movies), dtype=np.float32)
        for begin in range(0, len(user_rows), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            columns, blend, lists = self._candidates(self.scorers, history, user_rows[block], moments[block])
            ranked = np.mean([ranking_network.scores(network, lists) for network in self.networks], axis=0)
            behind = ranked.min(axis=1, keepdims=True) - 1 - np.take_along_axis(blend, columns[:, :1], axis=1)
            result[block] = blend + behind  # the rest: at least 1 below the last candidate
            np.put_along_axis(result[block], columns, ranked, axis=1)
        return result

    def arrays(self) -> Arrays:
        """Return the networks' weights, stacked, and the arrays of all scorers."""
        weights = {
            part: np.stack([getattr(n, part) for n in self.networks]) for part in ranking_network.Network._fields
        }
        return {"movie_ids": self.movie_ids, **weights, **self.scorers.arrays()}

    def dtypes(self) -> dict[str, npt.DTypeLike]:
        """Return the dtype of each of `arrays`."""
        weights = dict.fromkeys(ranking_network.Network._fields, np.float32)
        return {"movie_ids": np.int64, **weights, **self.scorers.dtypes()}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` returned."""
        self.movie_ids = arrays["movie_ids"]
        parts = [arrays[name] for name in ranking_network.Network._fields]
        self.networks = [ranking_network.Network(*one) for one in zip(*parts)]
        self.scorers = Scorers(self.catalog)
        self.scorers.restore(arrays)


def cut_lengths(train: Interactions, break_seconds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the two rounds of cuts: how many of each person's ratings count as known, (n_users,) int64 each.

    First 70% of each. Then, for people with a pause of more than `break_seconds` between 20% and 90% of their
    ratings, up to one such pause, drawn by `rng`; for all others 85%.
    """
    n = np.diff(train.indptr)
    second = np.floor(0.85 * n).astype(np.int64)
    for row, (start, end) in enumerate(zip(train.indptr[:-1], train.indptr[1:])):
        after = 1 + np.flatnonzero(np.diff(train.times[start:end]) > break_seconds)
        after = after[(after >= 0.2 * n[row]) & (after <= 0.9 * n[row])]
        if len(after):
            second[row] = rng.choice(after)
    return np.floor(0.7 * n).astype(np.int64), second


def cut(train: Interactions, lengths: np.ndarray) -> tuple[Interactions, Interactions]:
    """Return each person's first `lengths` (n_users,) ratings, and those that follow, a fifth of all they have."""
    n = np.diff(train.indptr)
    position = np.arange(train.n_ratings) - np.repeat(train.indptr[:-1], n)
    start = np.repeat(lengths, n)
    end = np.repeat(lengths + np.maximum(1, n // 5), n)
    return train.take(position < start), train.take((position >= start) & (position < end))
