"""Movies of several sources, their stored vectors: what is embedded again and what is not, what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError, DataError
from recommender.linalg.rows import unit_rows
from recommender.text.base import BaseEmbeddingBackend, Identity
from recommender.text.movie_embeddings import MovieEmbeddings, embed, plan
from recommender.text.movie_sources import Movies, SourceMovie, join, read_dat, read_source, read_tsv
from tests.tiny import FILMS, make_processed

ROOT = Path(__file__).resolve().parents[1]
TWEETINGS = ROOT.parent / "shared" / "data" / "movietweetings-100k"


class Letters(BaseEmbeddingBackend):
    """Counts of the letters a, b and c; remembers every text that it was asked for."""

    name = "letters"

    def __init__(self, model: str = "abc") -> None:
        self.asked: list[str] = []
        self.model = model

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.model, 3)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return unit_rows(np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float64))


def dat(folder: Path, text: str) -> list[SourceMovie]:
    (folder / "movies.dat").write_text(text, encoding="utf-8")
    return read_dat("tweets", folder / "movies.dat")


@pytest.fixture
def movies(tmp_path: Path) -> Movies:
    return join([dat(tmp_path, "1::Abba (1970)::Drama\n2::Cab (1980)::\n3::Bac (1990)::War\n")])


def table(folder: Path, *lines: str) -> list[SourceMovie]:
    path = folder / "movie_database.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_tsv("inspired", path)


def test_movietweetings_lines_are_read(tmp_path: Path) -> None:
    one, two = dat(tmp_path, "0076759::Star Wars: Episode IV :: A New Hope (1977)::Action|Sci-Fi\n\n12::Él (1953)::\n")
    assert (one.source, one.movie_id, one.movie.title) == ("tweets", "0076759", "Star Wars: Episode IV :: A New Hope")
    assert (one.movie.year, one.movie.genres, one.movie.imdb_id) == (1977, ("Action", "Sci-Fi"), "0076759")
    assert (two.movie.title, two.movie.year, two.movie.genres) == ("Él", 1953, ())
    for bad in ("x::Title::", "12", "::Title::War"):
        with pytest.raises(DataError, match=r"movies\.dat line 2: .* is not `id::title::genres`"):
            dat(tmp_path, f"1::Fine::\n{bad}\n")
    with pytest.raises(DataError, match="lists no movies"):
        dat(tmp_path, "\n")


def test_the_inspired_table_is_read_by_its_header(tmp_path: Path) -> None:
    header = "Title\tgenre\tyear\tactors\tshort_plot\tlong_plot\tvideo_id\timdb_id\textra"
    lines = table(
        tmp_path,
        header,
        'Heat (1995)\tCrime, Drama\t1995.0\tAl Pacino, Val Kilmer\tN/A\tA "thief"  meets a cop.\tKs_x\ttt0113277\t9',
        "\tDrama\t1999\t\t\t\tKs_y",
        "No Ids\t\tnan\t\t\t\t\t\t",
        '"Bill"\t\t\t\t"""Wild"" Bill rides."\t\tKs_z\t\t',
        'Lone\t\t\t\t"Wild" and "free\t\tKs_w\t\t',
    )
    heat, bare, bill, lone = lines
    assert (bill.movie.title, bill.movie.overview) == ("Bill", '"Wild" Bill rides.')
    assert lone.movie.overview == '"Wild" and "free'
    assert (heat.movie_id, heat.movie.title, heat.movie.year) == ("Ks_x", "Heat", 1995)
    assert heat.movie.genres == ("Crime", "Drama")
    assert heat.movie.cast == ("Al Pacino", "Val Kilmer")
    assert heat.movie.overview == 'A "thief" meets a cop.'
    assert (bare.movie_id, bare.movie.year) == ("No Ids", 0)
    with pytest.raises(DataError, match=r"has no column title \('name year'\)"):
        table(tmp_path, "name\tyear", "Heat\t1995")


def test_sources_are_known_by_what_lies_there(tmp_path: Path) -> None:
    processed = make_processed(tmp_path / "processed")
    assert [line.movie_id for line in read_source("movielens", processed)] == [str(movie[0]) for movie in FILMS]
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataError, match=r"other holds no list of movies for source 'tweets'"):
        read_source("tweets", other)
    dat(other, "7::Seven::\n")
    assert read_source("tweets", other) == read_source("tweets", other / "movies.dat")
    with pytest.raises(DataError, match=r"gone.csv does not exist"):
        read_source("tweets", tmp_path / "gone.csv")
    with pytest.raises(DataError, match="no list of movies at"):
        read_source("tweets", tmp_path / "gone.dat")
    with pytest.raises(DataError, match="source 'a:b'"):
        read_source("a:b", other)


def test_lines_of_one_movie_share_key_and_text(tmp_path: Path) -> None:
    inspired = table(
        tmp_path,
        "title\tyear\tshort_plot\tvideo_id\timdb_id\ttmdb_id",
        "Heat\t1995\tA thief and a policeman.\tv1\ttt113277\t949",
        "Fargo\t1996\t\tv2\t\t275",
        "Solo\t1996\t\tv3\t\t",
    )
    tweets = dat(tmp_path, "0113277::Heat (1995)::Crime\n0116282::Fargo (1996)::Crime|Drama\n42::Solo (1996)::\n")
    movies = join([tweets, inspired])
    # Heat is found by its IMDb id, which INSPIRED knows together with the TMDB id; Fargo has no id in common.
    assert movies.keys == ["tmdb:949", "tweets:0116282", "tweets:42", "tmdb:949", "tmdb:275", "inspired:v3"]
    assert movies.movie == [0, 1, 2, 0, 3, 4]
    assert movies.texts[0] == "Title: Heat (1995).\nPlot: A thief and a policeman."
    assert movies.texts[1] == "Title: Fargo (1996).\nGenres: Crime, Drama."
    backend = Letters()
    found = embed(plan(movies, None), backend)
    assert len(found) == 6
    assert backend.asked.count(movies.texts[0]) == 1
    assert np.array_equal(found.embedding[0], found.embedding[3])
    assert found.metadata[0] != found.metadata[3]
    assert found.embedding_text[0] == found.embedding_text[3] == movies.texts[0]


@pytest.mark.skipif(not TWEETINGS.is_dir(), reason="the raw data are not beside this clone")
def test_movielens_and_movietweetings_share_movies() -> None:
    lists = [read_source("movielens", ROOT / "processed"), read_source("movietweetings", TWEETINGS)]
    movies = join(lists)
    assert [len(lines) for lines in lists] == [3650, 10506]
    both = {key for key in movies.keys[:3650]} & set(movies.keys[3650:])
    titles: dict[str, set[int]] = {}
    for key, line in zip(movies.keys, movies.lines):
        if key in both:
            titles.setdefault(key, set()).add(line.movie.year)
    assert len(movies.texts) == 3650 + 10506 - len(both)
    assert len(both) > 2500
    # The two sites now and then disagree by a year; lines of different movies would disagree by more.
    assert np.mean([max(years) - min(years) <= 1 for years in titles.values()]) > 0.99


def test_a_second_run_embeds_only_what_changed(movies: Movies, tmp_path: Path) -> None:
    backend = Letters()
    embed(plan(movies, None), backend).save(tmp_path / "out")
    assert backend.asked == movies.texts
    stored = MovieEmbeddings.load(tmp_path / "out", backend.identity)
    again = Letters()
    same = embed(plan(movies, stored), again)
    assert again.asked == []
    assert np.array_equal(same.embedding, stored.embedding)
    changed = join([dat(tmp_path, "1::Abba (1970)::Drama\n2::Cab (1980)::Comedy\n9::New (1980)::\n")])
    third = embed(plan(changed, stored), again)
    assert again.asked == [changed.texts[1], "Title: New (1980)."]
    assert third.movie_id.tolist() == ["1", "2", "9"]
    assert np.array_equal(third.embedding, Letters().embed_texts(changed.texts))


def test_equal_texts_are_embedded_once(tmp_path: Path) -> None:
    movies = join([dat(tmp_path, "1::Cab (1980)::\n2::Cab (1980)::\n")])
    backend = Letters()
    found = embed(plan(movies, None), backend)
    assert len(backend.asked) == 1
    assert len(set(movies.keys)) == 2
    assert np.array_equal(found.embedding[0], found.embedding[1])


def test_texts_go_out_in_calls_of_the_asked_size(movies: Movies) -> None:
    class Sizes(Letters):
        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            sizes.append(len(texts))
            return super().embed_texts(texts)

    sizes: list[int] = []
    told: list[tuple[int, int]] = []
    embed(plan(movies, None), Sizes(), 2, lambda done, total: told.append((done, total)))
    assert sizes == [2, 1]
    assert told == [(2, 3), (3, 3)]


def test_vectors_of_the_wrong_shape_are_refused(movies: Movies) -> None:
    class Wide(Letters):
        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            return np.ones((len(texts), 4), np.float32)

    class Broken(Letters):
        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            return np.full((len(texts), 3), np.nan, np.float32)

    with pytest.raises(DataError, match=r"returned \(3, 4\), expected 3 finite rows of 3"):
        embed(plan(movies, None), Wide())
    with pytest.raises(DataError, match="expected 3 finite rows of 3"):
        embed(plan(movies, None), Broken())


def test_files_hold_the_same(movies: Movies, tmp_path: Path) -> None:
    found = embed(plan(movies, None), Letters())
    found.save(tmp_path, ("npz", "csv"))
    loaded = MovieEmbeddings.load(tmp_path).with_texts()
    with open(tmp_path / "movie_embeddings.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["movie_id", "source", "key", "metadata", "embedding_text", "embedding"]
    for place, row in enumerate(rows):
        assert {name: column[place] for name, column in loaded.columns().items()} == {
            name: text for name, text in row.items() if name != "embedding"
        }
        assert np.allclose(json.loads(row["embedding"]), loaded.embedding[place], atol=1e-5)
    assert np.array_equal(loaded.embedding, found.embedding)
    assert loaded.columns() == found.columns()
    assert json.loads(rows[0]["metadata"]) == {
        "title": "Abba", "year": 1970, "genres": ["Drama"], "imdb_id": "1",
    }  # fmt: skip
    with np.load(tmp_path / "movie_embeddings.npz", allow_pickle=False) as plain:
        assert plain["embedding_text"].tolist() == movies.texts


def test_half_precision_halves_and_other_forms_go(movies: Movies, tmp_path: Path) -> None:
    found = embed(plan(movies, None), Letters())
    found.save(tmp_path, ("npz", "csv"))
    found.save(tmp_path, ("npz",), half=True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".dat") == [
        "manifest.json", "movie_embeddings.npz",
    ]  # fmt: skip
    with np.load(tmp_path / "movie_embeddings.npz") as plain:
        assert plain["embedding"].dtype == np.float16
    loaded = MovieEmbeddings.load(tmp_path)
    assert loaded.embedding.dtype == np.float32
    assert np.allclose(np.sum(loaded.embedding * found.embedding, axis=1), 1, atol=1e-5)


def test_texts_can_be_left_out(movies: Movies, tmp_path: Path) -> None:
    found = embed(plan(movies, None), Letters())
    found.save(tmp_path, ("npz", "csv"), with_texts=False)
    loaded = MovieEmbeddings.load(tmp_path)
    assert np.array_equal(loaded.embedding, found.embedding)
    assert loaded.ids() == found.ids()
    assert plan(movies, loaded).missing == []
    assert (
        (tmp_path / "movie_embeddings.csv").read_text().startswith("movie_id,source,key,embedding\n1,tweets,tweets:1,")
    )
    with pytest.raises(ArtifactError, match=r"was stored without texts: run .*without --no-texts"):
        loaded.with_texts()


def test_parquet_holds_the_same(movies: Movies, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = embed(plan(movies, None), Letters())
    found.save(tmp_path, ("npz", "parquet"))
    read = parquet.read_table(tmp_path / "movie_embeddings.parquet").to_pydict()
    assert np.allclose(read.pop("embedding"), found.embedding)
    assert read == found.columns()


def test_vectors_are_found_by_id(movies: Movies) -> None:
    found = embed(plan(movies, None), Letters())
    vectors = found.vectors_for([3, 7, "1"], "tweets")
    assert np.array_equal(vectors[[0, 2]], found.embedding[[2, 0]])
    assert not vectors[1].any()
    assert not found.vectors_for([1]).any()
    assert found.row_of(2, "tweets") == 1
    with pytest.raises(ChoiceError, match="no vector for movie 7 of source 'tweets'"):
        found.row_of(7, "tweets")


def test_other_models_are_refused_by_name(movies: Movies, tmp_path: Path) -> None:
    embed(plan(movies, None), Letters()).save(tmp_path)
    for identity, said in (
        (Identity("letters", "abd", 3), "model abc, not abd"),
        (Identity("letters", "abc", 4), "dimension 3, not 4"),
        (Identity("minilm", "abc", 3), "backend letters, not minilm"),
    ):
        with pytest.raises(ArtifactError, match=f"holds vectors of {said}.*--force.*--output"):
            MovieEmbeddings.load(tmp_path, identity)


def test_damage_is_refused_by_name(movies: Movies, tmp_path: Path) -> None:
    found = embed(plan(movies, None), Letters())
    with pytest.raises(ArtifactError, match=r"no taste-embeddings artifact in .*generate_embeddings"):
        MovieEmbeddings.load(tmp_path)
    found.save(tmp_path)
    (tmp_path / "movie_embeddings.npz").write_bytes(b"PK damaged")
    with pytest.raises(ArtifactError, match=r"movie_embeddings\.npz is damaged or from another run"):
        MovieEmbeddings.load(tmp_path)
    found.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["settings"]["movies"]["model"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="does not say which model its vectors are of"):
        MovieEmbeddings.load(tmp_path)
