"""Learning rules fitted from ratings, by name: the three that ship, and two that they are measured against.

    popularity             score_i = people who liked i / people                 hears nothing
    moving-average         recommender/session/rules.py over svd.py                      hears likes and dislikes
    two-tower              two_tower_session.py: the same over two_tower.py      hears likes and dislikes
    ease                   score = sum over told movies of w_o B_o.               hears likes
    conditional-gaussian   conditional_gaussian.py                               hears skips too

B is EASE's matrix (ease.py), fitted on likes; w is 1 for a favorite or a like, `-negative_weight` for a dislike:
0 as it is fitted here.
EASE needs n_movies^2 numbers, 15 GB for 62,000 movies, so it stays a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from ..data.interactions import LIKED, Interactions
from ..learn.ease import Ease
from ..learn.svd import SvdModel, SvdSettings
from ..learn.two_tower.model import TwoTower
from ..learn.two_tower.settings import TwoTowerSettings
from .gaussian import ConditionalGaussian
from .policy import PolicySettings
from .rules import DISLIKE, FAVORITE, LIKE, SKIP, Event, LearningRule, MovingAverage
from .taste_covariance import GaussianSettings, fit_gaussian
from .two_tower_rule import two_tower_rule

RULES = ("popularity", "moving-average", "two-tower", "ease", "conditional-gaussian")


class PopularityRule(LearningRule):
    """The same score for everybody; base: (n_movies,) float32."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base
        self.n_movies = len(base)

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        result = self.base.copy()
        return result

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        table = np.zeros((1 + len(events), len(rows)))
        table[0] = self.base[rows]
        return table

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        return np.zeros(0, dtype=np.float32)


class EaseRule(LearningRule):
    """Fold-in of favorites, likes and dislikes; item_weights: (n_movies, n_movies) float32, EASE's B."""

    def __init__(self, item_weights: np.ndarray, negative_weight: float = 0.0) -> None:
        self.item_weights = item_weights
        self.n_movies = len(item_weights)
        self._given = {FAVORITE: 1.0, LIKE: 1.0, DISLIKE: -negative_weight, SKIP: 0.0}

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        weights = np.array([self._given[event.answer] for event in events], dtype=np.float32)
        result = weights @ self.item_weights[[event.row for event in events]]
        return result

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        weights = np.array([self._given[event.answer] for event in events])
        told = self.item_weights[[event.row for event in events]][:, rows]
        return np.vstack([np.zeros(len(rows)), weights[:, None] * told])

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        """Return the fold-in vector itself, (n_movies,): EASE has no smaller space."""
        vector = np.zeros(self.n_movies, dtype=np.float32)
        for event in events:
            vector[event.row] += self._given[event.answer]
        return vector


def fit_session_rule(
    name: str,
    train: Interactions,
    catalog: Catalog,
    policy: Optional[PolicySettings] = None,
    rank: Optional[int] = None,
) -> LearningRule:
    """Return rule `name` (one of `RULES`) fitted to `train`; raises `ChoiceError` for another name.

    rank: length of the movie vectors, None for each rule's default (50 for the moving average).
    """
    policy = policy or PolicySettings()
    liked = train.take(train.ratings >= LIKED)
    if name == "popularity":
        n_users = max(1, int((np.diff(train.indptr) > 0).sum()))
        return PopularityRule((liked.movie_counts() / n_users).astype(np.float32))
    if name == "moving-average":
        most = min(train.n_users, train.n_movies)
        model = SvdModel(rank=min(rank or SvdSettings().rank, most))
        vectors = model.fit(train).movie_vectors(policy.vector_scaling)
        return MovingAverage(vectors, policy.learning_rate, policy.negative_weight)
    if name == "two-tower":
        defaults = TwoTowerSettings()
        batch = int(np.clip(liked.n_ratings // 100, 16, defaults.batch))  # few likes: small batches, or too few steps
        towers = TwoTower(catalog, factors=rank or defaults.factors, batch=batch).fit(train)
        return two_tower_rule(towers.movie_vectors, towers.movie_biases, policy)
    if name == "ease":
        return EaseRule(Ease(values="likes", regularisation=300.0).fit(train).item_weights)
    if name == "conditional-gaussian":
        settings = GaussianSettings(rank=rank) if rank else GaussianSettings()
        return ConditionalGaussian(fit_gaussian(train, catalog, settings), settings, policy.skip_weight)
    raise ChoiceError(f"no learning rule is called {name!r}: choose from {', '.join(RULES)}")
