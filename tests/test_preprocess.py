"""The pipeline against the same rules written plainly in pandas, row for row; and its steps against each other."""

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from preprocess import build_metadata, filter_data, setup, split_data, transform_data
from preprocess.steps import STEPS, PipelineSettings
from recommender.data import artifacts, files
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError
from recommender.data.interactions import FILES, concat
from recommender.data.raw.sources import open_sources
from recommender.data.splits import PARTS, load_all, load_movies, load_ratings, load_split, part_per_user

from .raw_sets import BASE, LINES, MOVIES, TINY_FLAGS, pack, random_lines, random_movies, run_setup, write_csv
from .tiny import load_final_rating

ROOT = Path(__file__).resolve().parents[1]
ZIPS = [ROOT.parent / "shared" / "data" / f"ml-latest-{name}.zip" for name in ("small", "2023-head")]
CSV_RATINGS = {f"{name}.csv" for part in PARTS for name in (part, f"{part}_transformed")} | {"ratings_filtered.csv"}
OTHER_FILES = {
    *(*FILES, "history_parts.npy"),
    *("movies_filtered.csv", "movie_features.csv", "movie_metadata.csv", "movie_popularity.json"),
    *("user_means.json", "train_max_timestamp.txt", "manifest.json"),
}


def filter_plainly(ratings: pd.DataFrame, users: int, movies: int, movies_first=False, iterative=False) -> pd.DataFrame:
    """Requirements, section 2, filter, with groupby."""
    ratings = ratings.assign(timestamp=pd.to_datetime(ratings["timestamp"], unit="s"))
    ratings = ratings.sort_values("timestamp", kind="stable").drop_duplicates(["userId", "movieId"], keep="last")
    rules = [("userId", users), ("movieId", movies)]
    while True:
        before = len(ratings)
        for column, least in reversed(rules) if movies_first else rules:
            ratings = ratings.groupby(column).filter(lambda group, least=least: len(group) >= least)
        if not iterative or len(ratings) == before:
            return ratings


def split_plainly(ratings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each user's ratings by time, 70 / 15 / 15, by a loop over users; at least one in each part."""
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in PARTS}
    for _, own in ratings.sort_values(["timestamp", "movieId"]).groupby("userId"):
        n = len(own)
        n_val = max(n * 15 // 100, 1)  # whole numbers, so that no rounding of 0.7 * n comes in
        n_train = min(n * 70 // 100, n - 1 - n_val)
        if n < 3:
            continue
        for name, rows in zip(PARTS, (own[:n_train], own[n_train : n_train + n_val], own[n_train + n_val :])):
            parts[name].append(rows)
    return {name: pd.concat(rows).reset_index(drop=True) for name, rows in parts.items()}


def transform_plainly(parts: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Requirements, section 2, transform."""
    train = parts["train"]
    means = train.groupby("userId")["rating"].mean()
    counts = train.groupby("movieId").size()
    newest = train["timestamp"].max()
    result = {}
    for name, part in parts.items():
        days = ((newest - part["timestamp"]).dt.total_seconds() / 86_400).clip(lower=0)
        new = part.assign(user_mean=part["userId"].map(means))
        new["rating_norm"] = new["rating"] - new["user_mean"]
        new["pop_weight"] = new["movieId"].map(lambda movie: 1 / counts[movie] ** 0.5 if movie in counts.index else 1.0)
        new["time_weight"] = np.exp(-np.log(2) * days / 365)
        result[name] = new.assign(final_rating=new["rating_norm"] * new["pop_weight"] * new["time_weight"])
    return result


def same_rows(path: Path, expected: pd.DataFrame, tolerance: float = 0.0) -> None:
    table, expected = pd.read_csv(path, parse_dates=["timestamp"]), expected.reset_index(drop=True)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=tolerance, atol=tolerance)


def compare_with_pandas(folder: Path, raw: pd.DataFrame, users: int, movies: int, **order: bool) -> None:
    """Every file that the pipeline wrote to `folder` against the plain rules."""
    filtered = filter_plainly(raw, users, movies, **order)
    parts = split_plainly(filtered)
    same_rows(folder / "ratings_filtered.csv", filtered.sort_values(["userId", "timestamp", "movieId"]))
    listed = pd.read_csv(folder / "movies_filtered.csv")
    assert listed["movieId"].tolist() == sorted(filtered["movieId"].unique())
    for name, expected in transform_plainly(parts).items():
        same_rows(folder / f"{name}.csv", parts[name])
        found = load_split(folder, name)
        assert found.user_ids[found.user_rows()].tolist() == parts[name]["userId"].tolist()
        assert found.movie_ids[found.movie_rows].tolist() == parts[name]["movieId"].tolist()
        same_rows(folder / f"{name}_transformed.csv", expected, tolerance=2e-6)
        final = load_final_rating(folder, name)
        np.testing.assert_allclose(final, expected["final_rating"], rtol=2e-7, atol=1e-9)
    train = parts["train"]
    means = json.loads((folder / "user_means.json").read_text())
    by_user = train.groupby("userId")["rating"].mean()
    assert means == pytest.approx(dict(zip(map(str, by_user.index), by_user)), abs=1e-6)
    counts = train.groupby("movieId").size().reindex(listed["movieId"], fill_value=0)
    popularity = json.loads((folder / "movie_popularity.json").read_text())
    assert popularity == dict(zip(map(str, counts.index), counts))
    assert (folder / "train_max_timestamp.txt").read_text() == f"{train['timestamp'].max()}\n"


def setup_of(tmp_path: Path, lines: str = LINES, movies: str = MOVIES, *flags: str) -> Path:
    return run_setup(write_csv(tmp_path / "raw", lines, movies), tmp_path / "out", *flags)


def same_files(one: Path, other: Path, *but: str) -> None:
    for name in sorted({path.name for path in one.iterdir()} - {*but}):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("order", [{}, {"movies_first": True}, {"iterative": True}], ids=str)
def test_equals_pandas_on_random_ratings(tmp_path, seed, order):
    flags = ["--min-user-ratings", "12", "--min-movie-ratings", "15", *(f"--{k.replace('_', '-')}" for k in order)]
    folder = setup_of(tmp_path, random_lines(seed), random_movies(), *flags)
    compare_with_pandas(folder, pd.read_csv(tmp_path / "raw" / "ratings.csv"), 12, 15, **order)


def test_sizes_of_the_parts(tmp_path):
    for sizes in ((1, 1, 1), (2, 1, 1), (4, 1, 2), (14, 3, 3), (63, 13, 14)):
        assert part_per_user(np.array([0, sum(sizes)])).tolist() == np.repeat([0, 1, 2], sizes).tolist()
    folder = setup_of(tmp_path, f"{LINES}4,10,3.0,{BASE}\n4,20,3.0,{BASE}\n", MOVIES, "--min-user-ratings", "1")
    parts = [load_split(folder, name) for name in PARTS]
    assert [part.n_ratings for part in parts] == [3, 3, 3]
    assert [part.user_ids.tolist() for part in parts] == [[1, 2, 3, 4]] * 3  # user 4, with two ratings, is in no part
    assert (load_all(folder).n_ratings, load_ratings(folder).n_ratings) == (9, 11)


def test_global_time_cuts_at_two_dates_and_takes_away_what_was_made_of_the_old_parts(tmp_path):
    folder = setup_of(tmp_path, random_lines(5), random_movies())
    (folder / "mine.md").write_text("not ours")
    split_data.main(["--output", str(folder), "--split", "global-time"])
    names = {path.name for path in folder.iterdir()}
    assert {"train.csv", "movie_metadata.csv", "history_times.npy", "mine.md"} <= names
    assert not {name for name in names if "transformed" in name or name == "user_means.json"}
    with pytest.raises(ArtifactError, match="train_transformed"):
        load_final_rating(folder, "train")
    transform_data.main(["--output", str(folder)])
    train, val, test = (load_split(folder, name) for name in PARTS)
    assert train.times.max() < val.times.min()
    assert val.times.max() < test.times.min()
    shares = np.array([part.n_ratings for part in (train, val, test)]) / load_ratings(folder).n_ratings
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.02)
    # people who came later have no train ratings: their mean is that of everybody
    final = load_final_rating(folder, "test")
    row = np.flatnonzero((np.diff(train.indptr) == 0)[test.user_rows()])[0]
    count = max(int(train.movie_counts()[test.movie_rows[row]]), 1)
    assert final[row] == pytest.approx((test.ratings[row] - train.ratings.mean()) / count**0.5, rel=1e-5)


def test_every_setting_changes_the_files(tmp_path):
    data, out = write_csv(tmp_path / "raw", random_lines(0), random_movies()), tmp_path / "out"
    tags = [f"{u},{m},{tag},5\n" for u in (1, 2) for m in range(1, 121, 3) for tag in ("b", "a", f"u{u}")]
    (data / "tags.csv").write_text("userId,movieId,tag,timestamp\n" + "".join(tags))

    def files(flags: str) -> dict[str, bytes]:
        run_setup(data, out, "--format", "csv", *f"--min-user-ratings 12 --min-movie-ratings 15 {flags}".split())
        return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "manifest.json"}

    assert {name for step in STEPS.values() for name in step.settings} == {*PipelineSettings.__dataclass_fields__}
    plain = files("")
    assert files("") == plain
    assert b",a; b," in plain["movie_metadata.csv"]
    changes = {
        "ratings_filtered.csv": "--min-user-ratings 14, --min-movie-ratings 16, --movies-first, --iterative",
        "train.csv": "--split global-time, --train-fraction 0.5 --val-fraction 0.35, --min-split-ratings 14",
        "train_transformed.csv": "--popularity-power 1, --half-life-days 30",
        "movie_metadata.csv": "--min-tag-users 1, --max-tags 1",
    }
    for changed, flags in ((name, flags) for name, several in changes.items() for flags in several.split(", ")):
        now, before = files(flags)[changed], plain[changed]
        if "transformed" in changed:  # the product, not only its factors
            now, before = ([line.rsplit(b",", 1)[1] for line in text.splitlines()] for text in (now, before))
        assert now != before, flags


def test_steps_one_by_one_write_what_setup_writes_in_every_form(tmp_path):
    data = write_csv(tmp_path / "raw", random_lines(4), random_movies())
    for form, expected in {"csv": CSV_RATINGS, "npy": set[str](), "both": CSV_RATINGS}.items():
        # cut by time, not everybody is in every part, yet the vocabularies are shared
        one = run_setup(data, tmp_path / form, "--format", form, "--split", "global-time")
        assert {path.name for path in one.iterdir()} == OTHER_FILES | expected
    other = tmp_path / "steps"
    place = ["--format", "csv", "--output", str(other)]
    filter_data.main(["--data", str(data), *place, *TINY_FLAGS])
    split_data.main([*place, "--split", "global-time"])
    transform_data.main(place)
    build_metadata.main(["--data", str(data), *place])
    same_files(tmp_path / "csv", other, "manifest.json")
    files, same = (json.loads((tmp_path / run / "manifest.json").read_text())["files"] for run in ("csv", "steps"))
    assert {name: entry["step"] for name, entry in files.items()} == {name: one["step"] for name, one in same.items()}


ONCE = random_lines(9, n_twice=0)
BACKWARDS = "".join(sorted(ONCE.splitlines(keepends=True), key=lambda line: line[::-1]))


@pytest.mark.parametrize(("one", "other"), [(LINES, LINES * 2), (ONCE, BACKWARDS)], ids=["repetition", "order"])
def test_neither_order_nor_repetition_matters(tmp_path, one, other):
    same_files(*(setup_of(tmp_path / name, lines, random_movies()) for name, lines in (("a", one), ("b", other))))


def test_the_report_says_what_was_kept_and_dropped(tmp_path, capsys):
    lines = f"{LINES}4,10,3.0,{BASE}\n1,10,4.5,{BASE + 150}\n3,10,2.0,\n3,10,2.0,yesterday\n2,99,2.0,{BASE}\n"
    folder = setup_of(tmp_path, lines, MOVIES, "--min-movie-ratings", "1")
    out = capsys.readouterr().out
    said = "read 14 ratings, 3 movies; 2 ratings dropped: missing; 1 ratings dropped: the same; 3 of 4 kept"
    assert all(line in out for line in said.split("; "))
    assert Catalog.load(folder).movie(3).title == "Movie 99"
    assert list(load_movies(folder)) == [10, 20, 30, 99] == load_split(folder, "train").movie_ids.tolist()


def test_metadata_joins_links_tags_and_descriptions(tmp_path):
    data = write_csv(tmp_path / "raw", movies=MOVIES.replace("(1995)", "").replace("Amélie (2001)", "Amélie (2002)"))
    (data / "links.csv").write_text("movieId,imdbId,tmdbId\n10,tt0133093,603.0\n20,211915,\n")
    tags = "1,20,Paris,1\n2,20, paris ,2\n1,20,whimsy,3\n1,10,bullet time,1\n2,10,bullet time,1\n"
    (data / "tags.csv").write_text("userId,movieId,tag,timestamp\n" + tags)
    described = {"movieId": 10, "director": "A; B", "cast": ["C", "D"], "keywords": "hacker", "overview": "One\nline."}
    (tmp_path / "d.jsonl").write_text(json.dumps(described) + "\n\n" + json.dumps({"movieId": 77}) + "\n")
    with (tmp_path / "d.jsonl").open("a") as file:
        file.writelines(json.dumps({"movieId": i, "year": "1995"}) + "\n" for i in (20, 30))
    catalog = Catalog.load(run_setup(data, tmp_path / "out", "--descriptions", str(tmp_path / "d.jsonl")))
    first, second, third = map(catalog.movie, range(3))
    assert (first.title, first.year, first.genres) == ("The Matrix", 1999, ("Action", "Sci-Fi"))
    assert (first.director, first.cast, first.keywords) == ("A; B", ("C", "D"), ("hacker",))
    assert (first.overview, first.imdb_id, first.tmdb_id) == ("One line.", "0133093", "603")
    assert (str(second), str(third)) == ("Amélie (2002)", "Heat (1995)")  # what a title says goes first
    assert (second.title, second.keywords, second.imdb_id, second.tmdb_id) == ("Amélie", ("paris",), "0211915", "")
    assert (third.director, third.keywords, third.imdb_id, third.n_ratings) == ("", (), "", 0)


def test_tags_are_counted_as_a_loop_counts_them(tmp_path):
    rng, folders = np.random.default_rng(0), [write_csv(tmp_path / name) for name in ("one", "two")]
    cells = (
        ["1", "2.0", "2", "3"],
        ["10", "20.0", "20"],
        ["b", "B ", "a; c", '"a, c"', " a c", "é|b", "", '"Q ""x"""'],
    )
    events = set()
    for folder in folders:
        text = "".join(",".join(str(rng.choice(of)) for of in cells) + "\n" for _ in range(60))
        (folder / "tags.csv").write_text(f"userId,movieId,tag\n{text}", encoding="utf-8")
        for user, movie, tag in csv.reader(text.splitlines(), skipinitialspace=True):
            tag = " ".join(re.findall(r"[^\s;|]+", tag.lower()))
            events.add((int(float(movie)), tag, int(float(user)), folder))
    counts = Counter((movie, tag) for movie, tag, *_ in events if tag)
    expected: dict[int, list[str]] = {}
    for (movie, tag), n in sorted(counts.items(), key=lambda item: (-item[1], item[0][1])):
        if n >= 3:
            expected.setdefault(movie, []).append(tag)
    assert max(map(len, expected.values())) > 4
    found = build_metadata.read_tags(open_sources(folders), PipelineSettings(min_tag_users=3, max_tags=4), [])
    assert found == {movie: "; ".join(tags[:4]) for movie, tags in expected.items()}


def test_what_was_damaged_since_is_refused_by_name(tmp_path):
    folder = setup_of(tmp_path)
    with pytest.raises(ChoiceError, match="no part called 'dev': the parts are train, val, test"):
        load_split(folder, "dev")
    for name in ("history_parts.npy", "history_movie_rows.npy"):
        (folder / name).write_bytes((folder / name).read_bytes()[::-1])
        with pytest.raises(ArtifactError, match=rf"{name} is damaged.*run python -m preprocess\.setup"):
            load_split(folder, "val")
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing: run python -m preprocess\.setup --output {folder}"):
        load_all(folder)
    with pytest.raises(ArtifactError, match="no processed artifact in"):
        load_split(tmp_path / "elsewhere", "train")


def test_a_large_history_is_mapped_and_hashed_only_if_it_may_have_changed(tmp_path, monkeypatch):
    for module in (files, artifacts):
        monkeypatch.setattr(module, "LARGE", 500)  # bytes
    folder = setup_of(tmp_path, random_lines(3), random_movies())
    path, read = folder / "history_movie_rows.npy", list[Path]()
    monkeypatch.setattr(artifacts, "checksum", lambda path: read.append(path) or files.checksum(path))
    data, parts = load_all(folder), concat(*(load_split(folder, part) for part in PARTS))
    assert all(np.array_equal(one, other) for one, other in zip(vars(data).values(), vars(parts).values()))
    assert path not in read
    assert isinstance(data.movie_rows[data.row(5)].base.base, np.memmap)  # a view, not a copy, of one person's past
    os.utime(path, ns=(0, 0))  # as a copy of the folder may have it
    load_all(folder)
    assert path in read
    changed = bytearray(path.read_bytes())
    changed[-4] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ArtifactError, match=r"movie_rows.npy is damaged or from another run"):
        load_all(folder)


def test_bundle_holds_what_the_programs_need_and_the_terms(tmp_path):
    data = write_csv(tmp_path / "raw", random_lines(2), random_movies())
    terms = b"Use it kindly.\r\n"
    (data / "README.txt").write_bytes(terms)
    archive = pack(data, tmp_path / "set.zip")
    out, full = run_setup(archive, tmp_path / "out", "--bundle"), run_setup(archive, tmp_path / "full")
    names = {path.name for path in out.iterdir()}
    assert names == OTHER_FILES | {"LICENSE"}
    assert set(json.loads((out / "manifest.json").read_text())["files"]) == names - {"manifest.json"}
    assert (out / "LICENSE").read_bytes() == terms
    same_files(out, full, "LICENSE", "manifest.json")


def two_sets(tmp_path: Path) -> list[Path]:
    """Users 1 to 3 of LINES; and users 1 and 3 of another set, who are other people, with one more movie."""
    lines = "1,10,2.0,500 1,20,3.0,300 1,40,4.0,400 3,10,5.0,100 3,20,5.0,200 3,30,1.0,300"
    lines = "".join(f"{row},{BASE + int(time)}\n" for row, _, time in (row.rpartition(",") for row in lines.split()))
    movies = 'movieId,title,genres\n10,"Matrix, The (1999)",Sci-Fi\n40,New (2023),Drama\n20,Amelie (2001),Comedy\n'
    folders = [write_csv(tmp_path / "one"), write_csv(tmp_path / "two", lines, movies)]
    for name, text in (
        ("README.txt", "terms of {}\n"),
        ("tags.csv", "userId,movieId,tag\n1,30,of {}\n1,30,cops\n"),
        ("links.csv", "movieId,imdbId,tmdbId\n10,0133093,603\n20,,194\n"),
    ):
        for folder in folders:
            (folder / name).write_text(text.replace("{}", folder.name), encoding="utf-8")
    (folders[1] / "links.csv").write_text("movieId,imdbId,tmdbId\n20,0211915,\n40,0000040,\n", encoding="utf-8")
    return folders


def test_sets_together_keep_their_users_apart_and_share_their_movies(tmp_path, capsys):
    one, two = two_sets(tmp_path)
    flags = [f"--data={one}", f"--data={two}", f"--output={tmp_path / 'out'}", "--min-user-ratings=3"]
    setup.main([*flags, "--min-movie-ratings=4"])
    said = capsys.readouterr().out
    assert "read 9 ratings, 3 movies (one, csv)" in said
    assert "read 6 ratings, 3 movies (two, csv)" in said
    assert "10 is added to 2 ids" in said
    ratings = load_ratings(tmp_path / "out")  # movie 40 has one rating, the others four or five
    assert ratings.user_ids.tolist() == [1, 2, 3, 11, 13]
    assert ratings.movie_counts().tolist() == [5, 5, 4]
    assert ratings.movie_rows[ratings.row(3)].tolist() == [1, 0]  # user 1 of the second set, oldest first
    assert ratings.ratings[ratings.row(3)].tolist() == [3.0, 2.0]
    assert load_movies(tmp_path / "out") == {
        10: ("Matrix, The (1999)", "Sci-Fi"), 20: ("Amelie (2001)", "Comedy"), 30: ("Heat (1995)", "Crime"),
    }  # fmt: skip
    catalog = Catalog.load(tmp_path / "out")
    assert [catalog.movie(row).imdb_id for row in range(3)] == ["0133093", "0211915", ""]
    assert [catalog.movie(row).tmdb_id for row in range(3)] == ["603", "194", ""]
    assert catalog.movie(2).keywords == ("cops",)  # said by two people, both of id 1
    before = (tmp_path / "out" / "movie_metadata.csv").read_bytes()
    build_metadata.main(flags[:3])
    assert (tmp_path / "out" / "movie_metadata.csv").read_bytes() == before
    setup.main([*flags[:2], f"--output={tmp_path / 'bundle'}", *TINY_FLAGS, "--bundle"])
    assert (tmp_path / "bundle" / "LICENSE").read_text() == "one\n===\n\nterms of one\n\ntwo\n===\n\nterms of two\n"


def test_sets_whose_movie_ids_mean_different_movies_are_refused_together(tmp_path):
    one, two = two_sets(tmp_path)
    named = write_csv(tmp_path / "named", "1,heat,4.0,100\n", "movieId,title,genres\nheat,Heat (1995),Crime\n")
    (small := tmp_path / "100k").mkdir()
    (small / "u.data").write_text("1\t1\t4\t881250949\n")
    (small / "u.item").write_text(f"1|Heat (1995)|||{'|0' * 19}\n")
    out = ["--output", str(tmp_path / "out")]
    for second, problem in ((named, "names as movie ids"), (small, "mean different movies"), (one, "given twice")):
        with pytest.raises(DataError, match=problem):
            filter_data.main([f"--data={one}", f"--data={second}", *out])
    (two / "README.txt").unlink()
    with pytest.raises(DataError, match="two has no README"):
        setup.main([f"--data={one}", f"--data={two}", *out, *TINY_FLAGS, "--bundle"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not all(zip.is_file() for zip in ZIPS), reason="the raw data are not beside this clone")
def test_the_shipped_data_are_rebuilt_byte_for_byte(tmp_path):
    flags = ["--min-movie-ratings=5", "--min-user-ratings=0", "--bundle", f"--output={tmp_path}"]
    setup.main([*(f"--data={zip}" for zip in ZIPS), *flags, f"--descriptions={ROOT / 'descriptions' / 'movies.jsonl'}"])
    shipped = {path.name for path in (ROOT / "processed").iterdir() if path.is_file()}
    assert {path.name for path in tmp_path.iterdir()} <= shipped
    same_files(tmp_path, ROOT / "processed")
