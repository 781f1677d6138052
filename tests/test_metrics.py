"""Metrics: worked by hand, against ir-measures (trec_eval; a development dependency), and at the edges."""

import itertools
import math

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.evaluate import metrics

LOG3 = math.log2(3)

# Two people. Ann likes movies 1, 3, 5, 7 and is shown 3, 0, 5, 2. Bo likes movie 9 and is shown 4, 6.
RANKED = np.array([[3, 0, 5, 2], [4, 6, -1, -1]])
INDPTR, RELEVANT = np.array([0, 4, 5]), np.array([7, 1, 5, 3, 9])
HITS = np.array([[True, False, True, False], [False, False, False, False]])
N_RELEVANT = np.array([4, 1])


@pytest.mark.parametrize(
    ("ranked", "indptr", "relevant", "hits"),
    [
        (RANKED, INDPTR, RELEVANT, HITS),
        ([[9, 8], [3, 9]], INDPTR, RELEVANT, [[0, 0], [0, 1]]),  # movie 9 is Bo's alone
        ([[0], [-1]], [0, 1, 1], [9], [[0], [0]]),  # with a naive key, (list 1, -1) is (list 0, movie 9)
        (RANKED, [0, 0, 0], [], np.zeros((2, 4))),
    ],
)
def test_find_hits(ranked, indptr, relevant, hits):
    found = metrics.find_hits(np.array(ranked), np.array(indptr), np.array(relevant, dtype=int), 10)
    assert np.array_equal(found, np.array(hits, dtype=bool))


def test_by_hand():
    ndcg = {2: 1 / (1 + 1 / LOG3), 3: 1.5 / (1.5 + 1 / LOG3), 4: 1.5 / (1.5 + 1 / LOG3 + 1 / math.log2(5))}
    at_3 = {"recall": 2 / 4, "capped_recall": 2 / 3, "precision": 2 / 3, "map": (1 + 2 / 3) / 4}
    at_3["capped_map"] = (1 + 2 / 3) / 3
    ndcgs = (("ndcg", k, value) for k, value in ndcg.items())
    for name, k, ann in (*((name, 3, value) for name, value in at_3.items()), *ndcgs, ("mrr", 4, 1.0)):
        assert metrics.accuracy(HITS, N_RELEVANT, k)[name] == pytest.approx([ann, 0.0]), (name, k)
    one = metrics.accuracy(HITS[:1, :3] & [True, False, False], np.array([1]), 3)
    for name in ("capped_recall", "ndcg", "capped_map"):  # the ideal is over the movies that exist, not over k
        assert one[name] == pytest.approx([1.0]), name


@pytest.mark.parametrize(("k", "ranks"), [(3, [1 / 2, 1 / 3, 0]), (2, [1 / 2, 0, 0])])
def test_reciprocal_rank_counts_places_from_one(k, ranks):
    hits = np.array([[False, True, True], [False, False, True], [False, False, False]])
    assert metrics.accuracy(hits, np.array([2, 1, 1]), k)["mrr"] == pytest.approx(ranks)


def test_nothing_relevant_is_undefined_not_zero():
    values = metrics.accuracy(np.zeros((1, 5), dtype=bool), np.array([0]), 5)
    undefined = {name for name, value in values.items() if math.isnan(value[0])}
    assert undefined == {"ndcg", "recall", "capped_recall", "map", "capped_map"}


def test_a_list_that_is_too_short_is_refused_not_cut():
    for k in (0, 5):
        with pytest.raises(ChoiceError, match=f"{k}"):
            metrics.accuracy(HITS, N_RELEVANT, k)
    with pytest.raises(DataError, match="one count for each list"):
        metrics.accuracy(HITS, np.array([4]), 3)


def test_rating_errors():
    assert metrics.rmse([1, 2, 3], [1, 4, 3.5]) == pytest.approx(math.sqrt((4 + 0.25) / 3))
    assert metrics.mae([1, 2, 3], [1, 4, 3.5]) == pytest.approx(2.5 / 3)
    with pytest.raises(DataError):
        metrics.rmse(np.zeros((3, 1)), np.zeros(3))  # would broadcast to (3, 3)
    with pytest.raises(DataError):
        metrics.mae([], [])


@pytest.mark.dev
@pytest.mark.parametrize("k", [1, 10])
def test_equal_to_ir_measures(k):
    """Lists of distinct movies, some of them short, and from 1 to 25 relevant movies for each."""
    ir_measures, rng = pytest.importorskip("ir_measures"), np.random.default_rng(k)
    ranked = np.stack([rng.permutation(40)[:15] for _ in range(60)])
    ranked[:15, 5:] = -1
    relevant = [rng.permutation(40)[: rng.integers(1, 26)] for _ in range(60)]
    n_relevant = np.array([len(movies) for movies in relevant])
    hits = metrics.find_hits(ranked, np.append(0, np.cumsum(n_relevant)), np.concatenate(relevant), 40)
    ours = metrics.accuracy(hits, n_relevant, k)
    names = {"ndcg": "nDCG", "recall": "R", "precision": "P", "map": "AP", "mrr": "RR", "hit_rate": "Success"}
    theirs = {name: getattr(ir_measures, their_name) @ k for name, their_name in names.items()}
    qrels = {f"u{b}": {f"m{m}": 1 for m in movies} for b, movies in enumerate(relevant)}
    run = {f"u{b}": {f"m{m}": -float(i) for i, m in enumerate(movies) if m >= 0} for b, movies in enumerate(ranked)}
    lines = ir_measures.iter_calc(list(theirs.values()), qrels, run)
    found = {(str(line.measure), line.query_id): line.value for line in lines}
    for name, measure in theirs.items():
        expected = [found[str(measure), f"u{b}"] for b in range(60)]
        assert ours[name] == pytest.approx(expected, abs=1e-12), name


def test_coverage_and_gini_against_their_definition():
    ranked = np.random.default_rng(0).integers(-1, 12, (30, 4))
    found = metrics.exposure(ranked, 20)
    assert found["coverage"] == pytest.approx(len(set(ranked.ravel()) - {-1}) / 20)
    x = np.array([(ranked == movie).sum() for movie in range(20)], dtype=float)
    differences = np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) ** 2 * x.mean())
    assert found["gini"] == pytest.approx(differences)


def test_novelty_and_means_over_lists_by_hand():
    ranked = np.array([[0, 1], [2, 3], [1, -1], [-1, -1]])
    values = metrics.novelty(ranked, np.array([8, 4, 1, 0]), n_users=8)
    assert values == pytest.approx([0.5, 3.0, 1.0, math.nan], nan_ok=True)
    shares = metrics.mean_over_list(np.array([[0, 3, 4, -1]]), np.arange(5) > 2)
    assert shares == pytest.approx([2 / 3])


@pytest.mark.parametrize("cells", [1 << 18, 20])
def test_diversity_equals_the_mean_over_pairs(cells, monkeypatch):
    monkeypatch.setattr(metrics, "_CELLS", cells)
    rng = np.random.default_rng(1)
    genres = (rng.random((30, 6)) < 0.3).astype(float)
    genres[7] = 0  # a movie without genres: far from all, itself included
    ranked = np.stack([rng.permutation(30)[:6] for _ in range(20)])
    ranked[0, 2:], ranked[1, 1:] = -1, -1

    def by_pairs(movies):
        distances = []
        for a, b in itertools.combinations(genres[movies], 2):
            size = np.linalg.norm(a) * np.linalg.norm(b)
            distances.append(1 - (a @ b / size if size else 0.0))
        return np.mean(distances) if distances else math.nan

    expected = [by_pairs([m for m in movies if m >= 0]) for movies in ranked]
    assert metrics.intra_list_diversity(ranked, genres) == pytest.approx(expected, nan_ok=True)
