"""The catalogue: titles taken apart, genres, lookups, files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.catalog import Catalog, parse_title
from recommender.errors import ArtifactError, ChoiceError


@pytest.mark.parametrize(
    ("raw", "title", "year", "alternatives"),
    [
        ("Toy Story (1995)", "Toy Story", 1995, ()),
        ("Matrix, The (1999)", "The Matrix", 1999, ()),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura", 1960, ("The Adventure",)),
        ("Seven (a.k.a. Se7en) (1995)", "Seven", 1995, ("Se7en",)),
        ("Babylon 5", "Babylon 5", 0, ()),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009, ()),
        ("1984 (Nineteen Eighty-Four) (1984)", "1984", 1984, ("Nineteen Eighty-Four",)),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968, ()),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975, ()),
        ("", "", 0, ()),
    ],
)
def test_titles_are_taken_apart(raw: str, title: str, year: int, alternatives: tuple[str, ...]) -> None:
    assert parse_title(raw) == (title, year, alternatives)


def test_rows_follow_ids() -> None:
    catalog = Catalog(
        [
            {"movieId": "20", "title": "B, The (2001)", "genres": "Drama|War"},
            {"movieId": "10", "title": "A", "genres": "(no genres listed)"},
        ],
        {20: 7},
    )
    assert catalog.movie_ids.tolist() == [10, 20]
    assert catalog.genre_names == ("Drama", "War")
    np.testing.assert_array_equal(catalog.genres, [[False, False], [True, True]])
    assert catalog.n_ratings.tolist() == [0, 7]
    movie = catalog.movie(catalog.row_of(20))
    assert (str(movie), movie.genres, movie.n_ratings) == ("The B (2001)", ("Drama", "War"), 7)
    assert str(catalog.movie(0)) == "A"
    with pytest.raises(ChoiceError, match="no movie with id 30"):
        catalog.row_of(30)


def test_unusable_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no movie list at .*: run python -m preprocess.setup"):
        Catalog.load(tmp_path)
    path = tmp_path / "movie_features.csv"
    for content, message in [
        (b"", "no rows"),
        (b"movieId,title,genres\n", "no rows"),
        (b"movie,title,genres\n1,A,Drama\n", "no rows with movieId"),
        (b"movieId,title,genres\nx,A,Drama\n", "bad movieId"),
        (b"movieId,title,genres\n1,A,Drama\n1,B,Drama\n", "movieId 1 is listed twice"),
        (b"movieId,title,genres\n1,\xff,Drama\n", "not UTF-8"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=message):
            Catalog.load(tmp_path)
