"""Every published form of the raw data, from a folder and from a .zip, and the ways in which files differ."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from preprocess import ratings_table
from preprocess import setup as all_steps
from preprocess.raw_files import RawFiles
from preprocess.sources import read_movies, read_source
from recommender.data.catalog import NO_GENRES
from recommender.data.errors import DataError

from .raw_sets import HEADER, LINES, pack, write_csv

ROOT = Path(__file__).resolve().parents[1]
TWEETINGS = ROOT.parent / "shared" / "data" / "movietweetings-100k"

# The same four ratings in each form; MovieTweetings' are on its own scale.
USERS, MOVIE_IDS, RATINGS, TIMES = [1, 1, 2, 2], [10, 20, 10, 30], [4.0, 3.0, 5.0, 1.0], [100, 200, 300, 400]


def mark(*positions: int) -> str:
    return "|".join("1" if i in positions else "0" for i in range(19))


FORMS = {
    "csv": {
        "ratings.csv": HEADER + "1,10,4.0,100\n1,20,3.0,200\n2,10,5.0,300\n2,30,1.0,400\n",
        "movies.csv": 'movieId,title,genres\n10,"Matrix, The (1999)",Action|Sci-Fi\n20,Amélie (2001),Comedy\n'
        f"30,Heat (1995),{NO_GENRES}\n",
    },
    "1m": {
        "ratings.dat": "1::10::4::100\n1::20::3::200\n2::10::5::300\n2::30::1::400\n",
        "movies.dat": b"10::Matrix, The (1999)::Action|Sci-Fi\n20::Am\xe9lie (2001)::Comedy\n30::Heat (1995)::\n",
        "users.dat": "1::F::1::10::48067\n",
    },
    "10m": {
        "ratings.dat": "1::10::4.0::100\n1::20::3.0::200\n2::10::5::300\n2::30::1::400\n",
        "movies.dat": "10::Matrix, The (1999)::Action|Sci-Fi\n20::Amélie (2001)::Comedy\n"
        f"30::Heat (1995)::{NO_GENRES}\n",
        "tags.dat": "1::10::fun::100\n",
    },
    "100k": {
        "u.data": "1\t10\t4\t100\n1\t20\t3\t200\n2\t10\t5\t300\n2\t30\t1\t400\n",
        "u.item": b"10|Matrix, The (1999)|31-Mar-1999||http://x/|"
        + mark(1, 15).encode()
        + b"\n20|Am\xe9lie (2001)|01-Jan-2001||http://x/|"
        + mark(5).encode()
        + b"\n30|Heat (1995)||||"
        + mark(0).encode()
        + b"\n",
        "u.user": "1|24|M|technician|85711\n",
    },
}
TWEETING_FILES = {
    "ratings.dat": "1::0000010::10::100\n1::0000020::0::200\n2::0000010::5::300\n2::1853728::8::400\n",
    "movies.dat": "0000010::La sortie (1895)::Documentary\n0000020::Amélie (2001)::\n"
    "1853728::Django :: Unchained (2012)::Western\n",
}


def write(folder: Path, files: dict) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def table(path: Path, form=None) -> list[tuple]:
    ratings = read_source(path, form).take_ratings()
    users, movies = ratings.user_ids[ratings.user_rows], ratings.movie_ids[ratings.movie_rows]
    columns = (users, movies, ratings.ratings, ratings.times)
    return list(zip(*(column.tolist() for column in columns)))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_ratings_and_movies(tmp_path, name, packed):
    path = write(tmp_path / "raw", FORMS[name])
    if packed:
        path = pack(path, tmp_path / "set.zip", inside="ml-some/")
    source = read_source(path)
    assert source.form == {"csv": "csv", "100k": "100k"}.get(name, "dat")
    assert table(path) == list(zip(USERS, MOVIE_IDS, RATINGS, TIMES))
    assert {i: (row.title, row.genres) for i, row in source.movies.items()} == {
        10: ("Matrix, The (1999)", "Action|Sci-Fi"),
        20: ("Amélie (2001)", "Comedy"),
        30: ("Heat (1995)", NO_GENRES),
    }


def test_movietweetings_is_told_by_its_ids_and_mapped_in_a_straight_line(tmp_path):
    path = write(tmp_path / "raw", TWEETING_FILES)
    source = read_source(path)
    assert source.form == "movietweetings"
    assert source.ratings.ratings.tolist() == pytest.approx([5.0, 0.5, 2.75, 4.1])
    assert [row[1] for row in table(path)] == [10, 20, 10, 1853728]
    assert source.movies[1853728].title == "Django :: Unchained (2012)"
    assert source.movies[20].genres == NO_GENRES


def test_movietweetings_ids_become_imdb_links(tmp_path):
    path = write(tmp_path / "raw", TWEETING_FILES)
    ratings = "".join(f"{u}::{m}::7::{u}\n" for u in (1, 2, 3) for m in ("0000010", "0000020", "1853728"))
    (path / "ratings.dat").write_text(ratings)
    flags = ["--min-user-ratings", "3", "--min-movie-ratings", "3"]
    all_steps.main(["--data", str(path), "--output", str(tmp_path / "out"), *flags])
    rows = (tmp_path / "out" / "movie_metadata.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[-2] for row in rows] == ["imdbId", "0000010", "0000020", "1853728"]


def test_the_form_can_be_named_where_ids_do_not_tell(tmp_path):
    path = write(tmp_path / "raw", {**TWEETING_FILES, "movies.dat": "10::A (1999)::X\n20::B (1999)::\n"})
    with pytest.raises(DataError, match=r"ratings\.dat line 1: rating '10' is not a number from 0\.5 to 5"):
        read_source(path)
    assert table(path, "movietweetings")[0] == (1, 10, 5.0, 100)
    with pytest.raises(DataError, match=r"not of the form '100k': leave out --source-format or give dat or movietweet"):
        read_source(path, "100k")


def test_real_movietweetings():
    if not TWEETINGS.is_dir():
        pytest.skip("MovieTweetings is not beside this clone")
    source = read_source(TWEETINGS)
    assert source.form == "movietweetings"
    ratings = source.take_ratings()
    assert (len(ratings.ratings), len(ratings.user_ids), len(source.movies)) == (100_000, 16_554, 10_506)
    assert (ratings.user_ids[ratings.user_rows[0]], ratings.movie_ids[ratings.movie_rows[0]]) == (1, 1074638)
    assert (ratings.ratings[0], ratings.times[0]) == (pytest.approx(0.5 + 0.45 * 7), 1365029107)


# Ways to write the same CSV


EXPECTED = [tuple(map(float, line.split(","))) for line in LINES.splitlines()]


@pytest.mark.parametrize(
    "content",
    [
        HEADER + LINES,
        "\ufeff" + HEADER + LINES,
        (HEADER + LINES).replace("\n", "\r\n"),
        (HEADER + LINES).rstrip("\n"),
        HEADER + LINES.replace("\n", "\n\n") + "\n\n",
        HEADER + "".join(",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in LINES.splitlines()),
        HEADER + "".join(",".join(f" {cell} " for cell in line.split(",")) + "\n" for line in LINES.splitlines()),
        "timestamp,x,rating,movieId,userId\n"
        + "".join(
            ",".join([*line.split(",")[:1:-1][:1], "abc", *line.split(",")[2::-1]]) + "\n"
            for line in LINES.splitlines()
        ),
        HEADER + "".join("{}.0,{}.0,{},{}.0\n".format(*line.split(",")) for line in LINES.splitlines()),
    ],
    ids=["plain", "BOM", "CRLF", "no last newline", "blank lines", "quotes", "spaces", "other order", "as floats"],
)
def test_ways_to_write_a_csv(tmp_path, content):
    folder = write_csv(tmp_path / "raw")
    (folder / "ratings.csv").write_bytes(content.encode())
    assert table(folder) == EXPECTED


def test_times_as_dates(tmp_path):
    lines = [
        "1,10,4.0,1970-01-01 00:01:40",
        "1,20,3.5,1970-01-01T00:00:50",
        "1,30,3.5,1970-01-01T00:00:50Z",
        "2,10,3.5,1970-01-01 02:00:50+02:00",
        "2,20,3.5,1970-01-02",
        "2,30,3.5,60",
        "3,10,3.5,61.9",
        '3,20,3.5,"1970-01-01 00:01:40"',
    ]
    folder = write_csv(tmp_path / "raw", "\n".join(lines) + "\n")
    assert [row[3] for row in table(folder)] == [100, 50, 50, 50, 86_400, 60, 61, 100]


def test_missing_and_invalid_times_are_dropped_and_counted(tmp_path):
    bad = ["", "NULL", "nan", "soon", "-5", "1e30", "inf", "2015-13-45", "1500000000000"]
    lines = LINES + "".join(f"4,10,3.0,{text}\n" for text in bad)
    source = read_source(write_csv(tmp_path / "raw", lines))
    assert source.ratings.n_dropped == len(bad)
    assert table(tmp_path / "raw") == EXPECTED


def test_blocks_do_not_change_the_result(tmp_path, monkeypatch):
    """Lines cut by the end of a block, blocks parsed at once, one block with dates among blocks of numbers."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(1, 10**9, 600), rng.integers(1, 10**5, 600), rng.integers(1, 11, 600) / 2])
    times = rng.integers(0, 2**31, 600)
    lines = [f"{int(u)},{int(m)},{r},{t}\n" for (u, m, r), t in zip(rows.tolist(), times.tolist())]
    lines[300] = lines[300].rsplit(",", 1)[0] + "," + str(np.datetime64(int(times[300]), "s")) + "\n"
    folder = write_csv(tmp_path / "raw", "".join(lines))
    expected = [(int(u), int(m), r, t) for (u, m, r), t in zip(rows.tolist(), times.tolist())]
    assert table(folder) == expected
    for size in (1, 7, 100, 997):
        monkeypatch.setattr(ratings_table, "BLOCK_BYTES", size * 4)
        assert table(folder) == expected
    assert table(pack(folder, tmp_path / "set.zip")) == expected


def test_a_bad_line_is_named_wherever_its_block_is(tmp_path, monkeypatch):
    lines = LINES * 50 + "\n1,10,9.5,100\n" + LINES
    folder = write_csv(tmp_path / "raw", lines)
    for size in (ratings_table.BLOCK_BYTES, 10, 64):
        monkeypatch.setattr(ratings_table, "BLOCK_BYTES", size)
        with pytest.raises(DataError, match=r"ratings\.csv line 453: rating '9\.5' is not"):
            read_source(folder)
    assert threading.active_count() == 1


def test_large_ids_stay_exact(tmp_path):
    folder = write_csv(tmp_path / "raw", f"{2**53 - 1},{2**40},4.0,100\n{2**31 - 1},5,4.0,soon\n{2**33},6,3.0,1\n")
    assert table(folder) == [(2**53 - 1, 2**40, 4.0, 100), (2**33, 6, 3.0, 1)]


# Where the files lie


def test_data_one_level_down_is_found(tmp_path):
    write_csv(tmp_path / "data" / "ml-tiny")
    assert table(tmp_path / "data") == EXPECTED
    pack(tmp_path / "data" / "ml-tiny", tmp_path / "data" / "ml-tiny.zip")
    assert RawFiles(tmp_path / "data").path.name == "ml-tiny"
    other = write_csv(tmp_path / "data" / "other")
    with pytest.raises(DataError, match=r"holds several data sets \(ml-tiny, other\): name one with --data"):
        RawFiles(tmp_path / "data")
    only_zip = tmp_path / "zipped"
    only_zip.mkdir()
    pack(other, only_zip / "x.ZIP", inside="")
    assert table(only_zip) == EXPECTED


def test_an_archive_made_on_a_mac(tmp_path):
    import zipfile

    folder = write_csv(tmp_path / "raw")
    archive = pack(folder, tmp_path / "set.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("__MACOSX/ml-tiny/ratings.csv", "junk")
        file.writestr("ml-tiny/old/ratings.csv", "junk")
    assert table(archive) == EXPECTED


def test_movie_lists_with_quotes_blanks_and_more_columns(tmp_path):
    movies = 'genres,movieId,title,x\r\n\r\nDrama,5," ""Great"" One, The (1950) ",1\r\n,6,,2\r\n'
    _, found = read_movies(RawFiles(write_csv(tmp_path / "raw", movies=movies)))
    assert {i: (row.title, row.genres) for i, row in found.items()} == {
        5: ('"Great" One, The (1950)', "Drama"),
        6: ("Movie 6", NO_GENRES),
    }
