"""Metrics by hand and against ir-measures (a development dependency); intervals against theory and their definition."""

import itertools
import math

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.evaluate import metrics
from recommender.evaluate.significance import bootstrap, bootstrap_ratios, compare, holm, resampled_means

LOG3, LOG5 = math.log2(3), math.log2(5)

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


def test_accuracy_by_hand():
    by_k = {2: {"ndcg": 1 / (1 + 1 / LOG3)}, 4: {"ndcg": 1.5 / (1.5 + 1 / LOG3 + 1 / LOG5), "mrr": 1.0}}
    by_k[3] = {"ndcg": 1.5 / (1.5 + 1 / LOG3), "recall": 2 / 4, "capped_recall": 2 / 3, "precision": 2 / 3}
    by_k[3] |= {"map": (1 + 2 / 3) / 4, "capped_map": (1 + 2 / 3) / 3, "hit_rate": 1.0}
    for k, expected in by_k.items():
        for name, ann in expected.items():
            assert metrics.accuracy(HITS, N_RELEVANT, k)[name] == pytest.approx([ann, 0.0]), (name, k)
    one = metrics.accuracy(HITS[:1, :3] & [True, False, False], np.array([1]), 3)
    for name in ("capped_recall", "ndcg", "capped_map"):  # the ideal is over the movies that exist, not over k
        assert one[name] == pytest.approx([1.0]), name
    hits = np.array([[False, True, True], [False, False, True]])
    for k, places in ((3, [1 / 2, 1 / 3]), (2, [1 / 2, 0])):
        assert metrics.accuracy(hits, np.array([2, 1]), k)["mrr"] == pytest.approx(places)
    nothing = metrics.accuracy(np.zeros((1, 5), dtype=bool), np.array([0]), 5)  # undefined, not zero
    undefined = {name for name, value in nothing.items() if math.isnan(value[0])}
    assert undefined == {"ndcg", "recall", "capped_recall", "map", "capped_map"}


def test_rating_errors_by_hand_and_what_has_another_shape_is_refused():
    assert metrics.rmse([1, 2, 3], [1, 4, 3.5]) == pytest.approx(math.sqrt((4 + 0.25) / 3))
    assert metrics.mae([1, 2, 3], [1, 4, 3.5]) == pytest.approx(2.5 / 3)
    for wrong in ((np.zeros((3, 1)), np.zeros(3)), ([], [])):  # the first would broadcast to (3, 3)
        with pytest.raises(DataError):
            metrics.rmse(*wrong)
    for k in (0, 5):  # a list that is too short is not cut
        with pytest.raises(ChoiceError, match=f"{k}"):
            metrics.accuracy(HITS, N_RELEVANT, k)
    with pytest.raises(DataError, match="one count for each list"):
        metrics.accuracy(HITS, np.array([4]), 3)


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
    x = np.array([(ranked == movie).sum() for movie in range(20)], dtype=float)
    differences = np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) ** 2 * x.mean())
    expected = {"coverage": len(set(ranked.ravel()) - {-1}) / 20, "gini": differences}
    assert metrics.exposure(ranked, 20) == pytest.approx(expected)


def test_novelty_and_means_over_lists_by_hand():
    ranked = np.array([[0, 1], [2, 3], [1, -1], [-1, -1]])
    values = metrics.novelty(ranked, np.array([8, 4, 1, 0]), n_users=8)
    assert values == pytest.approx([0.5, 3.0, 1.0, math.nan], nan_ok=True)
    assert metrics.mean_over_list(np.array([[0, 3, 4, -1]]), np.arange(5) > 2) == pytest.approx([2 / 3])


@pytest.mark.parametrize("cells", [1 << 18, 20])
def test_diversity_equals_the_mean_over_pairs(cells, monkeypatch):
    monkeypatch.setattr(metrics, "_CELLS", cells)
    rng = np.random.default_rng(1)
    genres = (rng.random((30, 6)) < 0.3).astype(float)
    genres[7] = 0  # a movie without genres: far from all, itself included
    ranked = np.stack([rng.permutation(30)[:6] for _ in range(20)])
    ranked[0, 2:], ranked[1, 1:] = -1, -1
    unit = genres / np.maximum(np.linalg.norm(genres, axis=1, keepdims=True), 1e-9)
    pairs = [[1 - unit[a] @ unit[b] for a, b in itertools.combinations(row[row >= 0], 2)] for row in ranked]
    expected = [np.mean(distances) if distances else math.nan for distances in pairs]
    assert metrics.intra_list_diversity(ranked, genres) == pytest.approx(expected, nan_ok=True)


def test_resampling_in_blocks_changes_nothing(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    whole = resampled_means(values, 40, np.random.default_rng(2))
    monkeypatch.setattr("recommender.evaluate.significance._BLOCK", 50 * 7)
    assert np.allclose(resampled_means(values, 40, np.random.default_rng(2)), whole, atol=1e-15)


def test_p_values_of_pairs_and_where_nothing_differs():
    rng = np.random.default_rng(7)
    people = rng.normal(0, 1, 500)[:, None]
    ours = people + 0.1 + rng.normal(0, 0.05, (500, 1))
    (found,) = bootstrap(ours - people, 1000, np.random.default_rng(8))
    assert found.high - found.low < 0.02  # unpaired it would be about 0.25
    assert found.p_value == pytest.approx(2 / 1001)
    assert bootstrap(people - people, 100, rng)[0][:4] == (0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(10)
    p_values = [line.p_value for line in bootstrap(rng.normal(0, 1, (100, 300)), 1000, rng)]
    for level in (0.1, 0.5, 0.9):  # uniform
        deviation = np.sqrt(level * (1 - level) / 300)
        assert np.mean(np.array(p_values) < level) == pytest.approx(level, abs=4 * deviation + 0.02)


def test_intervals_of_means_and_of_ratios_against_their_definition():
    rng = np.random.default_rng(0)
    theirs = rng.random((200, 2)) * [1, 10]
    ours = 1 + rng.random((200, 2))
    # A 2.5% quantile of R draws has standard error 2.67 / sqrt(R) deviations; two independent draws are compared.
    tolerance = 5 * np.sqrt(2) * 2.67 / np.sqrt(4000)
    for column, found in zip(theirs.T, bootstrap(theirs, 4000, np.random.default_rng(1))):
        error = column.std() / np.sqrt(200)
        expected = column.mean() + 1.96 * error * np.array([-1, 1])
        assert found.value == pytest.approx(column.mean())
        assert [found.low, found.high] == pytest.approx(expected, abs=tolerance * error)
    double = bootstrap_ratios(2 * theirs, theirs, 500, np.random.default_rng(1))
    assert [list(ratio[:3]) for ratio in double] == [pytest.approx([2, 2, 2])] * 2  # paired: nothing is left to vary
    found = bootstrap_ratios(ours, theirs, 4000, np.random.default_rng(1))[1]
    draws = np.random.default_rng(2).integers(0, 200, (4000, 200))
    plain = ours[draws, 1].mean(axis=1) / theirs[draws, 1].mean(axis=1)
    assert found.value == pytest.approx(ours[:, 1].mean() / theirs[:, 1].mean())
    quantiles = np.quantile(plain, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(quantiles, abs=tolerance * plain.std())
    assert bootstrap_ratios(ours, 0 * theirs, 50, rng)[0].value == np.inf


def test_comparison_corrects_within_a_metric_and_draws_once():
    rng = np.random.default_rng(0)
    shifts = {"a": 0.0, "b": 0.02, "c": 1.0}
    values = {name: {"ndcg@5": rng.random(50) + x, "recall@5": np.full(50, x)} for name, x in shifts.items()}
    found = compare(values, "a", ["ndcg@5"], 500, np.random.default_rng(0))
    b, c = found.values()
    assert list(found) == [("b", "ndcg@5"), ("c", "ndcg@5")]
    assert c.corrected_p == pytest.approx(2 * c.p_value)
    assert b.corrected_p == pytest.approx(max(b.p_value, c.corrected_p))
    two = compare(values, "a", ["ndcg@5", "recall@5"], 500, np.random.default_rng(0))
    assert list(two.values())[:2] == [b, c]  # the same draws of people
    assert [two[name, "recall@5"].value for name in "bc"] == pytest.approx([0.02, 1.0])
    assert all(line.value < 0 for line in compare(values, "c", ["ndcg@5"], 500, np.random.default_rng(0)).values())
    # by hand: 3, 2, 2 and 4 times; .04 -> .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (list(holm([0.9, 0.8])), list(holm([]))) == ([1.0, 1.0], [])


@pytest.mark.parametrize(
    ("values", "n", "message"),
    [([[np.nan]], 10, "nan"), (np.empty((0, 1)), 10, "0 units"), ([[1.0], [2.0]], 0, "0 resamples")],
)
def test_what_cannot_be_resampled_is_refused(values, n, message):
    with pytest.raises(DataError, match=message):
        bootstrap(np.array(values), n, np.random.default_rng(0))
