"""Time and accuracy of title search over 87,000 titles: `python tests/benchmarks/title_search.py`.

The titles are those of ml-latest-small (../shared/data, or the shipped bundle where the zip is absent) and a made-up
crowd: a real title whose content words are exchanged for words of other real titles, one in five of them for a new word
(the beginning of one and the end of another), with years, brackets, sequel numbers and articles kept, so that words
and spellings are as crowded as in a real list of this size. Made-up movies have 0 to 2 ratings. Beside it, in the same
run and on the same queries: `difflib.get_close_matches` (a few queries only) and `rapidfuzz.process.extract` (a
development dependency, skipped where absent), both over lower-case titles without the year. Accuracy: the movie meant
is first. Times: one search for 5 movies, in milliseconds.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import collections
import csv
import difflib
import io
import re
import statistics
import sys
import time
import zipfile
from pathlib import Path
from typing import Callable, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender import Recommender
from recommender.data.catalog import Catalog
from recommender.data.titles import TitleIndex

ROOT = Path(__file__).resolve().parents[2]
ZIP = ROOT.parent / "shared" / "data" / "ml-latest-small.zip"
Row = dict[str, str]


def real_titles() -> tuple[list[Row], dict[int, int]]:
    """Return rows of movieId, title, genres and the number of ratings of each movie."""
    if not ZIP.is_file():
        catalog = Recommender.load(ROOT / "processed").catalog
        rows = [
            {"movieId": str(i), "title": title, "genres": ""} for i, title in zip(catalog.movie_ids, catalog.raw_titles)
        ]
        return rows, dict(zip(catalog.movie_ids.tolist(), catalog.n_ratings.tolist()))
    with zipfile.ZipFile(ZIP) as archive:
        movies = io.TextIOWrapper(archive.open("ml-latest-small/movies.csv"), "utf-8", newline="")
        rows = list(csv.DictReader(movies))
        ratings = io.TextIOWrapper(archive.open("ml-latest-small/ratings.csv"), "utf-8", newline="")
        return rows, collections.Counter(int(row["movieId"]) for row in csv.DictReader(ratings))


def crowd(rows: list[Row], n: int, rng: np.random.Generator) -> tuple[list[Row], dict[int, int]]:
    """Return `n` made-up movies whose words are drawn from the titles of `rows`, and their numbers of ratings."""
    content = re.compile(r"[^\W\d_]{4,}")
    pool = np.array([word for row in rows for word in content.findall(row["title"])])
    heads, tails = rng.permutation(pool), rng.permutation(pool)
    new = np.array([head[: len(head) // 2 + 1] + tail[len(tail) // 2 :].lower() for head, tail in zip(heads, tails)])
    next_id = max(int(row["movieId"]) for row in rows) + 1
    made: list[Row] = []
    for i, pick in enumerate(rng.integers(len(rows), size=n).tolist()):
        words = iter(np.where(rng.random(40) < 0.2, rng.choice(new, size=40), rng.choice(pool, size=40)).tolist())
        title = content.sub(lambda match, words=words: next(words, match.group()), rows[pick]["title"])
        made.append({"movieId": str(next_id + i), "title": title, "genres": ""})
    counts = rng.integers(0, 3, size=n).tolist()
    return made, {next_id + i: count for i, count in enumerate(counts)}


def queries(path: Path) -> list[tuple[str, int, str]]:
    """Read a query list: query, expected movieId, kind."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line[:2] != "# "]
    return [(text, int(movie_id), kind) for text, movie_id, kind in lines]


def run(name: str, asked: list[tuple[str, int, str]], find: Callable[[str], Optional[int]]) -> float:
    """Print times and accuracy of one way to search; return its median in milliseconds."""
    times, misses = [], []
    for text, movie_id, kind in asked:
        begin = time.perf_counter()
        found = find(text)
        times.append(1e3 * (time.perf_counter() - begin))
        if found != movie_id:
            misses.append(f"{text} ({kind})")
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    right = 1 - len(misses) / len(asked)
    print(f"  {name:<22} n {len(asked):>4}  right {right:6.1%}  p50 {p50:8.2f}  p95 {p95:8.2f}  p99 {p99:8.2f} ms")
    if name == "ours":
        print(f"  not first: {misses}")
    return float(p50)


def compare(catalog: Catalog, asked: list[tuple[str, int, str]], ours: Callable[[str], Optional[int]]) -> None:
    """Print the same figures for `difflib` and `rapidfuzz`, as ratios to ours on the same few queries."""
    spelled = [re.sub(r"\s*\(\d{4}\)\s*$", "", title).lower() for title in catalog.raw_titles]
    row_of = {title: row for row, title in reversed(list(enumerate(spelled)))}

    def by_difflib(text: str) -> Optional[int]:
        close = difflib.get_close_matches(text.lower(), spelled, n=5)
        return int(catalog.movie_ids[row_of[close[0]]]) if close else None

    ways: dict[str, Callable[[str], Optional[int]]] = {"difflib": by_difflib}
    try:
        from rapidfuzz import fuzz, process
    except ImportError:
        print("  rapidfuzz is not installed: pip install rapidfuzz")
    else:
        for scorer in (fuzz.ratio, fuzz.WRatio):

            def by_rapidfuzz(text: str, scorer: Callable[..., float] = scorer) -> Optional[int]:
                close = process.extract(text.lower(), spelled, scorer=scorer, limit=5)
                return int(catalog.movie_ids[close[0][2]]) if close else None

            ways[f"rapidfuzz {scorer.__name__}"] = by_rapidfuzz
    few = asked[:: max(len(asked) // 60, 1)]
    base = run("ours, the same few", few, ours)
    for name, way in ways.items():
        share = few[::10] if way is by_difflib else few
        print(f"  {name} takes {run(name, share, way) / base:.1f} times as long (medians)")


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--titles", type=int, default=87_000)
    parser.add_argument("--repeats", type=int, default=5, help="builds; the median is printed")
    parser.add_argument("--no-compare", action="store_true", help="leave difflib and rapidfuzz out")
    args = parser.parse_args(argv)

    rows, counts = real_titles()
    made, made_counts = crowd(rows, max(args.titles - len(rows), 0), np.random.default_rng(0))
    small = sorted(rows, key=lambda row: -counts.get(int(row["movieId"]), 0))[:3650]
    for name, titles in (("shipped size", small), ("full size", rows + made)):
        catalog = Catalog(titles, {**counts, **made_counts})
        first, second = [], []
        for _ in range(args.repeats):
            index = TitleIndex(catalog)
            begin = time.perf_counter()
            index.search("The Matrix")
            middle = time.perf_counter()
            index.search("the matirx")
            first.append(middle - begin)
            second.append(time.perf_counter() - middle)
        print(
            f"{name}: {len(catalog)} titles; first search with its tables {1e3 * statistics.median(first):.0f} ms,"
            f" first misspelled one {1e3 * statistics.median(second):.0f} ms more"
        )

        def ours(text: str, index: TitleIndex = index, catalog: Catalog = catalog) -> Optional[int]:
            found = index.search(text)
            return int(catalog.movie_ids[found[0].row]) if found else None

        for path in sorted((ROOT / "tests").glob("title_queries*.tsv")):
            asked = queries(path)
            print(path.name)
            run("ours", asked, ours)
            wrong = [
                text
                for text, movie_id, _ in asked
                if (row := index.resolve(text).row) is not None and catalog.movie_ids[row] != movie_id
            ]
            print(f"  resolved without a question, but to another movie: {wrong}")
    if not args.no_compare:
        compare(catalog, queries(ROOT / "tests" / "title_queries.tsv"), ours)


if __name__ == "__main__":
    main()
