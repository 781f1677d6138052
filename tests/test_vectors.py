"""Movies of several sources, and tables of vectors on the disk: what comes back, what is refused."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalog import Movie
from recommender.data.errors import ArtifactError, DataError
from recommender.linalg.rows import unit_rows
from recommender.text.base import Identity
from recommender.text.movie_sources import movie_columns, read_source
from recommender.text.vectors import FUSED, MOVIES, USERS, VectorTable
from tests.tiny import FILMS, make_processed

LETTERS = Identity("letters", "abc", 3)


def dat(folder: Path, text: str) -> list[tuple[str, Movie]]:
    (folder / "movies.dat").write_text(text, encoding="utf-8")
    return read_source("tweets", folder / "movies.dat")


def tsv(folder: Path, *lines: str) -> list[tuple[str, Movie]]:
    path = folder / "movie_database.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_source("inspired", path)


def table(name: str = MOVIES, n: int = 3, identity: Identity = LETTERS) -> VectorTable:
    movies = [(str(i), Movie(i, f"Abba {i}", 1970, ("Drama",), imdb_id="1")) for i in range(n)]
    columns: dict[str, list[str]] = {
        MOVIES: movie_columns({"tweets": movies}),
        USERS: {"user_id": ["5", "12", "redial:é"], "origin": ["ratings", "both", "text"]},
        FUSED: {"movie_id": ["1", "2", "3"], "missing": ["", "visual", "visual;audio"]},
    }[name]
    arrays = {column: np.array(texts, dtype=np.str_) for column, texts in columns.items()}
    vectors = unit_rows(np.random.default_rng(0).standard_normal((n, identity.dimension)))
    return VectorTable(name, arrays, vectors, identity, {} if name == MOVIES else {"method": "average"})


def test_movietweetings_lines_are_read(tmp_path: Path) -> None:
    lines = "0076759::Star Wars: Episode IV :: A New Hope (1977)::Action|Sci-Fi\n\n12::Él (1953)::\n"
    (ident, one), (_, two) = dat(tmp_path, lines)
    assert (ident, one.title) == ("0076759", "Star Wars: Episode IV :: A New Hope")
    assert (one.year, one.genres, one.imdb_id) == (1977, ("Action", "Sci-Fi"), "0076759")
    assert (two.title, two.year, two.genres, two.imdb_id) == ("Él", 1953, (), "")  # an id of MovieLens
    for bad in ("x::Title::", "12", "::Title::War"):
        with pytest.raises(DataError, match=r"movies\.dat line 2"):
            dat(tmp_path, f"1::Fine::\n{bad}\n")
    with pytest.raises(DataError, match="lists no movies"):
        dat(tmp_path, "\n")


def test_the_inspired_table_is_read_by_its_header(tmp_path: Path) -> None:
    listed = tsv(
        tmp_path,
        "Title\tgenre\tyear\tactors\tshort_plot\tlong_plot\tvideo_id\timdb_id\textra",
        'Heat (1995)\tCrime, Drama\t1995.0\tAl Pacino, Val Kilmer\tN/A\tA "thief"  meets a cop.\tKs_x\ttt0113277\t9',
        "\tDrama\t1999\t\t\t\tKs_y\t\t",
        "No Ids\t\tnan\t\t\t\t\t\t",
        '"Bill"\t\t\t\t"""Wild"" Bill rides."\t\tKs_z\t\t',
        'Lone\t\t\t\t"Wild" and "free\t\tKs_w\t\t',
    )
    assert [ident for ident, _ in listed] == ["Ks_x", "No Ids", "Ks_z", "Ks_w"]
    heat, bare, bill, lone = (movie for _, movie in listed)
    assert (bill.title, bill.overview) == ("Bill", '"Wild" Bill rides.')
    assert lone.overview == '"Wild" and "free'
    assert (heat.title, heat.year, bare.year, heat.overview) == ("Heat", 1995, 0, 'A "thief" meets a cop.')
    assert (heat.genres, heat.cast) == (("Crime", "Drama"), ("Al Pacino", "Val Kilmer"))
    for lines, message in (("name\tyear~Heat\t1995", "no column title"), ("title\tid~A\tB\tC", "line 2: 3 col")):
        with pytest.raises(DataError, match=message):
            tsv(tmp_path, *lines.split("~"))


def test_ids_genres_and_years_of_other_spellings(tmp_path: Path) -> None:
    listed = tsv(
        tmp_path,
        "title\trelease_date\tgenres\tvideo_id\timdb_id\ttmdb_id",
        "Heat\t1995-12-15\t['Crime', 'Drama']\ta\thttps://www.imdb.com/title/tt0113277/\t949.0",
        "Fargo\t" + "9" * 5000 + "\tnan\tb\t-1\tNULL",
        "Solo\t1996.0\tWar/Drama\t" + "7" * 5000 + "\tnm01\t7",
        "Duo\t1997\t\td\t0\t7",
    )
    movies = [movie for _, movie in listed]
    assert [movie.year for movie in movies] == [1995, 0, 1996, 1997]
    assert [movie.genres for movie in movies] == [("Crime", "Drama"), (), ("War", "Drama"), ()]
    assert [(movie.imdb_id, movie.tmdb_id) for movie in movies] == [("0113277", "949"), ("", ""), ("", ""), ("", "")]


def test_sources_are_known_by_what_lies_there(tmp_path: Path) -> None:
    processed = make_processed(tmp_path / "processed")
    assert [ident for ident, _ in read_source("movielens", processed)] == [str(movie[0]) for movie in FILMS]
    other = tmp_path / "other"
    other.mkdir()
    for place in (other, tmp_path / "none.csv", tmp_path / "none.dat"):
        with pytest.raises(DataError, match=place.name):
            read_source("tweets", place)
    assert dat(other, "7::Seven::\n") == read_source("tweets", other)


def test_lines_of_one_movie_share_key_and_text(tmp_path: Path) -> None:
    lines = ["Heat\t1995\tA thief and a policeman.\tv1\ttt113277\t949"]
    lines += ["Fargo\t1996\t\tv2\t\t275", "Solo\t1996\t\tv3\t\t"]
    inspired = tsv(tmp_path, "title\tyear\tshort_plot\tvideo_id\timdb_id\ttmdb_id", *lines)
    tweets = dat(tmp_path, "0113277::Heat (1995)::Crime\n0116282::Fargo (1996)::Crime|Drama\n42::Solo (1996)::\n")
    columns = movie_columns({"tweets": tweets, "inspired": inspired})
    # Heat is found by its IMDb id, which INSPIRED knows together with the TMDB id; Fargo has no id in common.
    assert columns["key"] == ["tmdb:949", "tweets:0116282", "tweets:42", "tmdb:949", "tmdb:275", "inspired:v3"]
    texts = columns["embedding_text"]
    assert texts[0] == texts[3] == "Title: Heat (1995).\nPlot: A thief and a policeman."
    assert texts[1] == "Title: Fargo (1996).\nGenres: Crime, Drama."
    heat = {"title": "Heat", "year": 1995, "genres": ["Crime"], "imdb_id": "0113277"}
    assert json.loads(columns["metadata"][0]) == heat


@pytest.mark.parametrize("name", [MOVIES, USERS, FUSED])
def test_every_table_comes_back_in_every_form(name: str, tmp_path: Path) -> None:
    table().save(tmp_path)
    given = table(name)
    given.save(tmp_path, ("npz", "csv"))
    found = VectorTable.load(tmp_path, name, LETTERS, texts=True)
    assert set(found.columns) == set(given.columns)
    assert all(texts.tolist() == given[column].tolist() for column, texts in found.columns.items())
    assert np.array_equal(found.embedding, given.embedding)
    assert (found.identity, found.settings) == (LETTERS, given.settings)
    rows = list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_text(encoding="utf-8"), newline="")))
    shown = [column for column in given.columns if column != "text_hash"]
    assert list(rows[0]) == [*shown, "embedding"]
    assert [[row[column] for row in rows] for column in shown] == [given[column].tolist() for column in shown]
    np.testing.assert_allclose([json.loads(row["embedding"]) for row in rows], given.embedding, atol=1e-5)
    given.save(tmp_path, ("npz",), small=True)
    assert not (tmp_path / f"{name}.csv").exists()
    assert np.load(tmp_path / f"{name}.npz")["embedding"].dtype == np.int8
    rounded = VectorTable.load(tmp_path, name).embedding
    np.testing.assert_allclose(rounded, given.embedding, atol=0.005)
    np.testing.assert_allclose(np.linalg.norm(rounded, axis=1), 1, atol=1e-6)


def test_texts_can_be_left_out_and_parquet_holds_the_same(tmp_path: Path) -> None:
    table().save(tmp_path, with_texts=False)
    assert "metadata" not in VectorTable.load(tmp_path, texts=True).columns
    assert (tmp_path / "movie_embeddings.csv").read_text().startswith("movie_id,source,key,embedding\n0,tweets,")
    parquet = pytest.importorskip("pyarrow.parquet")
    table().save(tmp_path, ("npz", "parquet"))
    assert "metadata" not in VectorTable.load(tmp_path).columns
    read = parquet.read_table(tmp_path / "movie_embeddings.parquet").to_pydict()
    np.testing.assert_allclose(read.pop("embedding"), table().embedding)
    assert read == {name: texts.tolist() for name, texts in table().columns.items() if name != "text_hash"}


def test_vectors_are_found_by_id() -> None:
    movies, users = table(), table(USERS)
    found = movies.vectors_for([2, 7, "1"], "tweets")
    assert np.array_equal(found, [movies.embedding[2], np.zeros(3), movies.embedding[1]])
    assert not movies.vectors_for([1]).any()  # of another source
    assert np.array_equal(users.vectors_for([12, "redial:é"]), users.embedding[1:])


def test_new_movies_delete_what_was_made_from_the_old_ones(tmp_path: Path) -> None:
    for name in (MOVIES, USERS, FUSED, USERS):
        table(name).save(tmp_path)
    assert len(VectorTable.load(tmp_path, MOVIES)) == len(VectorTable.load(tmp_path, FUSED)) == 3
    table().save(tmp_path)
    for name in (USERS, FUSED):
        with pytest.raises(ArtifactError, match=f"has no {name}"):
            VectorTable.load(tmp_path, name)
        assert not (tmp_path / f"{name}.npz").exists()


def test_other_models_are_refused_by_name(tmp_path: Path) -> None:
    table().save(tmp_path)
    says = {"model": "model abc, not abd", "dimension": "dimension 3, not 4", "backend": "backend letters, not minilm"}
    for field, other in (("model", "abd"), ("dimension", 4), ("backend", "minilm")):
        identity, said = LETTERS._replace(**{field: other}), says[field]
        with pytest.raises(ArtifactError, match=f"vectors of {said}"):
            VectorTable.load(tmp_path, MOVIES, identity)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"model"', '"made_by"'))
    with pytest.raises(ArtifactError, match="does not name their model"):
        VectorTable.load(tmp_path)
