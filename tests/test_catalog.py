"""The catalogue: titles taken apart, genres, lookups, files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest

from recommender.data import artifacts
from recommender.data.catalog import Catalog, parse_title
from recommender.data.errors import ArtifactError, ChoiceError

# raw | title | year | other names, joined by `;`
TITLES = """\
Toy Story (1995)|Toy Story|1995
Avventura, L' (Adventure, The) (1960)|L'Avventura|1960|The Adventure
1984 (Nineteen Eighty-Four) (1984)|1984|1984|Nineteen Eighty-Four
Seven (a.k.a. Se7en) (1995)|Seven|1995|Se7en
European Vacation (aka Summer) (1985)|European Vacation|1985|Summer
Léon: The Professional (a.k.a. The Professional) (Léon) (1994)|Léon: The Professional|1994|The Professional;Léon
Karate Kid, Part II, The (1986)|The Karate Kid, Part II|1986
Death Note: Desu nôto (2006–2007)|Death Note: Desu nôto|2006
Some Show (2009- )|Some Show|2009
(500) Days of Summer (2009)|(500) Days of Summer|2009
Birdman: Or (The Unexpected Virtue) (2014)|Birdman: Or (The Unexpected Virtue)|2014
Evangelion: 2.0 You Can (Not) Advance (Ha) (2009)|Evangelion: 2.0 You Can (Not) Advance|2009|Ha
Frontière(s) (2007)|Frontière(s)|2007
From Dusk Till Dawn 2 (1999) |From Dusk Till Dawn 2|1999
1917|1917|0
(1999)|(1999)|0
A (B (C) D) (2000)|A|2000|B (C) D
||0
²¹²³ (²¹²³)|²¹²³|0|²¹²³
"""


def test_titles_are_taken_apart() -> None:
    for line in TITLES.splitlines():
        raw, title, year, *others = line.split("|")
        assert parse_title(raw) == (title, int(year), tuple(others[0].split(";")) if others else ()), raw


def test_rows_follow_ids() -> None:
    late = {"movieId": "20", "title": "B, The (2001)", "genres": "Drama|War"}
    catalog = Catalog([late, {"movieId": "10", "title": "A", "genres": "(no genres listed)"}], {20: 7})
    assert catalog.movie_ids.tolist() == [10, 20]
    assert catalog.genre_names == ("Drama", "War")
    np.testing.assert_array_equal(catalog.genres, [[False, False], [True, True]])
    assert catalog.n_ratings.tolist() == [0, 7]
    movie = catalog.movie(catalog.row_of(20))
    assert (str(movie), movie.genres, movie.n_ratings) == ("The B (2001)", ("Drama", "War"), 7)
    assert str(catalog.movie(0)) == "A"
    with pytest.raises(ChoiceError, match="no movie with id 30"):
        catalog.row_of(30)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "or none"),
        (b"movieId,title,genres\n", "or none"),
        (b"movie,title,genres\n1,A,Drama\n", "a row without movieId"),
        (b"movieId,title,genres\nx,A,Drama\n", "invalid movieId"),
        (b"movieId,title,genres\n1,A,Drama\n1,B,Drama\n", "movieId 1 is listed twice"),
        (b"movieId,title,genres\n1,\xff,Drama\n", "is damaged .*utf-8"),
        (b"movieId,title,genres\n2,B,War\n1\n", "movie_features.csv is damaged .a row without"),
        (b"movieId,title,genres\n99999999999999999999,A,Drama\n", "invalid movieId"),
        (b'movieId,title,genres\n1,"' + b"x" * 140_000, "movie_features.csv is damaged .field larger"),
    ],
)
def test_unusable_lists_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=r"no movie list at .*: run python -m preprocess.setup"):
        Catalog.load(tmp_path)
    (tmp_path / "movie_features.csv").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        Catalog.load(tmp_path)


@pytest.mark.parametrize("name", ["movie_metadata.csv", "movie_popularity.json", "movie_features.csv"])
def test_files_that_the_manifest_does_not_list_so_are_refused(tmp_path: Path, name: str) -> None:
    movies = "movie_features.csv" if name == "movie_features.csv" else "movie_metadata.csv"
    with artifacts.replace_set(tmp_path, "processed", {"setup": {}}) as stage:
        (stage / "movie_popularity.json").write_text('{"1": 5}')
        (stage / movies).write_text("movieId,title,genres\n1,A,Drama\n")
    assert Catalog.load(tmp_path).raw_titles == ["A"]
    (tmp_path / name).write_text((tmp_path / name).read_text().replace("1", "2"))
    with pytest.raises(ArtifactError, match=rf"{name} is damaged or from another run .*preprocess\.setup"):
        Catalog.load(tmp_path)


def test_a_title_cannot_command_the_terminal(tmp_path: Path) -> None:
    text = "movieId,title,genres,overview\n1,\x1b[31mRed\x07 \u202eeulb\x9b2J (1999),Drama,\x1b]0;mine\x07A plot\n"
    (tmp_path / "movie_metadata.csv").write_text(text, encoding="utf-8")
    catalog = Catalog.load(tmp_path)
    assert str(catalog.movie(0)) == "[31mRed eulb2J (1999)"
    assert all(part.isprintable() for part in (*catalog.lines(), catalog.raw_titles[0], catalog.movie(0).overview))
    # Nor does one that never was in a file; a line end would show as a line of the program.
    evil = "\r\nRed\ttape\u2028\x1b[2J\u200b\u202e\u2066\u200f\ufeff\x85"
    fields = ("title", "genres", "director", "cast", "keywords", "overview", "original_language", "overview_source")
    movie = Catalog([{"movieId": "1", **{name: f"{evil} {name}" for name in fields}}]).movie(0)
    said = {*vars(movie).values()} - {"", ()}
    said = {part if isinstance(part, str) else "".join(part) for part in said if not isinstance(part, int)}
    assert said == {f"Red tape [2J {name}" for name in fields}
