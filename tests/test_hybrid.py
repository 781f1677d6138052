"""Several models as one: quotas, fused scores, and who gave which movie."""

from __future__ import annotations

import numpy as np
import pytest

from recommender import hybrid
from recommender.data.errors import ChoiceError
from recommender.data.interactions import Interactions
from recommender.hybrid import Hybrid, HybridQuotas
from recommender.learn import registry
from recommender.learn.base import Ranker

NO = -np.inf


class Fixed(Ranker):
    """Scores that are given."""

    name = "fixed"

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = np.array(scores, np.float32)

    def _fit(self, train: Interactions) -> None:
        pass

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        return self.scores


def of(kind: type, parts: dict[str, list[float]], **settings: object) -> hybrid.Blend:
    model = kind(**settings)
    model.parts = {name: Fixed(scores) for name, scores in parts.items()}
    return model


@pytest.mark.parametrize(
    ("n", "expected"), [(1, [1, 0, 0, 0]), (2, [1, 1, 0, 0]), (5, [2, 2, 1, 0]), (7, [3, 2, 1, 1]), (10, [4, 3, 2, 1])]
)
def test_quotas_by_largest_remainder(n, expected):
    # 7: 2.8, 2.1, 1.4, .7 -> 2, 2, 1, 0 and the two places left to the remainders .8 and .7
    assert hybrid.quotas(n, np.array([0.4, 0.3, 0.2, 0.1])) == expected


def test_a_movie_that_two_lists_have_counts_once_and_the_later_list_gives_its_next():
    lists = [[1, 2, 3, 4, 5], [1, 2, 6, 7, 8]]
    assert list(hybrid.take(lists, [2, 2]).items()) == [(1, 0), (2, 1), (3, 0), (6, 1)]
    assert list(hybrid.take(lists, [2, 1], 2).items()) == [(1, 0), (2, 1), (3, 0), (4, 0), (6, 1), (5, 0)]
    assert hybrid.take([[1, 2], [3, 4]], [2, 2]) == {1: 0, 3: 1, 2: 0, 4: 1}
    assert hybrid.take([[1], [2, 3, 4]], [2, 1]) == {1: 0, 2: 1, 3: 1}  # the second fills the place of the first
    assert hybrid.take([[1], [2]], [2, 1]) == {1: 0, 2: 1}  # no more is there


def test_each_list_gives_its_share():
    # each of the four ranks movies of its own first: the list of ten holds 4, 3, 2 and 1 of them
    own = {name: np.arange(40, 0, -1) + 100 * (np.arange(40) // 10 == j) for j, name in enumerate(hybrid.SHARES)}
    model = of(HybridQuotas, {name: scores.tolist() for name, scores in own.items()})
    scores, by = model.merge(np.array(list(own.values()), np.float32), 10)
    best = np.argsort(-scores, kind="stable")
    assert [(best[:10] // 10).tolist().count(j) for j in range(4)] == [4, 3, 2, 1]
    assert by[best[:10]].tolist() == (best[:10] // 10).tolist()
    assert sorted(best.tolist()) == list(range(40))


def test_what_may_not_be_shown_comes_last():
    for kind, names in ((Hybrid, Hybrid.names), (HybridQuotas, HybridQuotas.names)):
        model = of(kind, {name: [] for name in names}, **({"candidates": 2} if kind is Hybrid else {}))
        if isinstance(model, Hybrid):
            model.fame_ = np.arange(6)
        scores = np.tile(np.array([3, NO, 2, 1, NO, 0], np.float32), (len(names), 1))
        merged, _ = model.merge(scores, 2)
        assert np.isfinite(merged).all()
        assert sorted(np.argsort(-merged, kind="stable")[:4].tolist()) == [0, 2, 3, 5]
        nothing, _ = model.merge(np.full((len(names), 6), NO, np.float32), 2)
        assert np.isfinite(nothing).all()


def test_fused_scores_are_sums_of_standard_scores():
    parts = {"stacker": [5.0, 4.0, 1.0, 0.0], "two_tower": [0.0, 3.0, 1.0, 9.0], "embedding": [1.0, 0.0, 0.0, 0.0]}
    model = of(Hybrid, parts, two_tower=2.0, embedding=0.5, fame=0.25, candidates=3)
    model.fame_ = np.log1p([0, 10, 100, 5])
    scores = np.array(list(parts.values()), np.float32)
    merged, by = model.merge(scores, 2)

    def z(values):
        return (values - values.mean()) / values.std()

    first, second, third = scores[:, :3].astype(float)
    expected = z(first) + 2 * z(second) + 0.5 * z(third) - 0.25 * z(np.log1p([0, 10, 100]))
    np.testing.assert_allclose(merged[:3], expected, rtol=1e-5)
    assert merged[3] < expected.min()  # no candidate
    assert by[:2].tolist() == [0, 1]
    del model.parts["stacker"]  # the next one leads
    without, _ = model.merge(scores[1:], 2)
    assert np.argsort(-without, kind="stable").tolist() == [3, 1, 2, 0]


def test_the_registry_knows_them_when_asked_and_their_users_are_ranked():
    hybrid.register()
    assert {"hybrid", "hybrid_quotas"} <= set(registry.names())
    data = Interactions.from_columns([1, 1, 2], [10, 11, 12], [5, 4, 5], [1, 2, 3], np.arange(10, 16))
    model = of(HybridQuotas, {name: [6, 5, 4, 3, 2, 1] for name in hybrid.SHARES}).fit(data)
    ids, _ = model.recommend(data, [0, 1], n=6)
    assert ids.tolist() == [[12, 13, 14, 15, -1, -1], [10, 11, 13, 14, 15, -1]]
    with pytest.raises(ChoiceError, match="no model is called 'hybird'"):
        registry.make("hybird")
