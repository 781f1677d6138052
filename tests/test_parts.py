"""Ratings in many parts, .csv, .csv.gz or .parquet, become what one file of them becomes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from preprocess import setup
from recommender.data.errors import ChoiceError, DataError
from recommender.data.raw.parts import read_parts
from recommender.data.raw.sources import open_source
from tests.raw_sets import HEADER, random_lines, random_movies, run_setup, write_csv


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
        pytest.importorskip("pyarrow")
        users, movies, ratings, times = zip(*(line.split(",") for line in lines.split()))
        seconds = pd.to_datetime(np.array(times, dtype=np.int64), unit="s")  # as a date
        columns = {"user_id": np.int64(users), "movie_id": np.int64(movies), "rating": np.float32(ratings)}
        pd.DataFrame({**columns, "timestamp": seconds}).to_parquet(path, index=False)
    else:
        text = (header + lines).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def of_setup(tmp_path: Path, name: str, *flags: str) -> dict[str, bytes]:
    out = run_setup(tmp_path / name, tmp_path / f"of {name} {flags}", *flags)
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "manifest.json"}


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_parts_become_what_one_file_becomes(tmp_path, capsys, ending):
    write_csv(tmp_path / "one", random_lines(0), random_movies())
    write_parts(tmp_path / "parts", ending)
    assert of_setup(tmp_path, "one") == of_setup(tmp_path, "parts")
    one, parts = (text.splitlines() for text in capsys.readouterr().out.split("filter\n")[1:])
    assert one[1:-1] == parts[2:-1]
    assert "ratings are read from 4 parts" in parts[1]


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
    path = folder / "ratings" / "part-9.parquet"
    frame = pd.DataFrame({"userId": [1], "movieId": [2], "rating": [3.0], "timestamp": [10**9]})
    for harm in (
        lambda: path.write_bytes(b"PAR1"),
        lambda: frame.rename(columns={"rating": "color"}).to_parquet(path),
        lambda: frame.assign(movieId=pd.array([None], "Int64")).to_parquet(path),
    ):
        harm()
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
    write_parts(tmp_path / "parts", ".csv", 7)
    assert of_setup(tmp_path, "parts") == of_setup(tmp_path, "parts", "--engine", "dask")
