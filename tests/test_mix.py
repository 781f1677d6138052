"""Mixing what people rated with what they said, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.text.mix import mix, mix_people

X, Y = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
NONE = np.zeros((1, 2), np.float32)


def test_the_share_of_ratings_is_alpha_and_lengths_play_no_part() -> None:
    expected = np.array([0.7, 0.3]) / np.hypot(0.7, 0.3)
    np.testing.assert_allclose(mix(X * 9, Y * 0.01)[0], expected, atol=1e-6)
    np.testing.assert_allclose(mix(X, Y, 0.2)[0], np.array([0.2, 0.8]) / np.hypot(0.2, 0.8), atol=1e-6)
    assert mix(X, Y, 1).tolist() == X.tolist()
    assert mix(X, Y, 0).tolist() == Y.tolist()


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_one_side_missing_gives_the_other(alpha: float) -> None:
    assert mix(X * 3, NONE, alpha).tolist() == X.tolist()
    assert mix(NONE, Y * 3, alpha).tolist() == Y.tolist()
    assert mix(NONE, NONE, alpha).tolist() == NONE.tolist()


def test_people_are_joined_by_id_whatever_its_type() -> None:
    ratings = np.array([[1, 0], [0, 2], [1, 1]], np.float32)
    texts = np.array([[0, 4], [3, 0], [0, 0]], np.float32)
    mixed = mix_people(np.array([9, 10, 2]), ratings, ["10", "redial:5", "77"], texts, 0.7)
    assert mixed.ids == ["2", "9", "10", "redial:5"]  # nothing is known of 77
    assert mixed.origins == ["ratings", "ratings", "both", "text"]
    np.testing.assert_allclose(mixed.vectors, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 1], [1, 0]], atol=1e-6)
    turned = mix_people(np.array([9]), X, ["9"], Y, 0.7)
    np.testing.assert_allclose(turned.vectors, mix(X, Y, 0.7))
    empty = np.empty((0, 2), np.float32)
    assert mix_people([], empty, ["a"], Y).vectors.tolist() == Y.tolist()
    assert mix_people(["a"], X, [], np.empty((0, 0), np.float32)).vectors.tolist() == X.tolist()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="one backend"):
        mix(X, np.ones((1, 3), np.float32))
    with pytest.raises(DataError, match=r"alpha 1\.5"):
        mix(X, Y, 1.5)
    with pytest.raises(DataError, match="each person once"):
        mix_people(["a", "a"], np.ones((2, 2), np.float32), [], NONE[:0])
    with pytest.raises(DataError, match="widths 2 and 3"):
        mix_people(["a"], X, ["b"], np.ones((1, 3), np.float32))
