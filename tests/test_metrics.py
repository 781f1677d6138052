"""Metrics: worked by hand, against ir-measures (trec_eval; a development dependency), and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.evaluate import beyond_accuracy, metrics

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


@pytest.mark.parametrize(
    ("name", "k", "ann"),
    [
        ("recall", 1, 1 / 4),
        ("recall", 3, 2 / 4),
        ("capped_recall", 3, 2 / 3),
        ("capped_recall", 4, 2 / 4),
        ("precision", 3, 2 / 3),
        ("precision", 4, 2 / 4),
        ("ndcg", 1, 1.0),
        ("ndcg", 2, 1 / (1 + 1 / LOG3)),
        ("ndcg", 3, (1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2)),
        ("ndcg", 4, (1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2 + 1 / math.log2(5))),
        ("map", 3, (1 + 2 / 3) / 4),
        ("capped_map", 3, (1 + 2 / 3) / 3),
        ("capped_map", 1, 1.0),
        ("mrr", 4, 1.0),
        ("hit_rate", 1, 1.0),
    ],
)
def test_by_hand(name, k, ann):
    values = metrics.METRICS[name](HITS, N_RELEVANT, k)
    assert values == pytest.approx([ann, 0.0])


def test_ideal_is_over_the_relevant_movies_that_exist_not_over_k():
    hits = np.array([[True, False, False]])
    for name in ("ndcg", "capped_map", "capped_recall"):
        assert metrics.METRICS[name](hits, np.array([1]), 3) == pytest.approx([1.0])


def test_reciprocal_rank_counts_places_from_one():
    hits = np.array([[False, True, True], [False, False, True], [False, False, False]])
    assert metrics.reciprocal_rank(hits, np.array([2, 1, 1]), 3) == pytest.approx([1 / 2, 1 / 3, 0])
    assert metrics.reciprocal_rank(hits, np.array([2, 1, 1]), 2) == pytest.approx([1 / 2, 0, 0])


def test_nothing_relevant_is_undefined_not_zero():
    values = metrics.all_metrics(np.zeros((1, 5), dtype=bool), np.array([0]), (5,))
    undefined = {name for name, value in values.items() if math.isnan(value[0])}
    assert undefined == {"ndcg@5", "recall@5", "capped_recall@5", "map@5", "capped_map@5"}


def test_a_list_that_is_too_short_is_refused_not_cut():
    for k in (0, 5):
        with pytest.raises(ChoiceError, match=f"{k}"):
            metrics.recall(HITS, N_RELEVANT, k)
    with pytest.raises(DataError, match="one count for each list"):
        metrics.recall(HITS, np.array([4]), 3)


def test_rating_errors():
    assert metrics.rmse([1, 2, 3], [1, 4, 3.5]) == pytest.approx(math.sqrt((4 + 0.25) / 3))
    assert metrics.mae([1, 2, 3], [1, 4, 3.5]) == pytest.approx(2.5 / 3)
    with pytest.raises(DataError):
        metrics.rmse(np.zeros((3, 1)), np.zeros(3))  # would broadcast to (3, 3)
    with pytest.raises(DataError):
        metrics.mae([], [])


def random_lists(rng, n_lists=60, n_movies=40, n=15):
    """Lists of distinct movies, some of them short, and from 1 to 25 relevant movies for each."""
    ranked = np.stack([rng.permutation(n_movies)[:n] for _ in range(n_lists)])
    ranked[: n_lists // 4, n // 3 :] = -1
    relevant = [rng.permutation(n_movies)[: rng.integers(1, 26)] for _ in range(n_lists)]
    indptr = np.concatenate(([0], np.cumsum([len(movies) for movies in relevant])))
    return ranked, indptr, np.concatenate(relevant)


def as_dictionaries(ranked, indptr, relevant):
    qrels = {f"u{b}": {f"m{m}": 1 for m in relevant[indptr[b] : indptr[b + 1]]} for b in range(len(ranked))}
    run = {f"u{b}": {f"m{m}": -float(i) for i, m in enumerate(movies) if m >= 0} for b, movies in enumerate(ranked)}
    return qrels, run


@pytest.mark.dev
@pytest.mark.parametrize("k", [1, 5, 10, 15])
def test_equal_to_ir_measures(k):
    ir_measures = pytest.importorskip("ir_measures")
    ranked, indptr, relevant = random_lists(np.random.default_rng(k))
    ours = metrics.all_metrics(metrics.find_hits(ranked, indptr, relevant, 40), np.diff(indptr), (k,))
    theirs = {
        "ndcg": ir_measures.nDCG @ k,
        "recall": ir_measures.R @ k,
        "precision": ir_measures.P @ k,
        "map": ir_measures.AP @ k,
        "mrr": ir_measures.RR @ k,
        "hit_rate": ir_measures.Success @ k,
    }
    qrels, run = as_dictionaries(ranked, indptr, relevant)
    found = {
        (str(line.measure), line.query_id): line.value
        for line in ir_measures.iter_calc(list(theirs.values()), qrels, run)
    }
    for name, measure in theirs.items():
        expected = [found[str(measure), f"u{b}"] for b in range(len(ranked))]
        assert ours[f"{name}@{k}"] == pytest.approx(expected, abs=1e-12), name


def test_coverage_and_gini_add_up_over_batches():
    ranked = np.random.default_rng(0).integers(-1, 12, (30, 4))
    whole = beyond_accuracy.exposure(ranked, 20)
    parts = beyond_accuracy.exposure(ranked[:7], 20) + beyond_accuracy.exposure(ranked[7:], 20)
    assert np.array_equal(whole, parts)
    assert beyond_accuracy.coverage(whole) == pytest.approx(len(set(ranked.ravel()) - {-1}) / 20)
    x = whole.astype(float)
    differences = np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) ** 2 * x.mean())
    assert beyond_accuracy.gini(whole) == pytest.approx(differences)


def test_novelty_by_hand():
    n_raters = np.array([8, 4, 1, 0])
    ranked = np.array([[0, 1], [2, 3], [1, -1], [-1, -1]])
    values = beyond_accuracy.novelty(ranked, n_raters, n_users=8)
    assert values[:3].tolist() == [0.5, 3.0, 1.0]
    assert math.isnan(values[3])


@pytest.mark.parametrize("cells", [1 << 18, 20])
def test_diversity_equals_the_mean_over_pairs(cells, monkeypatch):
    monkeypatch.setattr(beyond_accuracy, "_CELLS", cells)
    rng = np.random.default_rng(1)
    genres = (rng.random((30, 6)) < 0.3).astype(float)
    genres[7] = 0  # a movie without genres: far from all, itself included
    ranked = np.stack([rng.permutation(30)[:6] for _ in range(20)])
    ranked[0, 2:], ranked[1, 1:] = -1, -1

    def by_pairs(movies):
        distances = []
        for i in range(len(movies)):
            for j in range(i):
                a, b = genres[movies[i]], genres[movies[j]]
                size = np.linalg.norm(a) * np.linalg.norm(b)
                distances.append(1 - (a @ b / size if size else 0.0))
        return np.mean(distances) if distances else math.nan

    expected = [by_pairs([m for m in movies if m >= 0]) for movies in ranked]
    assert beyond_accuracy.intra_list_diversity(ranked, genres) == pytest.approx(expected, nan_ok=True)


def test_tail_share_ignores_padding():
    shares = beyond_accuracy.tail_share(np.array([[0, 3, 4, -1]]), np.array([0, 1, 1, 2, 2]))
    assert shares.tolist() == [pytest.approx(2 / 3)]


def test_group_recall_by_hand():
    cold = np.zeros(10, dtype=bool)
    cold[[3, 7]] = True  # Ann likes both and is shown 3; Bo likes none of them
    values = beyond_accuracy.group_recall(RANKED, HITS, INDPTR, RELEVANT, cold)
    assert values[0] == 0.5
    assert math.isnan(values[1])
