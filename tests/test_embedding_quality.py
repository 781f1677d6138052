"""Genre separation and places against plain loops; what random directions give is told as nothing."""

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.evaluate import known_item
from recommender.evaluate.embeddings import separation_gap
from recommender.evaluate.known_item import ranks
from recommender.linalg.rows import unit_rows


def directions(n=120, n_genres=6, d=9, seed=0):
    """Movies of 0 to 3 genres; a few vectors are rows of zeros."""
    rng = np.random.default_rng(seed)
    genres = np.zeros((n, n_genres), dtype=bool)
    for row in genres:
        row[rng.permutation(n_genres)[: rng.integers(0, 4)]] = True
    vectors = rng.standard_normal((n, d)) + 0.3
    vectors[::17] = 0
    return unit_rows(vectors), genres


def test_separation_against_all_pairs():
    vectors, genres = directions()
    same, different = [], []
    for i in range(len(vectors)):
        for j in range(i):
            if genres[i].any() and genres[j].any():
                pair = same if (genres[i] & genres[j]).any() else different
                pair.append(float(vectors[i].astype(np.float64) @ vectors[j].astype(np.float64)))
    found = separation_gap(vectors, genres)
    assert (found.n_same, found.n_different) == (len(same), len(different))
    assert found.same == pytest.approx(np.mean(same), abs=1e-12)
    assert found.different == pytest.approx(np.mean(different), abs=1e-12)
    assert found.gap == pytest.approx((np.mean(same) - np.mean(different)) / abs(np.mean(same + different)))
    assert np.isnan(separation_gap(vectors, genres & False)[:4]).all()  # no movie has a genre
    with pytest.raises(DataError, match="120 vectors and genres of 2 movies"):
        separation_gap(vectors, genres[:2])


def test_the_gap_of_random_directions_is_chance_by_chance():
    genres = directions(400)[1]
    for seed in range(2):
        vectors = unit_rows(np.random.default_rng(seed).standard_normal((400, 16)))
        assert np.isnan(separation_gap(vectors, genres).gap)
    assert not np.isnan(separation_gap(*directions(400)).gap)  # these lean to one side


@pytest.mark.parametrize("cells", [1 << 22, 300])
def test_places_against_sorting(cells, monkeypatch):
    monkeypatch.setattr(known_item, "_CELLS", cells)
    rng = np.random.default_rng(2)
    vectors = unit_rows(rng.standard_normal((90, 7)))
    vectors[40:50] = vectors[30:40]  # twins: as near to anything
    queries, targets = unit_rows(rng.standard_normal((25, 7))), rng.integers(0, 90, 25)
    targets[:3] = [31, 41, 55]
    found = ranks(queries, vectors, targets)
    for query, target, place in zip(queries, targets.tolist(), found):
        order = np.argsort(-(vectors @ query), kind="stable").tolist()
        twin = {**{i: i + 10 for i in range(30, 40)}, **{i: i - 10 for i in range(40, 50)}}.get(target, target)
        assert place == pytest.approx((order.index(target) + order.index(twin)) / 2 + 1)
    assert ranks(np.zeros((2, 7)), vectors, np.array([0, 89])).tolist() == [45.5, 45.5]  # a request without a meaning
    with pytest.raises(DataError, match="width 3 and movies of width 7"):
        ranks(np.zeros((2, 3)), vectors, targets[:2])
