"""The n largest, and the contract of every index, against a full stable sort in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError
from recommender.linalg.top_n import top_n
from recommender.retrieve import INDEXES, VectorIndex

Build = Callable[..., VectorIndex]


@pytest.fixture(params=sorted(INDEXES))
def build(request: pytest.FixtureRequest) -> Build:
    return INDEXES[request.param]


def by_sorting(scores: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


@pytest.mark.parametrize("width", [0, 1, 2, 5, 63, 64, 65, 1000, 4099])
def test_top_n_is_a_full_stable_sort_cut_off(width: int) -> None:
    for n in (0, 1, 2, 10, 100, 5000):
        rng = np.random.default_rng(width + n)
        scores = rng.standard_normal((7, width)).astype(np.float32)
        scores[1] = np.round(scores[1])  # many ties
        scores[2] = 3.0  # nothing but ties
        scores[3] = -np.inf
        scores[4, rng.random(width) < 0.9] = -np.inf
        scores[5] = np.sort(scores[5])  # the best in the part that fills no block
        scores[6] = np.inf
        np.testing.assert_array_equal(top_n(scores, n), by_sorting(scores, n))
        assert top_n(scores[:0], n).shape == (0, min(n, width))


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
def test_search_after_build_add_save_and_load(build: Build, metric: str, tmp_path: Path) -> None:
    stored, queries = vectors(), vectors(20, seed=1)
    index = build(stored[:300], metric)
    index.add(stored[300:])
    index.save(tmp_path / "index")
    wanted_rows, wanted = truth(stored, queries, metric, 10)
    for each in (build(stored, metric), index, type(index).load(tmp_path / "index")):
        assert (len(each), each.dim, each.metric) == (500, 8, metric)
        rows, similarities = each.search(queries, 10)
        np.testing.assert_array_equal(rows, wanted_rows)
        np.testing.assert_allclose(similarities, wanted, rtol=1e-5, atol=1e-5)
        assert (rows.dtype, similarities.dtype) == (np.int64, np.float32)
    with pytest.raises(AssertionError):  # the metrics disagree on vectors of unequal length
        np.testing.assert_array_equal(
            wanted_rows, truth(stored, queries, {"inner": "cosine"}.get(metric, "inner"), 10)[0]
        )


def test_a_batch_is_its_queries_one_by_one(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = vectors(9, seed=1)
    index = build(vectors())
    rows, similarities = index.search(queries, 5)
    monkeypatch.setattr("recommender.retrieve.exact.BLOCK_CELLS", 1000)  # two queries at a time
    np.testing.assert_array_equal(index.search(queries, 5)[0], rows)
    for line, query in enumerate(queries):
        single_rows, single = index.search(query[None], 5)
        np.testing.assert_array_equal(single_rows[0], rows[line])
        np.testing.assert_allclose(single[0], similarities[line], rtol=1e-6)


@pytest.mark.parametrize(("n_kept", "k"), [(500, 600), (3, 5), (0, 2), (1, 1), (167, 6)])
def test_a_filter_gives_the_best_of_what_it_keeps_and_then_minus_one(build: Build, n_kept: int, k: int) -> None:
    stored, queries = vectors(), vectors(2, seed=1)
    kept = np.sort(np.random.default_rng(0).permutation(500)[:n_kept])
    keep = np.isin(np.arange(500), kept)
    rows, similarities = build(stored).search(queries, k, keep)
    assert rows.shape == similarities.shape == (2, k)
    found = min(n_kept, k)
    np.testing.assert_array_equal(rows[:, :found], kept[truth(stored[kept], queries, "inner", found)[0]])
    assert (rows[:, found:] == -1).all()
    assert np.isneginf(similarities[:, found:]).all()


def test_ties_zero_vectors_and_an_empty_index(build: Build) -> None:
    assert build(np.ones((100, 3))).search(np.ones((1, 3)), 4)[0].tolist() == [[0, 1, 2, 3]]
    # under cosine, a zero vector is similar to nothing
    rows, similarities = build(np.array([[0.0, 0.0], [-1.0, 0.0]]), "cosine").search([[2.0, 0.0], [0.0, 0.0]], 2)
    assert rows.tolist() == [[0, 1], [0, 1]]
    assert similarities.tolist() == [[0.0, -1.0], [0.0, 0.0]]
    index = build(np.empty((0, 3)))
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[-1, -1]]
    index.add(np.ones((1, 3)))
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[0, -1]]


WRONG: list[tuple[Callable[[VectorIndex], object], str]] = [
    (lambda index: index.search(np.ones((1, 7)), 1), r"vectors of shape \(1, 7\): give \(number, 8\)"),
    (lambda index: index.add(np.ones((2, 9))), r"vectors of shape \(2, 9\)"),
    (lambda index: type(index)(np.ones((2, 2)), "l2"), "metric 'l2' is not one of inner, cosine"),
    (lambda index: type(index)(np.ones(3)), r"vectors of shape \(3,\)"),
]


def test_wrong_calls_and_damaged_files_are_refused(build: Build, tmp_path: Path) -> None:
    index = build(vectors())
    for call, message in WRONG:
        with pytest.raises(ChoiceError, match=message):
            call(index)
    with pytest.raises(ArtifactError, match="artifact in"):
        type(index).load(tmp_path / "elsewhere")
    index.save(tmp_path)
    for file in tmp_path.glob("*.np*"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with pytest.raises(ArtifactError, match=f"{file.name} is damaged"):
            type(index).load(tmp_path)
