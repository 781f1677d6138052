"""Batches, drawn negatives and how often a movie turns up: counted against what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.learn.two_tower.samplers import NegativeSampler, log_frequencies, shuffled_batches


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (9, 3), (1, 4), (0, 4)])
def test_batches_hold_every_row_once(n: int, batch: int) -> None:
    batches = list(shuffled_batches(n, batch, np.random.default_rng(0)))
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(n))
    assert all(len(rows) == batch for rows in batches[:-1])
    again = list(shuffled_batches(n, batch, np.random.default_rng(0)))
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in batches]


def test_every_place_is_as_likely() -> None:
    """Row 0 falls into the first of four batches in a quarter of 2000 shuffles: 500, standard deviation 19."""
    rng = np.random.default_rng(1)
    hits = sum(0 in next(iter(shuffled_batches(8, 2, rng))) for _ in range(2000))
    assert abs(hits - 500) < 4 * 19.4


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_negatives_come_as_often_as_their_chances_say(power: float) -> None:
    counts = np.array([0, 3, 99, 15])
    sampler = NegativeSampler(counts, power)
    expected = (counts + 1.0) ** power / ((counts + 1.0) ** power).sum()
    np.testing.assert_allclose(sampler.chances, expected)
    n = 40_000
    found = np.bincount(sampler.draw(n, np.random.default_rng(2)), minlength=4)
    deviation = np.sqrt(n * expected * (1 - expected))
    assert (np.abs(found - n * expected) < 4.5 * deviation).all()


def test_log_frequency_is_the_mean_number_in_a_batch() -> None:
    """Batches of 5 of 20 examples, and 3 negatives beside them: 4000 batches counted."""
    rng = np.random.default_rng(3)
    examples = np.repeat([0, 1, 2], [12, 6, 2])  # movie 3 has none
    sampler = NegativeSampler(np.bincount(examples, minlength=4), 0.5)
    q = np.exp(log_frequencies(np.bincount(examples, minlength=4), 5, 3, sampler.chances))
    found = np.zeros(4)
    for _ in range(1000):
        for rows in shuffled_batches(20, 5, rng):
            found += np.bincount(examples[rows], minlength=4) + np.bincount(sampler.draw(3, rng), minlength=4)
    np.testing.assert_allclose(found / 4000, q, rtol=0.1)


def test_a_movie_that_cannot_turn_up_has_a_finite_value_and_no_examples_are_refused() -> None:
    assert np.exp(log_frequencies([2, 0, 1], 3)).tolist() == pytest.approx([2, 1, 1])
    with pytest.raises(DataError, match="no examples"):
        log_frequencies([0, 0], 3)
