"""The n largest, and the contract of every index, against a full stable sort in float64; of an approximate index only
its promised recall is asked where neighbors are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError, SettingsError
from recommender.linalg.rows import top_n
from recommender.retrieve import INDEXES, HnswIndex, VectorIndex, choose


class FromCandidates(VectorIndex):
    """What an index inherits that names candidates: here those of the largest products, in descending order of rows."""

    name = "candidates"

    def _build(self, first):
        self.arrays["rows"] = np.arange(len(self))

    def _near(self, queries, k):
        best = np.argsort(-(queries @ self.vectors[self.arrays["rows"]].T), axis=1, kind="stable")[:, :k]
        return np.sort(best, axis=1)[:, ::-1]


@pytest.fixture(params=[*INDEXES.values(), FromCandidates], ids=lambda index: index.name)
def build(request):
    return request.param


def by_sorting(scores: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


@pytest.mark.parametrize("width", [0, 1, 5, 63, 64, 65, 4099])
def test_top_n_is_a_full_stable_sort_cut_off(width):
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


def vectors(n: int = 500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)  # unequal lengths, so that the two metrics disagree
    return (rng.standard_normal((n, 8)) * rng.lognormal(0, 1, (n, 1))).astype(np.float32)


def truth(stored: np.ndarray, queries: np.ndarray, metric: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the k nearest, (B, k), and all similarities (B, n)."""
    V, Q = stored.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        V, Q = V / np.linalg.norm(V, axis=1, keepdims=True), Q / np.linalg.norm(Q, axis=1, keepdims=True)
    similarities = Q @ V.T
    return by_sorting(similarities, k), similarities


def check(recall: float, rows: np.ndarray, wanted: np.ndarray) -> None:
    """Compare neighbors (B, k) with the true ones."""
    if recall == 1:
        np.testing.assert_array_equal(rows, wanted)
    found = [len(set(some) & set(true)) for some, true in zip(rows.tolist(), wanted.tolist())]
    assert np.mean(found) >= recall * wanted.shape[1]


@pytest.mark.parametrize("metric", ["inner", "cosine"])
def test_search_after_build_add_save_and_load(build, metric, tmp_path, monkeypatch):
    stored, queries = vectors(), vectors(20, seed=1)
    index = build(stored[:300], metric)
    index.add(stored[300:])
    index.save(tmp_path / "index")
    wanted_rows = truth(stored, queries, metric, 10)[0]
    monkeypatch.setattr("recommender.retrieve.exact.LEAST_TILE", 64)
    monkeypatch.setattr("recommender.retrieve.exact.MOST_TILE", 64)
    for each in (build(stored, metric), index, loaded := type(index).load(tmp_path / "index")):
        rows, similarities = each.search(queries, 10)
        check(build.recall, rows, wanted_rows)
        near = np.take_along_axis(truth(stored, queries, metric, 500)[1], rows, axis=1)
        np.testing.assert_allclose(similarities, near, rtol=1e-5, atol=1e-5)
        assert (np.diff(similarities) <= 0).all()
        assert (rows.dtype, similarities.dtype) == (np.int64, np.float32)
        np.testing.assert_array_equal(each.search(queries[3:4], 10)[0], rows[3:4])  # one by one as in a batch
    for before, after in zip(index.search(queries, 10), loaded.search(queries, 10)):
        np.testing.assert_array_equal(before, after)
    assert (len(loaded), loaded.settings) == (500, index.settings)


@pytest.mark.parametrize(("n_kept", "k"), [(500, 600), (3, 5), (0, 2), (1, 1), (167, 6)])
def test_a_filter_gives_the_best_of_what_it_keeps_and_then_minus_one(build, n_kept, k):
    stored, queries = vectors(), vectors(2, seed=1)
    kept = np.sort(np.random.default_rng(0).permutation(500)[:n_kept])
    rows, similarities = build(stored).search(queries, k, np.isin(np.arange(500), kept))
    found = min(n_kept, k)
    assert rows.shape == similarities.shape == (2, k)
    assert np.isin(rows, [-1, *kept]).all()
    if build.recall == 1 or n_kept > k:
        check(build.recall, rows[:, :found], kept[truth(stored[kept], queries, "inner", found)[0]])
    assert (rows[:, found:] == -1).all()
    assert (np.isneginf(similarities) == (rows == -1)).all()


def test_ties_zero_vectors_and_an_empty_index(build, tmp_path):
    if build.recall == 1:
        assert build(np.ones((100, 3))).search(np.ones((1, 3)), 4)[0].tolist() == [[0, 1, 2, 3]]
    # under cosine, a zero vector is similar to nothing
    rows, similarities = build(np.array([[0.0, 0.0], [-1.0, 0.0]]), "cosine").search([[2.0, 0.0], [0.0, 0.0]], 2)
    assert rows.tolist() == [[0, 1], [0, 1]]
    assert similarities.tolist() == [[0.0, -1.0], [0.0, 0.0]]
    build(np.empty((0, 3))).save(tmp_path)
    index = build.load(tmp_path)
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[-1, -1]]
    index.add(np.ones((1, 3)))
    assert index.search(np.ones((1, 3)), 2)[0].tolist() == [[0, -1]]


def test_wrong_calls_and_damaged_files_are_refused(build, tmp_path):
    index, query = build(vectors()), vectors(1, seed=1)
    for message, call in (
        (r"vectors of shape .*: give \(number, 8\)", lambda: index.search(np.ones((1, 7)), 1)),
        (r"vectors of shape .*: give \(number, 8\)", lambda: index.add(np.ones(8))),
        ("NaN", lambda: index.search([[np.nan] * 8], 1)),
        ("NaN", lambda: index.add([[np.inf] * 8])),
        ("NaN", lambda: build([[np.nan]])),
        (r"keep of shape \(3,\), bool: give \(500,\)", lambda: index.search(query, 5, np.ones(3, bool))),
        (r"int64: give .*bool", lambda: index.search(query, 5, np.arange(500) % 2)),
        ("k", lambda: index.search(query, 0)),
    ):
        with pytest.raises(ChoiceError, match=message):
            call()
    with pytest.raises(SettingsError, match="'l2' is not one of inner, cosine"):
        build([[1.0]], "l2")
    with pytest.raises(ArtifactError, match="artifact in"):
        type(index).load(tmp_path / "elsewhere")
    index.save(tmp_path)
    for file in tmp_path.glob("*.np*"):
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with pytest.raises(ArtifactError, match=f"{file.name} is damaged"):
            type(index).load(tmp_path)


def test_one_query_is_a_batch_of_one_and_the_vectors_of_the_caller_may_change_afterwards(build):
    stored = vectors()
    index = build(given := stored.copy())
    given[:] = 0
    for one, batch in zip(index.search(stored[0], 5), build(stored).search(stored[:1], 5)):
        np.testing.assert_array_equal(one, batch[0])
    every_other = (np.arange(500) % 2 == 1).tolist()
    assert (index.search(stored[:1], 5, every_other)[0] % 2 == 1).all()


def recall_of(index: VectorIndex, stored: np.ndarray, queries: np.ndarray) -> float:
    wanted = truth(stored, queries, "inner", 20)[0].tolist()
    return float(np.mean([len({*a} & {*b}) / 20 for a, b in zip(index.search(queries, 20)[0].tolist(), wanted)]))


def test_hnsw_keeps_its_recall_on_vectors_of_unequal_length_and_clusters_that_come_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    stored = (rng.standard_normal((4000, 32)) * rng.lognormal(0, 1, (4000, 1))).astype(np.float32)
    queries = rng.standard_normal((50, 32)).astype(np.float32)
    assert recall_of(HnswIndex(stored), stored, queries) >= HnswIndex.recall
    with monkeypatch.context() as patch:
        patch.setattr("recommender.retrieve.hnsw.SHARE", 1.0)  # all of them reduced to angles
        assert recall_of(HnswIndex(stored), stored, queries) < 0.8
    centers = rng.standard_normal((20, 64))
    stored = (np.repeat(centers, 400, 0) + 0.02 * rng.standard_normal((8000, 64))).astype(np.float32)
    queries = (centers[rng.integers(0, 20, 100)] + 0.02 * rng.standard_normal((100, 64))).astype(np.float32)
    assert recall_of(HnswIndex(stored), stored, queries) >= HnswIndex.recall


def test_hnsw_after_load_searches_as_wide_as_before_and_takes_more_and_longer_vectors(tmp_path):
    rng = np.random.default_rng(1)
    stored, queries = rng.standard_normal((3000, 16)).astype(np.float32), rng.standard_normal((50, 16))
    HnswIndex(stored[:2000]).save(tmp_path)
    loaded = HnswIndex.load(tmp_path)
    assert recall_of(loaded, stored[:2000], queries) >= HnswIndex.recall  # hnswlib itself would search with ef = 10
    stored = np.concatenate((stored, 100 * stored[:1]))
    loaded.add(stored[2000:])  # more than it had room for
    assert recall_of(loaded, stored, queries) >= HnswIndex.recall
    assert recall_of(HnswIndex(stored, ef=1, M=3, ef_construction=3), stored, queries) < 0.8  # every setting matters


def test_the_choice_goes_by_size():
    assert (choose(200_000)[0], choose(200_001)[0]) == ("exact", "hnsw")
    assert "200,001" in choose(200_001)[1]


def test_without_hnswlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ChoiceError, match=r"tastevec\[ann\]"):
        HnswIndex(vectors())
