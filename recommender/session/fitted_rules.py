"""Learning rules fitted from ratings, by name: the three that ship, and two that they are measured against.

    popularity             score_i = people who liked i / people         uses no answer
    moving-average         rules.py over the vectors of learn/svd.py     uses likes and dislikes
    two-tower              two_tower_rule.py over learn/two_tower        uses likes and dislikes
    ease                   score_i = sum over likes o of B_oi            uses likes
    conditional-gaussian   gaussian.py                                   uses skips too

B is EASE's matrix (learn/ease.py), fitted on likes. It has n_movies^2 numbers, 15 GB for 62,000 movies, so EASE stays
a comparison.
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
from .rules import FAVORITE, LIKE, Event, LearningRule, MovingAverage, VectorRule
from .taste_covariance import GaussianSettings, fit_gaussian
from .two_tower_rule import two_tower_rule

RULES = ("popularity", "moving-average", "two-tower", "ease", "conditional-gaussian")


class PopularityRule(VectorRule):
    """The same score for everybody: no vectors, and base (n_movies,) float32."""

    accepts_text = False

    def __init__(self, base: np.ndarray) -> None:
        super().__init__(np.zeros((len(base), 0), dtype=np.float32), base)

    def event_weights(self, events: Sequence[Event], vectors: np.ndarray) -> np.ndarray:
        return np.zeros(len(events))


class EaseRule(LearningRule):
    """Fold-in of favorites and likes; item_weights: (n_movies, n_movies) float32, EASE's B."""

    def __init__(self, item_weights: np.ndarray) -> None:
        self.item_weights = item_weights
        self.n_movies = len(item_weights)

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        weights, rows = self._heard(events)
        return np.asarray(weights @ self.item_weights[rows])

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        weights, event_rows = self._heard(events)
        table = weights[:, None].astype(np.float64) * self.item_weights[event_rows][:, rows]
        return np.vstack([np.zeros(len(rows)), table])

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        """Return the fold-in vector itself, (n_movies,): EASE has no smaller space."""
        weights, rows = self._heard(events)
        return np.bincount(rows, weights=weights, minlength=self.n_movies).astype(np.float32)

    def _heard(self, events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
        weights = np.array([event.answer in (FAVORITE, LIKE) for event in events], dtype=np.float32)
        return weights, np.array([event.row for event in events], dtype=np.int64)


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
        return two_tower_rule(towers.movie_vectors_, towers.movie_biases_, policy)
    if name == "ease":
        return EaseRule(Ease(values="likes", regularisation=300.0).fit(train).item_weights_)
    if name == "conditional-gaussian":
        settings = GaussianSettings(rank=rank) if rank else GaussianSettings()
        return ConditionalGaussian(fit_gaussian(train, catalog, settings), settings, policy.skip_weight)
    raise ChoiceError(f"no learning rule is called {name!r}: choose from {', '.join(RULES)}")
