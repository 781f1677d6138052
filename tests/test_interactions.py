"""Ratings as rows: built in any order, selected, joined, graded, stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, DataError
from recommender.data.interactions import Interactions, concat, encode, grades


def random_columns(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return users, movies, ratings, times of different (user, movie) pairs in no order; many times are equal."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(12 * 9)[:60]
    return pairs // 9 * 10, pairs % 9 + 5, rng.integers(1, 11, 60) / 2, rng.integers(0, 7, 60)


def as_rows(data: Interactions) -> list[tuple[float, ...]]:
    """Return (user id, movie id, rating, time) of each rating, in the order that is stored."""
    users, movies = data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows]
    return list(zip(users.tolist(), movies.tolist(), data.ratings.tolist(), data.times.tolist()))


def test_the_order_is_user_then_time_then_movie() -> None:
    columns = random_columns()
    data = Interactions.from_columns(*columns)
    wanted = zip(*(column.tolist() for column in columns))
    assert as_rows(data) == sorted(wanted, key=lambda row: (row[0], row[3], row[1]))
    assert data.movie_counts().tolist() == [int((columns[1] == movie).sum()) for movie in data.movie_ids]


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
        left, right = getattr(whole, name), getattr(data, name)
        assert left.dtype == right.dtype
        assert np.array_equal(left, right)
    with pytest.raises(DataError, match="other users or movies"):
        concat(data, Interactions.from_columns([10], [5], [4.0], [0]))


def test_grades_at_their_borders() -> None:
    given = grades(np.array([0.5, 2.5, 3, 3.5, 4, 5], dtype=np.float32), neutral=0.5, disliked=0.25)
    assert given.dtype == np.float32
    assert given.tolist() == [0.25, 0.25, 0.5, 0.5, 1, 1]


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
    data, path = Interactions.from_columns(*random_columns()), tmp_path / "x.npz"
    data.save(path)
    assert as_rows(Interactions.load(path)) == as_rows(data)
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:200] + b"\xff\xff\xff\xff" + whole[204:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            Interactions.load(path)
    Interactions(data.user_ids, data.movie_ids, data.indptr[:-1], data.movie_rows, data.ratings, data.times).save(path)
    with pytest.raises(ArtifactError, match="its rows do not add up"):
        Interactions.load(path)
    with pytest.raises(DataError, match="unequal shape"):
        Interactions.from_columns([1, 2], [1], [4], [0])
