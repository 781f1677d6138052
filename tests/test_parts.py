"""Ratings in many parts, .csv, .csv.gz or .parquet, become what one file of them becomes."""

from __future__ import annotations

import filecmp
import gzip
from pathlib import Path

import numpy as np
import pytest

from preprocess import setup
from recommender.data.errors import ChoiceError, DataError
from recommender.data.raw.parts import read_parts
from recommender.data.raw.ratings_table import read_ratings
from recommender.data.raw.sources import open_source
from tests.raw_sets import HEADER, random_lines, random_movies, write_csv

FLAGS = ["--min-user-ratings", "3", "--min-movie-ratings", "3"]


def write_parts(folder: Path, ending: str, n: int = 4) -> Path:
    """Write `random_lines(0)` as n parts of about equal size."""
    rows = random_lines(0).splitlines(keepends=True)
    (folder / "ratings").mkdir(parents=True)
    (folder / "movies.csv").write_text(random_movies(), encoding="utf-8")
    for at, some in enumerate(np.array_split(rows, n)):
        write_part(folder / "ratings" / f"part-{at}{ending}", "".join(some.tolist()))
    return folder


def write_part(path: Path, lines: str, header: str = HEADER) -> None:
    if path.suffix == ".parquet":
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        users, movies, ratings, times = zip(*(line.split(",") for line in lines.split()))
        seconds = pandas.to_datetime(np.array(times, dtype=np.int64), unit="s")  # as a date
        columns = {"user_id": np.int64(users), "movie_id": np.int64(movies), "rating": np.float32(ratings)}
        pandas.DataFrame({**columns, "timestamp": seconds}).to_parquet(path, index=False)
    else:
        text = (header + lines).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_parts_are_read_as_one_file(tmp_path, ending):
    whole = read_ratings(open_source(write_csv(tmp_path / "one", random_lines(0), random_movies())))
    parts = read_parts(open_source(write_parts(tmp_path / "parts", ending)))
    assert parts.notes[0] == "ratings are read from 4 parts"
    assert parts.notes[1:] == whole.notes != []
    assert parts.n_rows == whole.n_rows
    for name, exact in vars(whole.ratings).items():
        np.testing.assert_array_equal(getattr(parts.ratings, name), exact)


def test_preprocessing_of_parts_writes_the_same_files(tmp_path, capsys):
    write_csv(tmp_path / "one", random_lines(0), random_movies())
    write_parts(tmp_path / "parts", ".csv")
    for name in ("one", "parts"):
        setup.main(["--data", str(tmp_path / name), "--output", str(tmp_path / f"of {name}"), *FLAGS])
    names = sorted({path.name for path in (tmp_path / "of one").iterdir()} - {"manifest.json"})
    assert len(names) > 10
    assert filecmp.cmpfiles(tmp_path / "of one", tmp_path / "of parts", names, shallow=False)[0] == names
    assert "ratings are read from 4 parts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "header", "said"),
    [
        ("1,x,4,1000000000\n", HEADER, "not of plain numbers"),
        ("1,2,9,1000000000\n", HEADER, "not of plain numbers.*0.5 to 5"),
        ("1,2,4\n", "userId,movieId,rating\n", "not of plain numbers"),
        ("1,2,4,5\n", "who,what,stars,when\n", "has no column"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(tmp_path, lines, header, said):
    folder = write_parts(tmp_path / "parts", ".csv")
    write_part(folder / "ratings" / "part-9.csv", lines, header)
    with pytest.raises(DataError, match=rf"part-9\.csv.*{said}"):
        read_parts(open_source(folder))


def test_parquet_that_is_none_or_has_other_columns(tmp_path):
    pytest.importorskip("pyarrow")
    folder = write_parts(tmp_path / "parts", ".parquet")
    pandas = pytest.importorskip("pandas")
    for name in ("damaged", "other", "empty cell"):
        path = folder / "ratings" / "part-9.parquet"
        frame = pandas.DataFrame({"userId": [1], "movieId": [2], "rating": [3.0], "timestamp": [10**9]})
        if name == "damaged":
            path.write_bytes(b"PAR1")
        elif name == "other":
            frame.rename(columns={"rating": "colour"}).to_parquet(path)
        else:
            frame.astype({"movieId": "Int64"}).assign(movieId=pandas.array([None], "Int64")).to_parquet(path)
        with pytest.raises(DataError, match=r"part-9\.parquet"):
            read_parts(open_source(folder))


def test_parts_beside_one_file_and_an_engine_for_one_file(tmp_path):
    folder = write_csv(write_parts(tmp_path / "parts", ".csv"))
    with pytest.raises(DataError, match="keep one"):
        open_source(folder)
    flags = ["--data", str(write_csv(tmp_path / "one")), "--output", str(tmp_path / "out")]
    with pytest.raises(ChoiceError, match=r"one file.*parts"):
        setup.main([*flags, "--engine", "dask"])


@pytest.mark.dev
def test_parts_on_dask(tmp_path):
    pytest.importorskip("distributed")
    folder = write_parts(tmp_path / "parts", ".csv", 7)
    for engine in ("numpy", "dask"):
        setup.main(["--data", str(folder), "--output", str(tmp_path / engine), *FLAGS, "--engine", engine])
    names = sorted({path.name for path in (tmp_path / "numpy").iterdir()} - {"manifest.json"})
    assert filecmp.cmpfiles(tmp_path / "numpy", tmp_path / "dask", names, shallow=False)[0] == names
