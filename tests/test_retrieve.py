"""The n largest, and the exact index over it, against a full stable sort in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError, TastevecError
from recommender.linalg.top_n import top_n
from recommender.retrieve.exact import ExactIndex


def by_sorting(scores: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


@pytest.mark.parametrize("width", [1, 2, 5, 63, 64, 65, 1000, 4099])
@pytest.mark.parametrize("n", [0, 1, 2, 10, 100, 5000])
def test_top_n_is_a_full_stable_sort_cut_off(width: int, n: int) -> None:
    rng = np.random.default_rng(width + n)
    scores = rng.standard_normal((7, width)).astype(np.float32)
    scores[1] = np.round(scores[1])  # many ties
    scores[2] = 3.0  # nothing but ties
    scores[3] = -np.inf
    scores[4, rng.random(width) < 0.9] = -np.inf
    scores[5] = np.sort(scores[5])  # the best in the part that fills no block
    scores[6] = np.inf
    np.testing.assert_array_equal(top_n(scores, n), by_sorting(scores, n))


def test_top_n_of_no_lines_and_of_no_columns() -> None:
    assert top_n(np.empty((0, 9), dtype=np.float32), 3).shape == (0, 3)
    assert top_n(np.empty((2, 0), dtype=np.float32), 3).shape == (2, 0)


def vectors(n: int = 500, dim: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(0, 1, (n, 1))  # unequal, so that the two metrics disagree
    return (rng.standard_normal((n, dim)) * lengths).astype(np.float32)


def truth(stored: np.ndarray, queries: np.ndarray, metric: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    V, Q = stored.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        V, Q = V / np.linalg.norm(V, axis=1, keepdims=True), Q / np.linalg.norm(Q, axis=1, keepdims=True)
    similarities = Q @ V.T
    rows = by_sorting(similarities, k)
    return rows, np.take_along_axis(similarities, rows, axis=1)


@pytest.mark.parametrize("metric", ["inner", "cosine"])
def test_search_after_build_add_save_and_load(metric: str, tmp_path: Path) -> None:
    stored, queries = vectors(), vectors(20, seed=1)
    index = ExactIndex(stored[:300], metric)
    index.add(stored[300:])
    assert len(index) == 500
    index.save(tmp_path / "index")
    wanted_rows, wanted = truth(stored, queries, metric, 10)
    for each in (ExactIndex(stored, metric), index, ExactIndex.load(tmp_path / "index")):
        rows, similarities = each.search(queries, 10)
        np.testing.assert_array_equal(rows, wanted_rows)
        np.testing.assert_allclose(similarities, wanted, rtol=1e-5, atol=1e-5)
        assert (rows.dtype, similarities.dtype) == (np.int64, np.float32)


def test_metrics_disagree_on_vectors_of_unequal_length() -> None:
    stored, queries = vectors(), vectors(20, seed=1)
    assert (
        ExactIndex(stored, "inner").search(queries, 10)[0] != ExactIndex(stored, "cosine").search(queries, 10)[0]
    ).any()


def test_a_batch_is_its_queries_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = vectors(9, seed=1)
    index = ExactIndex(vectors())
    rows, similarities = index.search(queries, 5)
    monkeypatch.setattr("recommender.retrieve.exact.BLOCK_CELLS", 1000)  # two queries at a time
    np.testing.assert_array_equal(index.search(queries, 5)[0], rows)
    for line, query in enumerate(queries):
        single_rows, single = index.search(query[None], 5)
        np.testing.assert_array_equal(single_rows[0], rows[line])
        np.testing.assert_allclose(single[0], similarities[line], rtol=1e-6)


def test_equal_similarities_come_by_row() -> None:
    index = ExactIndex(np.ones((100, 3)))
    assert index.search(np.ones((1, 3)), 4)[0].tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(("n_kept", "k"), [(500, 600), (3, 5), (0, 2), (1, 1)])
def test_fewer_rows_than_asked_for_end_in_minus_one(n_kept: int, k: int) -> None:
    keep = np.zeros(500, dtype=bool)
    keep[np.random.default_rng(0).permutation(500)[:n_kept]] = True
    rows, similarities = ExactIndex(vectors()).search(vectors(2, seed=1), k, keep)
    assert rows.shape == similarities.shape == (2, k)
    found = min(n_kept, k)
    assert keep[rows[:, :found]].all()
    assert (rows[:, found:] == -1).all()
    assert np.isneginf(similarities[:, found:]).all()
    assert np.isfinite(similarities[:, :found]).all()


def test_a_filter_gives_the_best_of_what_it_keeps() -> None:
    stored, queries = vectors(), vectors(4, seed=1)
    keep = np.arange(500) % 3 == 0
    rows, _ = ExactIndex(stored).search(queries, 6, keep)
    np.testing.assert_array_equal(rows, 3 * truth(stored[::3], queries, "inner", 6)[0])


def test_zero_vectors_under_cosine_are_similar_to_nothing() -> None:
    rows, similarities = ExactIndex(np.array([[0.0, 0.0], [-1.0, 0.0]]), "cosine").search([[2.0, 0.0], [0.0, 0.0]], 2)
    assert rows.tolist() == [[0, 1], [0, 1]]
    assert similarities.tolist() == [[0.0, -1.0], [0.0, 0.0]]


def test_an_empty_index_finds_nothing_and_can_grow() -> None:
    index = ExactIndex(np.empty((0, 3)))
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[-1, -1]]
    index.add(np.ones((1, 3)))
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[0, -1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.search(np.ones((1, 8)), 0), "k = 0: ask for at least one row"),
        (lambda index: index.search(np.ones(8), 1), r"queries of shape \(8,\): give \(number, 8\)"),
        (lambda index: index.search(np.ones((1, 7)), 1), r"queries of shape \(1, 7\): give \(number, 8\)"),
        (lambda index: index.search(np.full((1, 8), np.nan), 1), "queries hold values that are not numbers"),
        (lambda index: index.search(np.ones((1, 8)), 1, np.ones(3, dtype=bool)), "one True or False for each of 500"),
        (lambda index: index.search(np.ones((1, 8)), 1, np.ones(500)), "one True or False for each of 500"),
        (lambda index: index.add(np.ones((2, 9))), r"vectors of shape \(2, 9\): give \(number, 8\)"),
        (lambda index: ExactIndex(np.ones((2, 2)), "l2"), "metric 'l2' is not one of inner, cosine"),
        (lambda index: ExactIndex(np.ones(3)), r"vectors of shape \(3,\)"),
    ],
)
def test_wrong_calls_say_what_to_give(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ChoiceError, match=message):
        call(ExactIndex(vectors()))


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    ExactIndex(vectors()).save(tmp_path)
    path = tmp_path / "vectors.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"vectors\.npy is damaged"):
        ExactIndex.load(tmp_path)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"vectors\.npy is missing"):
        ExactIndex.load(tmp_path)
    with pytest.raises(TastevecError, match="no exact_index artifact"):
        ExactIndex.load(tmp_path / "elsewhere")
