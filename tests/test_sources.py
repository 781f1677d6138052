"""Every published form of the raw data, the forms that people really have, and what is wrong with the others."""

import contextlib
import gzip
import re
import resource
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model import train_svd_model
from preprocess import build_metadata, download, filter_data, split_data, transform_data
from preprocess import setup as all_steps
from recommender import cli
from recommender.data.catalog import NO_GENRES, Catalog
from recommender.data.errors import ChoiceError, DataError
from recommender.data.raw import ratings_table
from recommender.data.raw.ratings_table import read_ratings
from recommender.data.raw.sources import ITEM_GENRES, open_source, open_sources
from recommender.data.splits import load_ratings, load_split

from .raw_sets import BASE, HEADER, LINES, MOVIES, TINY_FLAGS, pack, random_lines, random_movies, run_setup, write_csv
from .tiny import exit_code, start

ROOT = Path(__file__).resolve().parents[1]
ROWS = [(1, 10, 4.0, BASE), (1, 20, 3.0, BASE + 200), (2, 10, 5.0, BASE + 300), (2, 30, 1.0, BASE + 400)]


def joined(separator: str, stars: str = "g") -> str:
    return "".join(f"{u}:{m}:{r:{stars}}:{t}\n" for u, m, r, t in ROWS).replace(":", separator)


DAT = "10::Matrix, The (1999)::Action|Sci-Fi\n20::Amélie (2001)::Comedy\n30::Heat (1995)::\n"
CSV = f'10,"Matrix, The (1999)",Action|Sci-Fi\n20,Amélie (2001),Comedy\n30,Heat (1995),{NO_GENRES}\n'
ITEMS = ""
for film in ("10|Matrix, The (1999)|x||y&Action Sci-Fi", "20|Amélie (2001)|x||y&Comedy", "30|Heat (1995)|||&unknown"):
    about, genres = film.split("&")
    ITEMS += "|".join([about, *(str(int(genre in genres.split())) for genre in ITEM_GENRES)]) + "\n"
GENRES = ["Action|Sci-Fi", "Comedy", NO_GENRES]
PUBLISHED = {  # format, files, genres of the three movies where they are not GENRES
    "csv": ("csv", {"ratings.csv": HEADER + joined(",", ".1f"), "movies.csv": "movieId,title,genres\n" + CSV}),
    "1m": ("dat", {"ratings.dat": joined("::"), "movies.dat": DAT.encode("latin-1")}),
    "10m": ("dat", {"ratings.dat": joined("::", ".1f"), "movies.dat": DAT}),
    "100k": ("100k", {"u.data": joined("\t"), "u.item": ITEMS.encode("latin-1")}),
}
TWEETINGS = "1::0000010::10::!1\n1::0000020::0::!2\n2::0000010::5::!3\n2::1853728::8::!4\n".replace("!", f"{BASE}"[:-1])
TWEETED = "0000010::La sortie (1895)::X\n0000020::Amélie (2001)::\n1853728::Django :: Unchained (2012)::Western\n"


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def table(path, form=None, scale=None):
    """User, movie, rating, time of each rating, by user, time, movie."""
    data = read_ratings(open_source(path, form), scale).ratings
    columns = (data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows], data.ratings, data.times)
    return list(zip(*(column.tolist() for column in columns)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_form_gives_the_same_ratings_and_movies(tmp_path, name):
    form, files, *genres = PUBLISHED[name]
    folder = write(tmp_path / "raw", files)
    for path in (folder, pack(folder, tmp_path / "set.zip")):
        source = open_source(path)
        assert source.format == form
        assert table(path) == ROWS
        names = zip(("Matrix, The (1999)", "Amélie (2001)", "Heat (1995)"), *(genres or [GENRES]))
        assert source.movies == dict(zip((10, 20, 30), names))
    together = contextlib.nullcontext()  # sets whose movie ids mean the same
    if name not in ("csv", "1m", "10m"):
        together = pytest.raises(DataError, match=f"movie ids of .*{form}.* mean different movies")
    with together:
        open_sources([folder, write_csv(tmp_path / "small")])


def test_movietweetings_is_known_by_ids_and_scale_and_mapped_in_a_straight_line(tmp_path):
    path = write(tmp_path / "raw", {"ratings.dat": TWEETINGS, "movies.dat": TWEETED})
    assert open_source(path).format == "movietweetings"
    assert [row[2] for row in table(path)] == pytest.approx([5.0, 0.5, 2.75, 4.1])
    assert [row[1] for row in table(path)] == [10, 20, 10, 1853728]
    assert open_source(path).movies[1853728][0] == "Django :: Unchained (2012)"
    ratings = [f"{u}::{m}::7::{BASE + u}\n" for u in (1, 2, 3) for m in (10, 20, 1853728)]
    run_setup(write(path, {"ratings.dat": "".join(ratings)}), tmp_path / "out")
    rows = (tmp_path / "out" / "movie_metadata.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[-3] for row in rows] == ["imdbId", "0000010", "0000020", "1853728"]
    few_stars = TWEETINGS.replace("::10::", "::5::").replace("::0::", "::1::").replace("::8::", "::3.5::")
    write(path, {"ratings.dat": few_stars, "movies.dat": TWEETED})
    with pytest.raises(DataError, match="give --source-format movietweetings, or dat"):
        open_source(path)
    assert table(path, "dat")[-1] == (2, 1853728, 3.5, BASE + 4)
    write(path, {"ratings.dat": few_stars.replace("::3.5::", "::0::")})
    assert open_source(path).format == "movietweetings"
    write(path, {"ratings.dat": TWEETINGS, "movies.dat": "10::A (1999)::X\n20::B (1999)::\n"})
    with pytest.raises(DataError, match=r"ratings\.dat line 1: rating '10' is not a number from 0\.5 to 5"):
        table(path)
    assert table(path, "movietweetings")[0] == (1, 10, 5.0, BASE + 1)
    with pytest.raises(DataError, match="give dat or movietweetings"):
        table(path, "100k")


def lines_of(rows) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


CELLS = [line.split(",") for line in LINES.splitlines()]
EXPECTED = sorted((tuple(map(float, row)) for row in CELLS), key=lambda row: (row[0], row[3], row[1]))


NUMBERED = list(enumerate(LINES.splitlines()))
SAME = {
    "CR line ends": (HEADER + LINES).replace("\n", "\r"),
    "an index of pandas": f",{HEADER}" + "".join(f"{i},{row}\n" for i, row in NUMBERED),
    "a separator after the header": (HEADER + LINES).replace("timestamp", "timestamp,"),
    "separators at the end": HEADER + LINES.replace("\n", ",\n") + ",,,\n",
    "decimal commas": (HEADER + LINES).replace(",", ";").replace(".", ","),
    "byte order mark": "\ufeff" + HEADER + LINES,
    "CRLF": (HEADER + LINES).replace("\n", "\r\n"),
    "no last newline": (HEADER + LINES).rstrip("\n"),
    "blank lines": HEADER + LINES.replace("\n", "\n\n"),
    "quotes": HEADER + lines_of([f'"{cell}"' for cell in row] for row in CELLS),
    "blanks": HEADER + lines_of([f" {cell} " for cell in row] for row in CELLS),
    "other order": "timestamp,x,rating,movieId,userId\n" + lines_of([t, "abc", r, m, u] for u, m, r, t in CELLS),
    "ids as floats": HEADER + lines_of([f"{u}.0", f"{m}.0", r, f"{t}.0"] for u, m, r, t in CELLS),
    "fractions of seconds": HEADER + lines_of([u, m, r, f"{t}.7"] for u, m, r, t in CELLS),
    "semicolons": (HEADER + LINES).replace(",", ";"),
    "tabs": (HEADER + LINES).replace(",", "\t"),
    "other names": "User_ID,MOVIE ID,Rating,Timestamp\n" + LINES,
    "item and score": "user,item,score,date\n" + LINES,
}


@pytest.mark.parametrize("way", SAME)
def test_ways_to_write_a_csv(tmp_path, way):
    assert table(write(write_csv(tmp_path), {"ratings.csv": SAME[way]})) == EXPECTED


DATES = {
    "2001-09-09 01:46:50": BASE + 10, "2001-09-09T01:46:50": BASE + 10, "2001-09-09T01:46:50Z": BASE + 10,
    "2001-09-09 03:46:50+02:00": BASE + 10, "2001-09-10": 1_000_080_000, f"{BASE}": BASE, f"{BASE}.9": BASE,
    '"2001-09-09 01:46:50"': BASE + 10,
}  # fmt: skip
BAD_TIMES = ["", "NULL", "nan", "soon", "-5", "1e30", "inf", "2015-13-45", "1500000000000"]
READ = {
    "dates": ("".join(f"1,{i},4.0,{date}\n" for i, date in enumerate(DATES)), sorted(DATES.values()), 0),
    "milliseconds": ("".join(f"1,{i},4.0,150000000{i}999\n" for i in range(9)), range(1_500_000_000, 1_500_000_009), 0),
    "microseconds": ("".join(f"1,{i},4.0,{BASE + i}999999\n" for i in (1, 2)), [BASE + 1, BASE + 2], 0),
    "nanoseconds": (f"1,1,4.0,{BASE}000000001\n1,2,4.0,{BASE + 1}000000000\n", [BASE, BASE + 1], 0),
    "outliers": (f"{LINES}4,10,3.0,0\n4,20,3.0,2015\n4,30,3.0,{BASE * 4}\n", [row[3] for row in EXPECTED], 3),
    "bad times": (LINES + "".join(f"4,10,3.0,{text}\n" for text in BAD_TIMES), [row[3] for row in EXPECTED], 9),
    "empty ratings": (LINES * 30 + f"4,10,,{BASE}\n4,20, ,{BASE}\n", [row[3] for row in EXPECTED], 2),
}


@pytest.mark.parametrize(("lines", "times", "n_dropped"), READ.values(), ids=READ)
def test_times_are_read_or_dropped_and_counted(tmp_path, lines, times, n_dropped):
    folder = write_csv(tmp_path / "raw", lines)
    assert [row[3] for row in table(folder)] == list(times)
    assert read_ratings(open_source(folder)).n_dropped == n_dropped


def test_chunks_do_not_change_the_result(tmp_path, monkeypatch):
    expected = [(u, m, 0.5 + (u * m) % 10 / 2, BASE + 40 * u + m) for u in range(1, 31) for m in range(1, 21)]
    lines = [f"{u},{m},{r},{t}\n" for u, m, r, t in expected]
    lines[300] = lines[300].replace(f",{expected[300][3]}", f",{np.datetime64(expected[300][3], 's')}")
    for size in (7, 100, 600):
        for name in ("CHUNK", "HEAD"):
            monkeypatch.setattr(ratings_table, name, size)
        assert table(write_csv(tmp_path / "dated", "".join(lines))) == expected
        assert table(write_csv(tmp_path / "plain", "".join(lines[:300]))) == expected[:300]
        with pytest.raises(DataError, match=r"ratings\.csv line 453: rating '9\.5' is not"):
            table(write_csv(tmp_path / "bad", LINES * 50 + f"\n1,10,9.5,{BASE}\n" + LINES))


def test_large_ids_stay_exact_and_another_scale_is_mapped_when_it_is_named(tmp_path):
    lines = f"{2**53 - 1},{2**40},1,{BASE}\n{2**31 - 1},5,4.0,soon\n{2**33},6,10,{BASE}\n{2**33},7,5.5,{BASE + 2}\n"
    folder = write_csv(tmp_path / "raw", lines)  # "soon" has the file read as text
    with pytest.raises(DataError, match="--rating-scale"):
        table(folder)
    rows = [(2**33, 6, 5.0, BASE), (2**33, 7, 2.75, BASE + 2), (2**53 - 1, 2**40, 0.5, BASE)]
    assert table(folder, scale=(1.0, 10.0)) == rows


def test_names_as_ids_are_numbered_and_kept(tmp_path, capsys):
    name = {"1": "änn", "2": "bob", "3": "17"}  # most are names, so all are
    movies = re.sub("^(?=[0-9])", "é", MOVIES, flags=re.MULTILINE)
    folder = write_csv(tmp_path / "raw", lines_of([name[u], f"é{m}", r, t] for u, m, r, t in CELLS), movies)
    write(folder, {"links.csv": "movieId,imdbId,tmdbId\né20,211915,5\n"})
    out = run_setup(folder, tmp_path / "out")
    said = capsys.readouterr().out
    assert all(f"{kind} ids are names" in said for kind in ("user", "movie"))
    assert (out / "user_ids.csv").read_text("utf-8") == "userId,name\n1,änn\n2,bob\n3,17\n"
    assert (out / "movie_ids.csv").read_text("utf-8") == "movieId,name\n1,é10\n2,é20\n3,é30\n"
    data = load_ratings(out)
    found = sorted(zip(data.user_rows().tolist(), data.movie_rows.tolist(), data.ratings.tolist()))
    assert found == sorted((int(u) - 1, int(m) // 10 - 1, float(r)) for u, m, r, _ in CELLS)
    assert (Catalog.load(out).movie(1).title, Catalog.load(out).movie(1).imdb_id) == ("Amélie", "0211915")
    nobody = lines_of([{**name, "2": "nan"}[u], f"é{m}", r, t] for u, m, r, t in CELLS)
    with pytest.raises(DataError, match=r"line .*userId 'nan'"):
        run_setup(write_csv(tmp_path / "nobody", nobody, movies), tmp_path / "no")
    with pytest.raises(DataError, match="names in the ratings, such as 'é10', but numbers in the list of movies"):
        run_setup(write_csv(tmp_path / "mixed", lines_of([u, f"é{m}", r, t] for u, m, r, t in CELLS)), tmp_path / "no")


def test_without_times_the_order_of_the_file_counts(tmp_path, capsys):
    folder = write_csv(tmp_path / "raw", lines_of(row[:3] for row in CELLS), header="userId,movieId,rating\n")
    out = run_setup(folder, tmp_path / "out")
    assert "no timestamp column" in capsys.readouterr().out
    parts = [load_split(out, part) for part in ("train", "val", "test")]
    assert not parts[0].has_times
    assert [part.movie_ids[part.movie_rows].tolist() for part in parts] == [[10, 20, 30], [20, 10, 10], [30, 30, 20]]
    with pytest.raises(DataError, match="no times"):
        split_data.main(["--processed", str(out), "--split", "global-time"])


ALIKE = {
    "all ratings are 1": {(u, m): 1 for u in range(4) for m in range(4)},
    "nobody likes a movie": {(u, m): 1 + (u + m) % 3 for u in range(4) for m in range(4)},
    "there is one user": {(1, m): 1 + m for m in range(4)},
}


def test_ratings_that_teach_nothing_are_told(tmp_path, capsys):
    for said, ratings in ALIKE.items():
        lines = [f"{u},{m},{rating},{BASE + m}\n" for (u, m), rating in ratings.items()]
        out = run_setup(write_csv(tmp_path / "raw", "".join(lines)), tmp_path / "out", "--min-movie-ratings", "1")
        told = capsys.readouterr().out
        assert said in told
        assert ("nobody likes a movie" in told) == (max(ratings.values()) < 4)
        with contextlib.suppress(DataError, ChoiceError):  # a message, no traceback
            train_svd_model.main(["--processed", str(out), "--rank", "2"])


def test_archives_and_names_of_other_tools(tmp_path):
    folder = write_csv(tmp_path / "raw")
    small = pack(folder, tmp_path / "small.zip")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as file:
        file.write(small, "archive/small.zip")
    windows = pack(folder, tmp_path / "windows.zip", inside="ml-tiny\\")
    with zipfile.ZipFile(windows, "a") as file:  # as a Mac adds them, and a folder below
        for name in ("__MACOSX/ml-tiny/ratings.csv", "__MACOSX/ml-tiny/movies.csv", "ml-tiny/._ratings.csv"):
            file.writestr(name, "junk")
        file.writestr("ml-tiny/old/ratings.csv", "junk")
    unix = {tmp_path / "unix.tar.gz": "gz", tmp_path / "unix.tgz": "gz", tmp_path / "unix.tar.bz2": "bz2"}
    for path, way in unix.items():
        with tarfile.open(path, f"w:{way}") as file:
            file.add(folder, "./ml-tiny")
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    capitals = write(tmp_path / "capitals", {name.upper(): text for name, text in content.items()})
    packed = write(tmp_path / "gz", {f"{name}.gz": gzip.compress(text) for name, text in content.items()})
    write(tmp_path / "100k", PUBLISHED["100k"][1])
    files = [folder / "ratings.csv", packed / "ratings.csv.gz", capitals / "RATINGS.CSV", packed]
    for path in (tmp_path / "archive.zip", windows, capitals, small / "ml-tiny", *unix, *files):
        assert table(path) == EXPECTED, path
    assert table(tmp_path / "100k" / "u.data") == ROWS
    (packed / "ratings.csv.gz").write_bytes((packed / "ratings.csv.gz").read_bytes()[:60])
    with pytest.raises(DataError, match="damaged"):
        table(packed)


def test_parts_of_two_data_sets_are_never_mixed(tmp_path, refused):
    one, two = write_csv(tmp_path / "a"), write(tmp_path / "b", PUBLISHED["csv"][1])
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for folder in (one, two):
            for path in folder.iterdir():
                file.write(path, f"{folder.name}/{path.name}")
    assert f"(a/ratings.csv, b/ratings.csv): name one, --data {archive}/a/ratings.csv" in refused(archive)
    assert table(archive / "b") == table(archive / "b" / "ratings.csv") == ROWS
    assert "has no ratings" in refused(archive / "c")
    with zipfile.ZipFile(archive, "a") as file:
        file.write(two / "movies.csv", "movies.csv")
        for path in one.iterdir():
            file.write(path, f"b/old/{path.name}")
        file.writestr("c/ratings.csv", HEADER)
    assert "c has ratings.csv but no movies.csv" in refused(archive / "c")
    assert (table(archive / "b"), table(archive / "b" / "old")) == (ROWS, EXPECTED)
    assert table(write_csv(tmp_path)) == EXPECTED  # a folder's own files come before those of its folders
    (one / "ratings.csv.gz").write_bytes(gzip.compress((two / "ratings.csv").read_bytes()))
    assert "several data sets (ratings.csv, ratings.csv.gz)" in refused(one)
    assert (table(one / "ratings.csv"), table(one / "ratings.csv.gz")) == (EXPECTED, ROWS)
    (one / "movies.csv.gz").write_bytes(b"")
    assert "has movies.csv and movies.csv.gz: keep one" in refused(one / "ratings.csv")


def test_data_one_level_down_is_found(tmp_path, refused):
    write_csv(tmp_path / "data" / "ml-tiny")
    pack(tmp_path / "data" / "ml-tiny", tmp_path / "data" / "ml-tiny.zip")
    assert table(tmp_path / "data") == EXPECTED
    assert open_source(tmp_path / "data").files.path.name == "ml-tiny"
    other = write_csv(tmp_path / "data" / "other")
    assert "several data sets (ml-tiny/ratings.csv, other/ratings.csv): name one" in refused(tmp_path / "data")
    (tmp_path / "packed").mkdir()
    assert table(pack(other, tmp_path / "packed" / "x.ZIP", inside="").parent) == EXPECTED


@pytest.fixture
def outcome(monkeypatch, capsys):
    def run(main, *arguments):
        """Run a program as the shell would, and return its error."""
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.run(main)
        error = capsys.readouterr().err
        assert (stop.value.code, error.count("\n"), error[:10]) == (2, 1, "tastevec: "), error
        return error

    return run


@pytest.fixture
def refused(tmp_path, outcome):
    def run(data, *flags):
        error = outcome(all_steps.main, "--data", data, "--output", tmp_path / "out", *TINY_FLAGS, *flags)
        assert not (tmp_path / "out").exists()
        return error

    return run


RATINGS = ("good", "nan", "5.5", "0")
USERS = ("me", "-1", "1.5", "", "9007199254740992")
IDS = ["1.23457E+15", "1,23457E+15", "1e+05", "1,234", "1.000", "1'234", "##", "#NAME?"]
REWRITTEN = (
    ("userId", '"{}",10,4,1000000009\n', IDS),
    ("movieId", '1,"{}",4,1000000009\n', ["1.0E+05", "12.345", "1.234.567"]),
    ("rating", "1,10,{},1000000009\n", ("4-May", "5. Apr", "04.05.2024", "2024-05-04", "Mai 50")),
    ("timestamp", '1,10,4,"{}"\n', ["1.4E+09", "1,4E+09", "1.400.001.010", "1,400,001,010"]),
)
NO_TIMES = {
    "seem to be years, such as 2015": (2014, 2015, 2016),
    "seem to be days as a spreadsheet counts them, such as 42072.5": (42071.9, 42072.5, 42073),
    "seem to be dates without dashes, such as 20150310": (20150309, 20150310, 20151231),
    "seem to be dates without dashes, such as 201503092252": (201503092251, 201503092252, 201503092253),
    "dates without dashes, such as 20150309225209": (20150309225208, 20150309225209, 20150309225210),
    "lie before 1993": (1, 2, 3, BASE),
    "lie in the future, such as 635": (635614635290000000, 635614635300000000),  # of .NET
    "lie in the future": ("2999-01-01", "2999-01-02", BASE),
    "in the future, such as 400": (4 * BASE, 4 * BASE + 1),
    "has the same time in every row, 1000000000": (BASE, BASE),
    "the same time in every row": ("2001-09-09", "2001-09-09"),
}
BAD_FILES = {
    "ratings.csv": {
        "empty": ("", "is empty: expected the columns userId,movieId,rating"),
        "only a header": (HEADER, "has no ratings"),
        "no header": (LINES, "has no column userId: its first line is '1,10,4.0,1000000100'"),
        "a column twice": ("userId,userId,movieId,rating,timestamp\n1,1,10,4.0,5\n", "has two columns userId"),
        "not text": (b"\xff\xfe\x00u\x00s", "has no column userId"),
        **{x: (HEADER + LINES.replace(",2.0,", f",{x},"), f"line 4: rating '{x}' is not a number") for x in RATINGS},
        "many empty ratings": (HEADER + LINES.replace(",2.0,", ",,"), "has 11% rows with an empty rating"),
        **{f"user {x}": (HEADER + x + LINES[1:], f"line 2: userId '{x}' is not a whole number from 0") for x in USERS},
        "a short line": (HEADER + re.sub("2,10.*", "2,10", LINES), "line 6: 2 columns, expected 4"),
        "a long line": (HEADER + LINES + "2,10,1.0,70,5\n", "line 11: 5 columns, expected 4"),
        "columns without a name": (HEADER + LINES.replace("\n", ",7\n"), "line 2: 5 columns, expected 4"),
        "row numbers without a name": (HEADER + "".join(f"{i},{row}\n" for i, row in NUMBERED), "line 2: 5 columns"),
        "an absurd line": (HEADER + "1,10," + "4" * (3 << 20), "has a line of more than 1,048,576 bytes"),
        "an absurd id": (HEADER + "9" * 5000 + ",10,4.0,100\n", "line 2: userId '9999"),
        **{x: (HEADER + LINES + row.format(x), f"11: {of} {x!r} is not a") for of, row, xs in REWRITTEN for x in xs},
        **{x: (HEADER + "".join(f"1,9,3.5,{t}\n" for t in times), x) for x, times in NO_TIMES.items()},
        "all ids rewritten": (HEADER + '"1,234",10,4,9\n"1,235",10,4,9\n', "line 2: userId '1,234' is not"),
        "a name shortened": (
            HEADER + "u" + LINES[:-1].replace("\n", "\nu") + "\n1E+23,10,4,9\n",
            "11: userId '1E+23' is not",
        ),
        "a quote left open": (HEADER + '1,10,4.0,"100\n' + LINES, "ratings.csv line"),
        "a quote open over lines": (
            f'{HEADER}1,10,4.0,"{BASE}\n{LINES}1,40,4.0,{BASE}"\n',
            "2: a cell has several lines",
        ),
        "all times missing": (HEADER + "1,10,4.0,\n1,20,4.0,\n", "no rating with a time (2 are missing or invalid)"),
        "nothing left": (HEADER + f"1,10,4.0,{BASE}\n", "none of 1 ratings is left after min_user_ratings 3"),
    },
    "movies.csv": {
        "empty": ("", "is empty: expected the columns movieId,title,genres"),
        "only a header": ("movieId,title,genres\n", "lists no movies"),
        "id a word": (MOVIES + "ten,A,B\n", "line 5: movieId 'ten' is not a whole number"),
        "a quote left open": (MOVIES + '40,"A\n50,"B, The",Drama\n', "movies.csv line 5: "),
        "a quote that goes on": (MOVIES + '40,"A\n50",Drama\n', "line 5: movie 40 spans several lines"),
        "a short line": (MOVIES + "40,A\n", "line 5: 2 columns, expected 3"),
    },
    "links.csv": {
        "a word": ("movieId,imdbId,tmdbId\n10,nm01,\n", "line 2: imdbId 'nm01' is not an id"),
        "no column": ("movieId,imdbId\n10,1\n", "has no column tmdbId"),
    },
    "tags.csv": {"of no movie": ("userId,movieId,tag\n1,x,a\n2,x,a\n", "line 2: movieId 'x' is not a whole")},
    "d.jsonl": {
        "not JSON": ('{"movieId": 10}\nhello\n', "line 2 is not JSON"),
        "too deep": ("[" * 100_000, "line 1 is not JSON"),
        "no id": ('{"title": "A"}\n', "line 1 needs a whole number as movieId"),
        "true": ('{"movieId": true}\n', "line 1 needs a whole number as movieId"),
        "twice": ('{"movieId": 10}\n{"movieId": 10}\n', "line 2: movieId 10 is described twice"),
        "a number": ('{"movieId": 10, "cast": 5}\n', "line 1: cast 5 is not a string"),
    },
}
CASES = [(name, case, *BAD_FILES[name][case]) for name in BAD_FILES for case in BAD_FILES[name]]


@pytest.mark.parametrize(("name", "case", "content", "message"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_bad_files(tmp_path, refused, name, case, content, message):
    folder = write(write_csv(tmp_path / "raw"), {name: content})
    error = refused(folder, *(["--descriptions", folder / name] if name == "d.jsonl" else []))
    assert name in error or case == "nothing left"
    assert message in error


def test_bad_places(tmp_path, refused):
    folder = write_csv(tmp_path / "raw", random_lines(0))
    archive = pack(folder, tmp_path / "set.zip")
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        at = file.getinfo("ml-tiny/ratings.csv").header_offset + 2000
    flags = re.compile(rb"(PK\x01\x02.{4}|PK\x03\x04.{2})(.)", re.DOTALL)  # of each header of the archive
    for content, message in (
        (data[: len(data) // 2], "set.zip is damaged or no archive"),
        (data[:at] + bytes(40) + data[at + 40 :], "ratings.csv is damaged"),
        (flags.sub(lambda found: found[1] + bytes([found[2][0] | 1]), data), "is encrypted"),
    ):
        archive.write_bytes(content)
        assert message in refused(archive)
    assert "no data at" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no ratings (none of ratings.csv, " in refused(tmp_path / "empty")
    write(folder, {"ratings.dat": "", "movies.dat": ""})
    assert "has several data sets (ratings.csv, ratings.dat): name one" in refused(folder)
    for name in ("ratings.dat", "movies.csv"):
        (folder / name).unlink()
    assert "has ratings.csv but no movies.csv: put the movie list beside it" in refused(folder)


def test_bad_settings(tmp_path, outcome):
    (path := tmp_path / "pipeline.yaml").write_text("train_fraction: 0.8\n")
    for step in (all_steps, filter_data, split_data, transform_data, build_metadata):
        error = outcome(step.main, "--output", tmp_path / "out", "--config", path)
        assert "0.8 + 0.15 + 0.15 is 1.1: they must add up to 1" in error
        if step in (split_data, transform_data):
            assert "no processed artifact in" in outcome(step.main, "--processed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_flags(tmp_path, refused, monkeypatch, outcome):
    data = write_csv(tmp_path / "raw")
    for flags, message in (
        ("--half-life-days -1", "-1.0 is out of range"),
        ("--format parquet", "argument --format: invalid choice: 'parquet'"),
        ("--rating-scale 5-1", "'5-1' is not a scale such as 1-10"),
        ("--config no/such.yaml", "no settings file at no/such.yaml"),
        ("--bundle", "no README with its terms of use"),
        ("--descriptions no/such.jsonl", "no descriptions at"),
    ):
        assert message in refused(data, *flags.split())
    monkeypatch.chdir(tmp_path)
    assert "did you mean ml-25m?" in outcome(download.main, "ml-25")
    assert "not an https" in outcome(download.main, "ml-1m", "--mirror", "http://example.org")
    assert "required: NAME" in outcome(download.main)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_what_is_there_is_not_harmed(tmp_path, outcome):
    data, out = write_csv(tmp_path / "raw"), tmp_path / "own"
    write(out, own := {"LICENSE": "mine", "notes.txt": "too", "train.csv": "[]"})
    error = outcome(all_steps.main, "--data", data, *TINY_FLAGS, "--output", out)
    assert f"{out / 'train.csv'} is not of tastevec: move it, or give another --output" in error
    assert {path.name: path.read_text() for path in out.iterdir()} == own
    (out / "train.csv").unlink()
    for _ in range(2):  # what it made itself it replaces
        run_setup(data, out)
    assert [(out / name).read_text() for name in ("LICENSE", "notes.txt")] == ["mine", "too"]
    (data / "README.md").write_text("terms")
    assert "LICENSE is not of tastevec" in outcome(all_steps.main, "--data", data, "--bundle", "--output", out)
    before = (out / "movie_metadata.csv").read_bytes()
    (data / "movies.csv").write_text(MOVIES.replace("Heat", "Cold"), encoding="utf-8")
    assert "the same --data for both steps" in outcome(build_metadata.main, "--data", data, "--output", out)
    assert (out / "movie_metadata.csv").read_bytes() == before


def test_a_full_disk_leaves_the_old_data_whole(tmp_path):
    """A limit on the size of a file stops the writing halfway, as a full disk does."""
    out = run_setup(write_csv(tmp_path / "raw", random_lines(1), random_movies()), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    flags = ["--data", str(tmp_path / "raw"), "--output", str(out), *TINY_FLAGS, "--half-life-days", "10"]
    errors, limit = tmp_path / "errors", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    assert exit_code(start(all_steps.main, *flags, on={2: errors}, first=limit)) == 2
    assert errors.read_text().count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
