"""Intervals against theory and against their definition; Holm's correction by hand."""

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.evaluate.significance import bootstrap, bootstrap_ratios, compare, holm, resampled_means


def test_resampling_in_blocks_changes_nothing(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    whole = resampled_means(values, 40, np.random.default_rng(2))
    monkeypatch.setattr("recommender.evaluate.significance._BLOCK", 50 * 7)
    assert np.allclose(resampled_means(values, 40, np.random.default_rng(2)), whole, atol=1e-15)


def test_pairing_makes_the_interval_narrow():
    rng = np.random.default_rng(7)
    people = rng.normal(0, 1, 500)[:, None]
    ours = people + 0.1 + rng.normal(0, 0.05, (500, 1))
    (found,) = bootstrap(ours - people, 1000, np.random.default_rng(8))
    assert found.high - found.low < 0.02  # unpaired it would be about 0.25
    assert found.p_value == pytest.approx(2 / 1001)
    assert bootstrap(people - people, 100, rng)[0][:4] == (0.0, 0.0, 0.0, 1.0)


def test_p_value_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(10)
    differences = rng.normal(0, 1, (100, 300))
    p_values = [line.p_value for line in bootstrap(differences, 1000, rng)]
    for level in (0.1, 0.5, 0.9):
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
        assert found.value == pytest.approx(column.mean())
        assert found.low == pytest.approx(found.value - 1.96 * error, abs=tolerance * error)
        assert found.high == pytest.approx(found.value + 1.96 * error, abs=tolerance * error)
    double = bootstrap_ratios(2 * theirs, theirs, 500, np.random.default_rng(1))
    assert [list(ratio[:3]) for ratio in double] == [pytest.approx([2, 2, 2])] * 2  # paired: nothing is left to vary
    found = bootstrap_ratios(ours, theirs, 4000, np.random.default_rng(1))[1]
    draws = np.random.default_rng(2).integers(0, 200, (4000, 200))
    plain = ours[draws, 1].mean(axis=1) / theirs[draws, 1].mean(axis=1)
    assert found.value == pytest.approx(ours[:, 1].mean() / theirs[:, 1].mean())
    assert found.low == pytest.approx(np.quantile(plain, 0.025), abs=tolerance * plain.std())
    assert found.high == pytest.approx(np.quantile(plain, 0.975), abs=tolerance * plain.std())
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
    assert compare(values, "a", ["ndcg@5"], 500, np.random.default_rng(1)) != found


@pytest.mark.parametrize(
    ("values", "n", "message"),
    [([[np.nan]], 10, "nan"), (np.empty((0, 1)), 10, "0 units"), ([[1.0], [2.0]], 0, "0 resamples")],
)
def test_what_cannot_be_resampled_is_refused(values, n, message):
    with pytest.raises(DataError, match=message):
        bootstrap(np.array(values), n, np.random.default_rng(0))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # 3, 2, 2 and 4 times; .04 -> .06
    assert (list(holm([0.9, 0.8])), list(holm([]))) == ([1.0, 1.0], [])
