"""Several models as one: their scores fused, or a share of the list for each.

`Hybrid` puts the best movies of the stacker in another order:

    score_i = z_i(stacker) + two_tower z_i(two_tower) + embedding z_i(embedding) - fame z_i(ln(1 + ratings))

over the `candidates` unseen movies that the stacker puts first; the others follow in its order. Without a stacker the
next part takes its place. z: standardised over the candidates, which was better on validation than reciprocal ranks.
The two towers and the texts know what the stacker's parts do not; fame, which all of them repeat, is taken out in
part, so that more movies are shown to somebody.

`HybridQuotas` gives 40 / 30 / 20 / 10 per cent of a list to embedding, svd, ease and content.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from .data.catalog import Catalog
from .data.interactions import Interactions
from .data.settings import setting
from .learn import registry
from .learn.base import CANDIDATES, Ranker, mask_seen
from .linalg.rows import top_n
from .ranking import standardised

SHARES = {"embedding": 0.4, "svd": 0.3, "ease": 0.2, "content": 0.1}


class Blend(Ranker):
    """A model made of others, `parts`, in the order of `names`; a part that cannot be had may be taken out."""

    names: tuple[str, ...]

    def __init__(self, catalog: Optional[Catalog] = None, **settings: Any) -> None:
        super().__init__(catalog, **settings)
        self.parts = {name: registry.make(name, catalog) for name in self.names}

    def _fit(self, train: Interactions) -> None:
        """Fit the parts."""
        for model in self.parts.values():
            model.fit(train)

    def joined(self, catalog: Catalog) -> Blend:
        """Return self, made ready for parts that are fitted already."""
        self.movie_ids = catalog.movie_ids
        return self

    @abstractmethod
    def merge(self, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one score (n_movies,) float32 and the part that speaks most for each movie (n_movies,).

        scores: (L, n_movies), -inf in all lines for what may not be shown, which comes last.  n: length of the list.
        """

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return self.score_list(history, user_rows, at, 20)[0]

    def score_list(
        self,
        history: Interactions,
        user_rows: npt.ArrayLike,
        at: Optional[npt.ArrayLike],
        n: int,
        allowed: Optional[np.ndarray] = None,
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        rows, moments = np.atleast_1d(user_rows), None if at is None else np.atleast_1d(at)
        parts = np.stack([model.score(history, rows, moments) for model in self.parts.values()])  # (L, B, n_movies)
        for scores in parts:
            mask_seen(scores, history, rows)
            if allowed is not None:
                scores[:, ~allowed] = -np.inf
        merged, by = np.empty(parts.shape[1:], dtype=np.float32), np.empty(parts.shape[1:], dtype=np.int64)
        for line in range(len(rows)):
            merged[line], by[line] = self.merge(parts[:, line], n)
        if allowed is not None:
            merged[:, ~allowed] = -np.inf
        return merged, by


class Hybrid(Blend):
    """Fused scores."""

    name = "hybrid"
    names = ("stacker", "two_tower", "embedding")
    fame_: np.ndarray  # (n_movies,) float32, ln(1 + ratings)

    @dataclass(frozen=True)
    class Settings:  # chosen on the validation parts of ml-latest-small
        two_tower: float = setting(0.1, "weight of the two towers; the stacker weighs 1", 0)
        embedding: float = setting(0.1, "weight of the texts", 0)
        fame: float = setting(0.25, "how much less a movie counts that everybody knows", 0)
        candidates: int = setting(100, "movies of the stacker that are put in another order", 1)

    def _fit(self, train: Interactions) -> None:
        """Fit the parts and count."""
        super()._fit(train)
        self.fame_ = np.log1p(train.movie_counts()).astype(np.float32)

    def joined(self, catalog: Catalog) -> Blend:
        self.fame_ = np.log1p(catalog.n_ratings).astype(np.float32)
        return super().joined(catalog)

    def merge(self, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        c = self.settings
        chosen = top_n(scores[:1], max(c.candidates, n))[0]
        chosen = chosen[scores[0, chosen] > -np.inf]
        weights = [1.0, *(getattr(c, name) for name in list(self.parts)[1:])]
        points = np.array([w * standardised(part[chosen]) for w, part in zip(weights, scores)])
        total = points.sum(axis=0) - c.fame * standardised(self.fame_[chosen])
        rest = scores[0] - scores[0].max(initial=0) - 1 + total.min(initial=0)
        rest[np.isneginf(rest)] = np.finfo(np.float32).min
        by = np.zeros(len(rest), dtype=np.int64)
        rest[chosen], by[chosen] = total, points.argmax(axis=0)
        return rest, by


class HybridQuotas(Blend):
    """A share of the list for each part, `SHARES`: the best of each, in turn.

    How many of n each part gives is rounded by largest remainder. It gives its best movies that are not in the list
    yet, so the shares hold: 4, 3, 2 and 1 of ten. Only where a part has no more do the others fill up, in their order.
    After these n come the next n, likewise, up to `CANDIDATES`, from which familiarity chooses.
    """

    name = "hybrid_quotas"
    names = tuple(SHARES)

    def merge(self, scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        shares = np.array([SHARES[name] for name in self.parts])
        pages = max(-(-CANDIDATES // n), 1)
        found = zip(top_n(scores, n * pages).tolist(), scores)
        lists = [[row for row in best if part[row] > -np.inf] for best, part in found]
        given = take(lists, quotas(n, shares / shares.sum()), pages)
        by = np.zeros(scores.shape[1], dtype=np.int64)
        by[list(given)] = list(given.values())
        order = [*given, *(row for row in np.argsort(-scores[0], kind="stable").tolist() if row not in given)]
        merged = np.empty(len(order), dtype=np.float32)
        merged[order] = -np.arange(len(order), dtype=np.float32)
        merged[np.isneginf(scores[0])] = np.finfo(np.float32).min
        return merged, by


def register() -> None:
    """Add these models to learn/registry.py, which stands below what they are made of."""
    registry.add(Hybrid, HybridQuotas)


def quotas(n: int, shares: np.ndarray) -> list[int]:
    """Return how many of n places each share gets, by largest remainder, ties to the first; shares add up to 1.

    >>> quotas(10, np.array([0.4, 0.3, 0.2, 0.1])), quotas(4, np.array([0.4, 0.3, 0.2, 0.1]))
    ([4, 3, 2, 1], [2, 1, 1, 0])
    """
    exact = np.round(n * shares, 9)
    given = np.floor(exact).astype(int)
    given[np.argsort(-(exact - given), kind="stable")[: n - given.sum()]] += 1
    return given.tolist()


def take(lists: list[list[int]], counts: list[int], pages: int = 1) -> dict[int, int]:
    """Return rows -> the list that gave each, in order: on each page, in turn, counts[j] of list j, not given before.

    Where a list has no more, the rest of the others fill the places, in the order of the lists.

    >>> take([[5, 6, 7], [5, 8, 9]], [2, 1])
    {5: 0, 8: 1, 6: 0}
    """
    turns = sorted(((place + 0.5) / counts[j], j) for j in range(len(lists)) for place in range(counts[j]))
    left, given = [iter(found) for found in lists], dict[int, int]()
    for j in [j for _, j in turns] * pages:
        row = next((row for row in left[j] if row not in given), None)
        if row is not None:
            given[row] = j
    rest = ((row, j) for j, found in enumerate(left) for row in found if row not in given)
    for row, j in itertools.islice(rest, sum(counts) * pages - len(given)):
        given[row] = j
    return given
