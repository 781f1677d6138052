"""Learning rules fitted from ratings, by name: the three that ship, and two that they are measured against.

    popularity             score_i = people who liked i / people         uses no answer
    moving-average         rules.py over the vectors of learn/svd.py     uses likes and dislikes
    two-tower              the same over the movie tower's vectors       uses likes and dislikes
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
from ..learn.svd import SvdModel
from ..learn.two_tower.model import TwoTower
from ..learn.two_tower.network import TwoTowerSettings
from .gaussian import ConditionalGaussian, GaussianSettings
from .policy import PolicySettings
from .rules import LearningRule, MovingAverage
from .state import FAVORITE, LIKE, Event
from .taste_covariance import fit_gaussian

RULES = ("popularity", "moving-average", "two-tower", "ease", "conditional-gaussian")
BIAS_WEIGHT = 0.22  # chosen in the replay (model/replay_sessions.py), for two networks of different scale


def two_tower_rule(model: TwoTower, policy: PolicySettings) -> MovingAverage:
    """Return the moving average over the movie tower's vectors m (n_movies, k), with its biases c (n_movies,) beneath.

        v_i = m_i - mean of m        s^2 = mean of |v_i|^2        score_i = u . v_i + BIAS_WEIGHT s^2 c_i

    What all movies' vectors have in common says nothing about a person. The products u . v are of the size s^2, the
    biases on the scale of the loss: unscaled they would leave only popularity, left out what hardly anybody knows.
    """
    vectors = model.movie_vectors_ - model.movie_vectors_.mean(axis=0)
    size = np.einsum("nk,nk->n", vectors, vectors).mean()  # s^2
    base = np.float32(BIAS_WEIGHT) * size * model.movie_biases_
    return MovingAverage(vectors, policy, base)


class EaseRule(LearningRule):
    """Fold-in of favorites and likes; item_weights: (n_movies, n_movies) float32, EASE's B."""

    def __init__(self, item_weights: np.ndarray) -> None:
        self.item_weights = item_weights

    def scores(self, events: Sequence[Event]) -> np.ndarray:
        likes = np.array([event.answer in (FAVORITE, LIKE) for event in events], dtype=np.float32)
        return np.asarray(likes @ self.item_weights[np.array([event.row for event in events], dtype=np.int64)])

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        table = np.zeros((1 + len(events), len(rows)))
        for line, event in enumerate(events, 1):
            if event.answer in (FAVORITE, LIKE):
                table[line] = self.item_weights[event.row, rows]
        return table

    def user_vector(self, events: Sequence[Event]) -> np.ndarray:
        """Return 1 for each movie liked, (n_movies,): EASE has no smaller space."""
        liked = [event.row for event in events if event.answer in (FAVORITE, LIKE)]
        return np.isin(np.arange(len(self.item_weights)), liked).astype(np.float32)


def fit_session_rule(
    name: str, train: Interactions, catalog: Catalog, policy: Optional[PolicySettings] = None
) -> LearningRule:
    """Return rule `name` (one of `RULES`) fitted to `train`; raises `ChoiceError` for another name."""
    policy = policy or PolicySettings()
    liked = train.take(train.ratings >= LIKED)
    if name == "popularity":
        n_users = max(1, int((np.diff(train.indptr) > 0).sum()))
        likes = (liked.movie_counts() / n_users).astype(np.float32)
        return MovingAverage(np.zeros((train.n_movies, 0)), base=likes)  # no vectors: nothing to learn
    if name == "moving-average":
        svd = SvdModel(rank=min(SvdModel.Settings().rank, train.n_users, train.n_movies)).fit(train)
        return MovingAverage(svd.movie_vectors(policy.vector_scaling), policy)
    if name == "two-tower":
        most = TwoTowerSettings().batch
        batch = int(np.clip(liked.n_ratings // 100, 16, most))  # few likes: small batches, or too few steps
        return two_tower_rule(TwoTower(catalog, batch=batch).fit(train), policy)
    if name == "ease":
        return EaseRule(Ease(values="likes", regularisation=300.0).fit(train).item_weights_)
    if name == "conditional-gaussian":
        fitted = fit_gaussian(train, catalog, GaussianSettings())
        return ConditionalGaussian(fitted, GaussianSettings(), policy)
    raise ChoiceError(f"no learning rule is called {name!r}: choose from {', '.join(RULES)}")
