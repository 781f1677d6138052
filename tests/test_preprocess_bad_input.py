"""Whatever is wrong with the input: one line that says what, where and what to do, exit code 2, nothing written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Callable

import pytest

from preprocess import build_metadata, download, filter_data, split_data, transform_data
from preprocess import setup as all_steps
from recommender import cli as command

from .raw_sets import HEADER, LINES, MOVIES, TINY_FLAGS, pack, random_lines, random_movies, write_csv

ROOT = Path(__file__).resolve().parents[1]


def outcome(main: Callable, arguments: list[str], monkeypatch, capsys) -> str:
    """Run a program as the shell would; return its one line of error, having checked that it is one, and code 2."""
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.run(main)
    error = capsys.readouterr().err
    assert stop.value.code == 2, error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert error.startswith("tastevec: ")
    return error


def replace_line(number: int, line: str) -> str:
    lines = LINES.splitlines(keepends=True)
    lines[number - 2] = line + "\n"
    return "".join(lines)


# What ratings.csv holds, and what the message says.
RATINGS = {
    "empty file": (b"", "ratings.csv is empty: expected the columns userId,movieId,rating,timestamp"),
    "blank file": (b"\n\n", "ratings.csv is empty"),
    "only a header": (HEADER, "ratings.csv holds no ratings"),
    "no header": (LINES, "has no column userId: its first line is '1,10,4.0,100', expected userId,movieId"),
    "other names": ("user_id,movieId,rating,timestamp\n" + LINES, "has no column userId"),
    "a column missing": ("userId,movieId,rating\n1,10,4.0\n", "has no column timestamp"),
    "a column twice": ("userId,userId,movieId,rating,timestamp\n1,1,10,4.0,5\n", "has twice the column userId"),
    "semicolons": (HEADER.replace(",", ";") + LINES.replace(",", ";"), "has no column userId"),
    "not text": (b"\xff\xfe\x00u\x00s", "ratings.csv is not UTF-8 text"),
    "rating a word": (HEADER + replace_line(3, "1,20,good,50"), "line 3: rating 'good' is not a number from 0.5 to 5"),
    "rating missing": (HEADER + replace_line(4, "1,30,,200"), "line 4: rating '' is not a number"),
    "rating NaN": (HEADER + replace_line(4, "1,30,nan,200"), "line 4: rating 'nan' is not a number"),
    "rating infinite": (HEADER + replace_line(4, "1,30,inf,200"), "line 4: rating 'inf' is not a number"),
    "rating too high": (
        HEADER + replace_line(10, "3,20,5.5,500"),
        "line 10: rating '5.5' is not a number from 0.5 to 5",
    ),
    "rating zero": (HEADER + replace_line(10, "3,20,0,500"), "line 10: rating '0' is not a number from 0.5 to 5"),
    "user a word": (HEADER + replace_line(2, "me,10,4.0,100"), "line 2: userId 'me' is not a whole number from 0"),
    "user negative": (HEADER + replace_line(2, "-1,10,4.0,100"), "line 2: userId '-1' is not a whole number"),
    "user a fraction": (HEADER + replace_line(2, "1.5,10,4.0,100"), "line 2: userId '1.5' is not a whole number"),
    "user missing": (HEADER + replace_line(2, ",10,4.0,100"), "line 2: userId '' is not a whole number"),
    "movie a word": (HEADER + replace_line(5, "2,Heat,5.0,70"), "line 5: movieId 'Heat' is not a whole number"),
    "movie too large": (HEADER + replace_line(5, "2,1e17,5.0,70"), "line 5: movieId '1e17' is not a whole number"),
    "user too large": (HEADER + replace_line(2, f"{2**53},10,4.0,100"), "line 2: userId '9007199254740992' is not"),
    "a short line": (HEADER + replace_line(6, "2,10"), "line 6: 2 columns, expected at least 4"),
    "a cut line": (HEADER + LINES[:-8], "line 10: 3 columns, expected at least 4"),
    "a quote left open": (HEADER + '1,10,4.0,"100\n' + LINES, "ratings.csv line"),
    "all times missing": (HEADER + "1,10,4.0,\n1,20,4.0,\n", "all 2 timestamps are missing or invalid"),
    "milliseconds": (HEADER + "1,10,4.0,1500000000000\n", "all 1 timestamps are missing or invalid: give seconds"),
    "nothing left": (HEADER + "1,10,4.0,100\n", "no rating is left of 1 after min_user_ratings 3"),
    "one user of two": (HEADER + "".join(f"{u},{m},4.0,5\n" for u in (1, 2, 3) for m in (10, 20)), "no rating is left"),
}


@pytest.mark.parametrize("case", RATINGS)
def test_bad_ratings(tmp_path, monkeypatch, capsys, case):
    content, message = RATINGS[case]
    folder = write_csv(tmp_path / "raw")
    (folder / "ratings.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    error = outcome(
        all_steps.main, ["--data", str(folder), "--output", str(tmp_path / "out"), *TINY_FLAGS], monkeypatch, capsys
    )
    assert message in error
    assert not (tmp_path / "out").exists()


MOVIE_LISTS = {
    "empty": ("", "movies.csv is empty: expected the columns movieId,title,genres"),
    "only a header": ("movieId,title,genres\n", "movies.csv lists no movies"),
    "a column missing": ("movieId,title\n10,A\n", "movies.csv has no column genres: its first line is 'movieId,title'"),
    "id a word": (MOVIES + "ten,A,B\n", "movies.csv line 5: movieId 'ten' is not a whole number"),
    "id twice": (MOVIES + "20,Again,Drama\n", "movies.csv line 5: movieId 20 is already on line 3: keep one"),
    "a quote left open": (MOVIES + '40,"A\n50,"B, The",Drama\n', "movies.csv line 6: movie 40 goes over several lines"),
    "a short line": (MOVIES + "40,A\n", "movies.csv line 5: 2 columns, expected 3"),
    "not UTF-8": (MOVIES.encode("latin-1"), "movies.csv line 3 is not UTF-8 (byte 0xe9)"),
}


@pytest.mark.parametrize("case", MOVIE_LISTS)
def test_bad_movie_lists(tmp_path, monkeypatch, capsys, case):
    content, message = MOVIE_LISTS[case]
    folder = write_csv(tmp_path / "raw")
    (folder / "movies.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = ["--data", str(folder), "--output", str(tmp_path / "out"), *TINY_FLAGS]
    assert message in outcome(all_steps.main, arguments, monkeypatch, capsys)
    assert not (tmp_path / "out").exists()


def test_lines_that_end_with_cr_alone(tmp_path, monkeypatch, capsys):
    folder = write_csv(tmp_path / "raw")
    content = (folder / "ratings.csv").read_bytes()
    (folder / "ratings.csv").write_bytes(content.replace(b"\n", b"\r"))
    arguments = ["--data", str(folder), "--output", str(tmp_path / "out"), *TINY_FLAGS]
    assert "ends its lines with CR alone" in outcome(all_steps.main, arguments, monkeypatch, capsys)


def test_metadata_of_another_data_set(tmp_path, monkeypatch, capsys):
    folder = write_csv(tmp_path / "raw")
    place = ["--output", str(tmp_path / "out")]
    all_steps.main(["--data", str(folder), *place, *TINY_FLAGS])
    capsys.readouterr()
    before = (tmp_path / "out" / "movie_metadata.csv").read_bytes()
    (folder / "movies.csv").write_text(MOVIES.replace("Heat", "Cold"), encoding="utf-8")
    error = outcome(build_metadata.main, ["--data", str(folder), *place], monkeypatch, capsys)
    assert "is not what" in error
    assert "give the same --data to both steps" in error
    assert (tmp_path / "out" / "movie_metadata.csv").read_bytes() == before


SIDE_FILES = {
    "link a word": (
        "links.csv",
        "movieId,imdbId,tmdbId\n10,nm01,\n",
        "links.csv line 2: imdbId 'nm01' is not a number",
    ),
    "link without digits": ("links.csv", "movieId,imdbId,tmdbId\n10,tt,\n", "line 2: imdbId 'tt' is not a number"),
    "link of half a movie": ("links.csv", "movieId,imdbId,tmdbId\n10,1,8.5\n", "line 2: tmdbId '8.5' is not a number"),
    "link to another site": ("links.csv", "movieId,imdbId,tmdbId\n10,1,tt8\n", "tmdbId 'tt8' is not a number"),
    "links without a column": ("links.csv", "movieId,imdbId\n10,1\n", "links.csv has no column tmdbId"),
    "tag of no movie": (
        "tags.csv",
        "userId,movieId,tag\n1,x,a\n2,x,a\n",
        "tags.csv line 2: movieId 'x' is not a whole",
    ),
    "descriptions not JSON": ("d.jsonl", '{"movieId": 10}\nhello\n', "d.jsonl line 2 is not JSON"),
    "descriptions too deep": ("d.jsonl", "[" * 100_000, "d.jsonl line 1 is not JSON"),
    "descriptions without id": ("d.jsonl", '{"title": "A"}\n', "d.jsonl line 1 has no whole number as its movieId"),
    "descriptions of a list": ("d.jsonl", "[1]\n", "d.jsonl line 1 has no whole number as its movieId"),
    "description twice": ("d.jsonl", '{"movieId": 10}\n{"movieId": 10}\n', "line 2: movieId 10 is described twice"),
    "description a number": ("d.jsonl", '{"movieId": 10, "cast": 5}\n', "line 1: cast 5 is not a text"),
    "descriptions not there": ("other", "", "no descriptions at"),
}


@pytest.mark.parametrize("case", SIDE_FILES)
def test_bad_side_files(tmp_path, monkeypatch, capsys, case):
    name, content, message = SIDE_FILES[case]
    folder = write_csv(tmp_path / "raw")
    (folder / name).write_text(content)
    arguments = ["--data", str(folder), "--output", str(tmp_path / "out"), *TINY_FLAGS]
    if not name.endswith(".csv"):
        arguments += ["--descriptions", str(folder / "d.jsonl")]
    assert message in outcome(all_steps.main, arguments, monkeypatch, capsys)
    assert not (tmp_path / "out").exists()


def in_place(tmp_path: Path, kind: str) -> Path:
    """Make a place that holds no usable data set and return it."""
    folder = write_csv(tmp_path / "raw")
    archive = tmp_path / "set.zip"
    if kind == "missing":
        return tmp_path / "nowhere"
    if kind == "empty folder":
        (tmp_path / "empty").mkdir()
        return tmp_path / "empty"
    if kind == "no movies":
        (folder / "movies.csv").unlink()
        return folder
    if kind == "two sets":
        (folder / "ratings.dat").write_text("1::1::1::1\n")
        return folder
    if kind == "not a zip":
        archive.write_bytes(b"PK\x03\x04 nothing of the kind")
        return archive
    if kind == "zip without ratings":
        (folder / "ratings.csv").unlink()
        return pack(folder, archive)
    (folder / "ratings.csv").write_text(HEADER + random_lines(0))
    pack(folder, archive)
    data = bytearray(archive.read_bytes())
    if kind == "zip cut short":
        archive.write_bytes(data[: len(data) // 2])
    elif kind == "zip damaged inside":
        with zipfile.ZipFile(archive) as file:
            at = file.getinfo("ml-tiny/ratings.csv").header_offset
        data[at + 2000 : at + 2040] = bytes(40)
        archive.write_bytes(data)
    elif kind == "zip encrypted":
        for signature, flags_at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            place = -1
            while (place := data.find(signature, place + 1)) >= 0:
                data[place + flags_at] |= 1
        archive.write_bytes(data)
    return archive


PLACES = {
    "missing": "no data at",
    "empty folder": "holds no ratings (none of ratings.csv, ratings.dat, u.data, nor a .zip)",
    "no movies": "holds ratings.csv but no movies.csv: put the movie list beside it",
    "two sets": "holds ratings.csv and ratings.dat: keep one data set in one place",
    "not a zip": "is not a .zip, or a damaged one: download it again",
    "zip without ratings": "holds no ratings: expected one of ratings.csv, ratings.dat, u.data",
    "zip cut short": "is not a .zip, or a damaged one: download it again",
    "zip damaged inside": "ratings.csv is damaged",
    "zip encrypted": "is encrypted: unpack it and give the folder",
}


@pytest.mark.parametrize("kind", PLACES)
def test_bad_places(tmp_path, monkeypatch, capsys, kind):
    arguments = ["--data", str(in_place(tmp_path, kind)), "--output", str(tmp_path / "out"), *TINY_FLAGS]
    assert PLACES[kind] in outcome(all_steps.main, arguments, monkeypatch, capsys)
    assert not (tmp_path / "out").exists()


SETTINGS = {
    "unknown key": ("min_user_rating: 5\n", "line 1: unknown key 'min_user_rating': did you mean min_user_ratings?"),
    "a word": ("iterative: false\nmin_user_ratings: many\n", "line 2: min_user_ratings: 'many' is not a whole number"),
    "a fraction": ("min_user_ratings: 2.5\n", "min_user_ratings: 2.5 is not a whole number"),
    "negative": ("min_movie_ratings: -1\n", "min_movie_ratings: -1 is out of range"),
    "not true or false": ("iterative: 1\n", "iterative: 1 is not true or false"),
    "no such split": ("split: random\n", "split: 'random' is not one of per-user, global-time"),
    "fractions": ("train_fraction: 0.8\n", "0.8 + 0.15 + 0.15 is 1.1: make them add up to 1"),
    "no half-life": ("half_life_days: 0\n", "half_life_days: 0 is out of range"),
    "a list": ("- 1\n", "holds a seq, not settings"),
    "not YAML": ("split: [\n", "is not valid YAML"),
}


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("step", [all_steps, filter_data, split_data, transform_data, build_metadata], ids=str)
def test_bad_settings(tmp_path, monkeypatch, capsys, case, step):
    content, message = SETTINGS[case]
    config = tmp_path / "pipeline.yaml"
    config.write_text(content)
    arguments = ["--output", str(tmp_path / "out"), "--config", str(config)]
    assert message in outcome(step.main, arguments, monkeypatch, capsys)
    assert not (tmp_path / "out").exists()


FLAGS = {
    "unknown flag": (["--min-users", "5"], "unrecognized arguments: --min-users 5: see --help"),
    "a word": (["--min-user-ratings", "five"], "argument --min-user-ratings: invalid int value: 'five'"),
    "out of range": (["--half-life-days", "-1"], "-1.0 is out of range"),
    "fractions": (["--test-fraction", "0.5"], "0.7 + 0.15 + 0.5 is 1.35: make them add up to 1"),
    "no such format": (["--format", "parquet"], "argument --format: invalid choice: 'parquet'"),
    "no such source": (["--source-format", "ml"], "--source-format: 'ml' is not one of csv, dat, 100k, movietweetings"),
    "no config": (["--config", "no/such.yaml"], "no settings file at no/such.yaml"),
    "no terms": (["--bundle"], "holds no README with its terms of use"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_bad_flags(tmp_path, monkeypatch, capsys, case):
    flags, message = FLAGS[case]
    data = write_csv(tmp_path / "raw")
    arguments = ["--data", str(data), "--output", str(tmp_path / "out"), *TINY_FLAGS, *flags]
    assert message in outcome(all_steps.main, arguments, monkeypatch, capsys)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_output_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    data = write_csv(tmp_path / "raw")
    (tmp_path / "file").write_text("mine")
    base = ["--data", str(data), *TINY_FLAGS, "--output"]
    error = outcome(all_steps.main, [*base, str(tmp_path / "file")], monkeypatch, capsys)
    assert "file is a file, not a folder: give another --output" in error
    error = outcome(all_steps.main, [*base, str(tmp_path / "file" / "out")], monkeypatch, capsys)
    assert "file is a file, not a folder: give another --output" in error
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write in a read-only folder")
def test_read_only_folder(tmp_path, monkeypatch, capsys):
    data = write_csv(tmp_path / "raw")
    (tmp_path / "out").mkdir(mode=0o555)
    arguments = ["--data", str(data), *TINY_FLAGS, "--output", str(tmp_path / "out")]
    assert "no permission: choose another folder" in outcome(all_steps.main, arguments, monkeypatch, capsys)


@pytest.mark.parametrize("step", [split_data, transform_data], ids=["split", "transform"])
def test_a_step_before_the_one_it_needs(tmp_path, monkeypatch, capsys, step):
    error = outcome(step.main, ["--output", str(tmp_path / "out")], monkeypatch, capsys)
    assert "no processed artifact in" in error
    assert "run python -m preprocess.setup" in error


@pytest.mark.parametrize("flags", [["ml-25"], ["netflix"], ["ml-1m", "--mirror", "http://example.org"], []])
def test_bad_downloads(tmp_path, monkeypatch, capsys, flags):
    monkeypatch.chdir(tmp_path)
    error = outcome(download.main, flags, monkeypatch, capsys)
    assert any(text in error for text in ("did you mean ml-25m?", "known: ml-latest", "not an https", "required: NAME"))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_data_whole(tmp_path):
    """A limit on the size of a file stops the writing halfway, as a full disk does."""
    data = write_csv(tmp_path / "raw", random_lines(1), random_movies())
    arguments = ["--data", str(data), *TINY_FLAGS, "--output", str(tmp_path / "out")]
    all_steps.main(arguments)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for limit in (2_000, 40_000):
        run = subprocess.run(
            [sys.executable, "-m", "preprocess.setup", *arguments, "--half-life-days", "10"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        assert run.returncode == 2, run.stderr
        assert run.stderr.count("\n") == 1, run.stderr
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "module", ["setup", "filter_data", "split_data", "transform_data", "build_metadata", "download"]
)
def test_programs_run_as_files_from_anywhere(module, tmp_path):
    file = str(ROOT / "preprocess" / f"{module}.py")
    run = subprocess.run([sys.executable, file, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"python -m preprocess.{module}" in run.stdout
