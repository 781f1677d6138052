"""Ratings as rows: built in any order, selected, joined, graded, stored, weighted."""

from pathlib import Path

import numpy as np
import pytest

from recommender.data import interactions, weighting
from recommender.data.errors import ArtifactError, DataError
from recommender.data.interactions import Interactions, concat, encode, grades
from recommender.data.weighting import popularity_tiers


def random_columns(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return users, movies, ratings and times, many of which are equal, of different pairs in no order."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(12 * 9)[:60]
    return pairs // 9 * 10, pairs % 9 + 5, rng.integers(1, 11, 60) / 2, rng.integers(0, 7, 60)


def as_rows(data: Interactions) -> list[tuple[float, ...]]:
    users, movies = data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows]
    return list(zip(users.tolist(), movies.tolist(), data.ratings.tolist(), data.times.tolist()))


# one key; keys too long; ids too large for a table
@pytest.mark.parametrize(("start", "id_step", "block"), [(0, 1, 1 << 19), (0, 1, 16), (10**12, 1, 16), (0, 10**9, 16)])
def test_the_order_is_user_then_time_then_movie(monkeypatch: pytest.MonkeyPatch, start: int, id_step: int, block: int):
    monkeypatch.setattr(interactions, "_SORT_BLOCK", block)
    rng = np.random.default_rng(1)
    users, movies = rng.integers(0, 40, 3000) * id_step, rng.integers(0, 60, 3000) * id_step
    times, values = rng.integers(0, 50, 3000) * (10**16 if start else 1) + start, rng.integers(1, 11, 3000) / 2
    data = Interactions.from_columns(users, movies, values, times)
    order = [i for *_, i in sorted(zip(users.tolist(), times.tolist(), movies.tolist(), range(3000)))]
    wanted = zip(*(column[order].tolist() for column in (users, movies, values, times)))
    assert as_rows(data) == list(wanted)
    assert data.movie_rows.dtype == np.int32
    assert data.movie_counts().tolist() == [int((movies == movie).sum()) for movie in data.movie_ids]
    means = [values[movies == movie].mean() for movie in data.movie_ids]
    np.testing.assert_allclose(data.movie_means(), means, rtol=1e-6)


def test_selected_rows_are_those_of_each_user() -> None:
    data = Interactions.from_columns(*random_columns())
    wanted = np.array([3, 0, 3, 7])
    picked = data.select(wanted)
    assert picked.user_ids.tolist() == data.user_ids[wanted].tolist()
    assert picked.movie_ids is data.movie_ids
    for row, user in enumerate(wanted.tolist()):
        for name in ("movie_rows", "ratings", "times"):
            assert getattr(picked, name)[picked.row(row)].tolist() == getattr(data, name)[data.row(user)].tolist()
    assert data.select(np.array([], dtype=np.int64)).n_ratings == 0


def test_parts_put_together_are_the_whole() -> None:
    data = Interactions.from_columns(*random_columns())
    part = np.random.default_rng(1).integers(3, size=data.n_ratings)
    whole = concat(*(data.take(part == i) for i in (2, 0, 1)))
    for name in ("user_ids", "movie_ids", "indptr", "movie_rows", "ratings", "times"):
        assert repr(getattr(whole, name)) == repr(getattr(data, name))  # with their dtypes
    with pytest.raises(DataError, match="different users or movies"):
        concat(data, Interactions.from_columns([10], [5], [4.0], [0]))


@pytest.mark.parametrize("offset", [0, -50, 10**12])  # ids in a table, negative ones, ones beyond any table
def test_ids_are_found_in_a_table_and_by_search(offset: int) -> None:
    ids = np.array([7, 3, 7, 90]) + offset
    vocabulary, rows = encode(ids)
    assert (vocabulary - offset).tolist() == [3, 7, 90]
    assert rows.tolist() == [1, 0, 1, 2]
    assert encode(ids, np.array([1, 3, 7, 90, 99]) + offset)[1].tolist() == [2, 1, 2, 3]
    for lacking in ([1, 3, 7], [7, 90]):
        with pytest.raises(DataError, match=f"user id {({90, 3} - set(lacking)).pop() + offset} is not in"):
            encode(ids, np.array(lacking) + offset, "user")


def test_stored_ratings_are_read_back_or_refused(tmp_path: Path) -> None:
    data, path = Interactions.from_columns(*random_columns()), tmp_path / "history_times.npy"
    data.save(tmp_path)
    assert as_rows(Interactions.load(tmp_path)) == as_rows(data)
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole.replace(b"i8", b"f8", 1), b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            Interactions.load(tmp_path)
    with pytest.raises(DataError, match="columns of shapes"):
        Interactions.from_columns([1, 2], [1], [4], [0])


def test_weighting_by_hand() -> None:
    columns = [1, 1, 2], [10, 20, 10], [4, 2, 5], [0, 86_400 * 365, 0]
    train = Interactions.from_columns(*columns, user_vocabulary=np.array([1, 2, 3]))
    means, overall = weighting.user_means(train)
    assert [*means, overall] == pytest.approx([3, 5, 11 / 3, 11 / 3])
    weights = weighting.pop_weight(train.movie_counts())
    final = weighting.final_rating(train, means, weights, 86_400 * 365, 365.0)
    given = grades(np.array([0.5, 2.5, 3, 3.5, 4, 5], dtype=np.float32), neutral=0.5, disliked=0.25)
    assert given.tolist() == [0.25, 0.25, 0.5, 0.5, 1, 1]
    assert given.dtype == final.dtype == np.float32
    assert final == pytest.approx([1 * 0.5**0.5 * 0.5, -1.0, 0.0])


def test_sizes_of_the_tiers() -> None:
    for n, sizes in ((1, [1, 0, 0]), (2, [1, 0, 1]), (30, [3, 12, 15]), (3650, [365, 1460, 1825])):
        counts = np.random.default_rng(n).integers(0, 50, n)
        tiers = popularity_tiers(counts)
        assert np.bincount(tiers, minlength=3).tolist() == sizes
        assert sorted(counts, reverse=True) == [c for t in range(3) for c in sorted(counts[tiers == t], reverse=True)]
