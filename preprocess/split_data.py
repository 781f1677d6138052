"""Step 2: divide the ratings into train, val and test.

per-user: each user's n ratings in order of time (equal times by movie id) are cut at two places,

    a = floor(n * train_fraction)                      but at least 1 and at most n - 2
    b = floor(n * (train_fraction + val_fraction))     but at least a + 1 and at most n - 1

so that every part has a rating: n = 3 gives 1 / 1 / 1, n = 20 gives 14 / 3 / 3. Users with fewer than
min_split_ratings are in no part.

global-time: all ratings before one date are train, those before a second are val, the rest is test; the dates cut
the ratings of all users together at the same two shares. A per-user split lets a model learn from what other people
did later; this one doesn't.

    python -m preprocess.split_data
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import program as common
from preprocess.filter_data import Movies
from preprocess.pipeline_settings import SPLIT, PipelineSettings
from recommender import command
from recommender.catalog import parse_title
from recommender.errors import DataError
from recommender.interactions import Interactions
from recommender.splits import PARTS, load_movies, load_ratings

_NO_PART = 3


class Parts(NamedTuple):
    """Train, val and test over one user and one movie vocabulary, and the report."""

    train: Interactions
    val: Interactions
    test: Interactions
    report: list[str]


def split_ratings(data: Interactions, settings: PipelineSettings) -> Parts:
    """Divide `data` as `settings.split` says; raises `DataError` where a part would be empty. Cost O(n_ratings)."""
    if settings.split == "per-user":
        part_of = per_user(data.indptr, settings)
    else:
        part_of = global_time(data.times, settings)
    parts = [data.take(part_of == number) for number in range(len(PARTS))]
    for name, part in zip(PARTS, parts):
        if not part.n_ratings:
            raise DataError(
                f"{name} would be empty ({data.n_ratings:,} ratings, {settings.split} split): "
                "give more data or lower the thresholds of the filter"
            )
    report = []
    n_skipped = int((np.diff(data.indptr) < settings.min_split_ratings).sum())
    if settings.split == "per-user" and n_skipped:
        report.append(f"{n_skipped:,} users with fewer than {settings.min_split_ratings} ratings are in no part")
    for name, part in zip(PARTS, parts):
        n_users = int((np.diff(part.indptr) > 0).sum())
        share = common.percent(part.n_ratings, data.n_ratings)
        dates = " to ".join(str(np.datetime64(int(t), "s"))[:10] for t in (part.times.min(), part.times.max()))
        report.append(f"{name:<6} {part.n_ratings:>10,} ratings ({share}) of {n_users:,} users, {dates}")
    return Parts(*parts, report)


def per_user(indptr: npt.NDArray[np.int64], settings: PipelineSettings) -> npt.NDArray[np.int8]:
    """Return the part of every rating: 0 train, 1 val, 2 test, 3 none; rows must be in order of time."""
    counts = np.diff(indptr)
    # A tiny amount on top, so that 0.7 * 10 = 6.999... counts as 7.
    first = np.floor(counts * settings.train_fraction + 1e-9).astype(np.int64)
    second = np.floor(counts * (settings.train_fraction + settings.val_fraction) + 1e-9).astype(np.int64)
    first = np.clip(first, 1, np.maximum(counts - 2, 1))
    second = np.clip(second, first + 1, np.maximum(counts - 1, first + 1))
    divided = counts >= settings.min_split_ratings
    sizes = np.stack([first, second - first, counts - second], axis=1)  # (n_users, 3)
    sizes = np.where(divided[:, None], sizes, 0)
    skipped = np.where(divided, 0, counts)
    lengths = np.column_stack([sizes, skipped]).reshape(-1)
    labels = np.tile(np.array([0, 1, 2, _NO_PART], dtype=np.int8), len(counts))
    return np.repeat(labels, lengths)


def global_time(times: npt.NDArray[np.int64], settings: PipelineSettings) -> npt.NDArray[np.int8]:
    """Return the part of every rating: 0 before the first date, 1 before the second, 2 from there on."""
    n = len(times)
    at = [int(n * share + 1e-9) for share in (settings.train_fraction, settings.train_fraction + settings.val_fraction)]
    at = [min(place, n - 1) for place in at]
    first, second = np.partition(times, at)[at]
    return (times >= first).astype(np.int8) + (times >= second)


def write(parts: Parts, movies: Movies, folder: Path, kinds: Sequence[str]) -> None:
    """Write train, val and test, and `movie_features.csv`."""
    for name in PARTS:
        common.write_ratings(getattr(parts, name), folder, name, kinds)
    write_features(movies, folder)


def write_features(movies: Movies, folder: Path) -> None:
    """Write `movie_features.csv`: movieId, title, year ("" = unknown), genres."""
    years = [parse_title(title).year or "" for title in movies.titles]
    rows = list(zip(movies.ids.tolist(), movies.titles, years, movies.genres))
    common.write_rows(("movieId", "title", "year", "genres"), rows, folder / "movie_features.csv")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on what `filter_data` wrote."""
    parser = common.make_parser("split_data", "Divide the ratings into train, val and test.", SPLIT, reads_raw=False)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    common.need_folder(arguments.output)
    data = load_ratings(arguments.output)
    movies = Movies(*load_movies(arguments.output))
    parts = split_ratings(data, settings)
    with common.replace_step(arguments.output, "split", settings) as stage:
        write(parts, movies, stage, common.forms(arguments.format, data.n_ratings))
    print(f"split ({settings.split})", *parts.report, f"written to {arguments.output}", sep="\n  ")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
