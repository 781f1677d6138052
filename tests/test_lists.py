"""Lists of movies, links and tags as people's tools write them: the right value, or the line that is not understood."""

from pathlib import Path

import pytest

from recommender.data.catalog import NO_GENRES, Catalog
from recommender.data.errors import DataError
from recommender.data.raw.cells import joined_genres, link_id, year_of
from recommender.data.raw.sources import open_source

from .raw_sets import MOVIES, run_setup, write_csv

ALPHA, BETA, GAMMA = ("Alpha (1991)", "Drama"), ("Beta, The (1992)", "Action|Sci-Fi"), ("Good, Bad (1966)", "Western")
READ = {
    "row numbers of R": "'','movieId','title','genres'\n'1',1,'Alpha (1991)','Drama'\n'2',2,'Beta, The (1992)',"
    "'Action|Sci-Fi'\n'3',3,'Good, Bad (1966)','Western'\n",
    "blanks before quotes": "movieId, title, genres\n1, 'Alpha (1991)', Drama\n2, 'Beta, The (1992)', 'Action|Sci-Fi'\n"
    "3, 'Good, Bad (1966)', Western\n",
    "empty cells at the end": "movieId,title,genres,\n1,Alpha (1991),Drama,,\n2,'Beta, The (1992)',Action|Sci-Fi,\n"
    ",,\n3,'Good, Bad (1966)',Western\n",
    "years apart": "movieId,title,release_date,genres\n1,Alpha,1991-03-02,Drama\n2,'Beta, The',12.3.1992,"
    "Action|Sci-Fi\n3,'Good, Bad (1966)',1999.0,Western\n",
    "ids as floats": "movieId,title,genres\n1.0,Alpha (1991),Drama\n2.0,'Beta, The (1992)',Action|Sci-Fi\n"
    "3,'Good, Bad (1966)',Western\n",
    "lists of Python": "movieId,title,genres\n1,Alpha (1991),'[\"Drama\"]'\n2,'Beta, The (1992)','[{''id'': 28, "
    "''name'': ''Action''}, {''id'': 878, ''name'': ''Sci-Fi''}]'\n3,'Good, Bad (1966)',[Western]\n",
    "CR line ends": "movieId,title,genres\r1,Alpha (1991),Drama\r2,'Beta, The (1992)',Action|Sci-Fi\r"
    "3,'Good, Bad (1966)',Western\r",
}


def movies_of(tmp_path: Path, content: str) -> dict[int, tuple[str, str]]:
    return open_source(write_csv(tmp_path, movies=content)).movies


@pytest.mark.parametrize("way", READ)
def test_ways_to_write_a_list_of_movies(tmp_path, way):
    content = READ[way].replace('"', "&").replace("'", '"').replace("&", "'")
    assert movies_of(tmp_path, content) == {1: ALPHA, 2: BETA, 3: GAMMA}


def test_what_is_unusual_in_a_list_is_noted(tmp_path):
    for movies, note in (
        (MOVIES.encode("cp1252"), "read as cp1252"),
        (f"{MOVIES}20,Again (1999),Drama\n".encode(), "movies.csv line 5 lists a movie again"),
    ):
        (write_csv(tmp_path) / "movies.csv").write_bytes(movies)
        found = open_source(tmp_path)
        assert found.movies[20] == ("Amélie (2001)", "Comedy")
        assert note in found.notes[0]


REFUSED = {
    "a comma without quotes": ("1,Alpha,Drama\n2,Beta, The (1992),Action\n", "line 3: 4 columns, expected 3"),
    "and in every line": ("1,Alpha, The,Drama\n2,Beta, The,War\n", "line 2: 4 columns, expected 3"),
    "and in a number": ("1,10,000 BC (2008),Action\n2,20,000 Leagues,War\n", "line 2: 4 columns, expected 3"),
    "row numbers in some lines": ("0,1,Alpha,Drama\n2,Beta,Action\n", "line 2: 4 columns, expected 3"),
    "a line cut short": ("1,Alpha,Drama\n2,Beta\n", "line 3: 2 columns, expected 3"),
    "quotes inside a text": ('1,Alpha,Drama\n2,"Beta" (1992),War\n', "line 3: "),
    "another separator": ("1;Alpha;Drama\n", "line 2: 1 columns, expected 3"),
    "an id of 5,000 digits": ("1,Alpha,Drama\n" + "9" * 5000 + ",Beta,War\n", "line 3: movieId '9999"),
    "ids of a spreadsheet": ("1.2E+15,Alpha,Drama\n1.3E+15,Beta,War\n", "line 2: movieId '1.2E+15'"),
    "too wide by a comma, too narrow by a year": (
        "1,Alpha,Drama,1991\n2,Beta, The (1992),Action\n3,C,War,(1999)\n",
        "line 3: 'The (1992)' is no list of genres",
    ),
    "the same without a year": ("1,Alpha,Drama,1991\n2,Beta, The,Action\n3,C,,1999\n", "line 3: 'Action' is no list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_line_that_does_not_fit_is_named(tmp_path, case):
    lines, message = REFUSED[case]
    header = "movieId,title,genres" + ",year" * ("1991" in lines)
    with pytest.raises(DataError) as caught:
        movies_of(tmp_path, f"{header}\n{lines}")
    assert f"movies.csv {message}" in str(caught.value)


def test_genres_are_read_by_the_whole_column():
    for given in (
        ["Action;Comedy", "Sci-Fi & Fantasy", "Children's, War", "nan", "Film-Noir / War"],
        ['["Action", "Comedy"]', "['Sci-Fi & Fantasy']", "[\"Children's\" 'War']", "[{'id': 3", "('Film-Noir', 'War')"],
        ["{'/m/02': 'Action', '/m/01': 'Comedy'}", "['Sci-Fi & Fantasy']",
         "[{'id': '7', 'name': \"Children's\"}, {'name': 'War'}]", "{}", "[Film-Noir, War, War]"],
        ["Action|Comedy", "Sci-Fi & Fantasy", " Children's | War", NO_GENRES, "Film-Noir|War"],
    ):  # fmt: skip
        assert joined_genres(given) == ["Action|Comedy", "Sci-Fi & Fantasy", "Children's|War", "", "Film-Noir|War"]
    assert joined_genres([r'["Com\u00e9die", "R&B\/Soul"]', '["Drama"]']) == ["Comédie|R&B/Soul", "Drama"]
    mixed = ["Drama|War", "Drama, Music", "Sci-Fi/Fantasy"]
    assert joined_genres(mixed) == ["Drama|War", "Drama|Music", "Sci-Fi/Fantasy"]
    assert joined_genres(["['Drama', 'Music, Dance']", "War, Drama"]) == ["Drama|Music, Dance", "War|Drama"]


def test_years_and_ids_of_every_spelling():
    for text in ("1995", " 1995.0", "1995-11-22", "1995-11-22T00:00:00Z", "11/22/1995", "22 Nov 1995", "1995–1999"):
        assert year_of(text) == 1995, text
    for text in ("", "nan", "19950", "-1", "0", "1995.5", "95", "9999", "9" * 5000, "19951122", "1e400", "c. 19951"):
        assert year_of(text) == 0, text
    address = "https://www.imdb.com/title/tt0114709/?ref_=fn m.imdb.com/title/tt0114709 imdb.com/de/title/tt114709/"
    for text in ("tt0114709", "TT114709", "0114709", "114709", "114709.0", *address.split()):
        assert link_id("imdbId", text) == "0114709", text
    address = "themoviedb.org/movie/862?language=de"
    for text in ("862", "862.0", "0862", "https://www.themoviedb.org/movie/862-toy-story", address):
        assert link_id("tmdbId", text) == "862", text
    for text in ("", "nan", "NaN", "NULL", "None", "\\N", "<NA>", "#N/A", "-1", "-1.0", "0", "0.0", "0000000"):
        assert link_id("imdbId", text) == link_id("tmdbId", text) == "", text
    for text in ("nm0000158", "862.5", "8.62E+02", "9" * 5000, "1,2", "https://www.themoviedb.org/tv/862", "-5", "٨٦٢"):
        assert link_id("imdbId", text) is link_id("tmdbId", text) is None, text
    assert link_id("tmdbId", "tt0114709") is link_id("imdbId", "https://www.themoviedb.org/movie/862") is None


def test_ids_of_links_and_tags_reach_the_metadata(tmp_path, capsys):
    data = write_csv(tmp_path / "raw", movies=MOVIES.replace("\n20,", "\n20.0,"))
    (data / "links.csv").write_text("movieId,imdbId,tmdbId\n10.0,TT133093,603.0\n20,nan,\\N\n20,5,5\n30,113277,-1\n")
    (data / "tags.csv").write_text("userId,movieId,tag\n1,10,slow\n2,10.0,Slow\n1,20,one\n1.0,20,one\n")
    catalog = Catalog.load(run_setup(data, tmp_path / "out"))
    movies = [catalog.movie(row) for row in range(3)]
    assert [movie.imdb_id for movie in movies] == ["0133093", "", "0113277"]
    assert [movie.tmdb_id for movie in movies] == ["603", "", ""]
    assert [movie.keywords for movie in movies] == [("slow",), (), ()]
    assert "links.csv line 2: imdbId 'TT133093' is read as 0133093 (such cases: 6)" in capsys.readouterr().out


def test_two_movies_never_share_an_id(tmp_path, capsys):
    data = write_csv(tmp_path / "raw", movies=MOVIES.replace("Heat (1995)", "Amélie (2001)"))
    (data / "links.csv").write_text("movieId,imdbId,tmdbId\n10,1,7\n20,1,5\n30,3,5\n")
    catalog = Catalog.load(run_setup(data, tmp_path / "out"))
    found = [(movie.imdb_id, movie.tmdb_id) for movie in map(catalog.movie, range(3))]
    assert found == [("", "7"), ("", "5"), ("0000003", "5")]  # 20 and 30 are one film, listed twice
    assert "links.csv gives imdbId 0000001 to several movies" in capsys.readouterr().out
