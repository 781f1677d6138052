"""Step 2: divide the ratings into train, val and test.

per-user: each user's n ratings in order of time (equal times by movie id): the first floor(n * train_fraction) are
train, the next floor(n * val_fraction) val, the rest test, but every part has a rating: n = 3 gives 1 / 1 / 1,
n = 20 gives 14 / 3 / 3. Users with fewer than min_split_ratings are in no part. The evaluation uses the same rule,
`recommender.data.splits.part_per_user`.

global-time: all ratings before one date are train, those before a second are val, the rest is test; the dates cut
the ratings of all users together at the same two shares. A per-user split lets a model learn from what other people
did later; this one doesn't.

    python -m preprocess.split_data
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from preprocess import program as common
from preprocess.filter_data import Movies
from preprocess.pipeline_settings import SPLIT, PipelineSettings
from recommender import cli
from recommender.data.catalog import parse_title
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.data.splits import PARTS, load_movies, load_ratings, part_by_time, part_per_user


class Parts(NamedTuple):
    """Train, val and test over one user and one movie vocabulary, and the report."""

    train: Interactions
    val: Interactions
    test: Interactions
    report: list[str]


def split_ratings(data: Interactions, settings: PipelineSettings) -> Parts:
    """Divide `data` as `settings.split` says; raises `DataError` where a part would be empty. Cost O(n_ratings)."""
    fractions = (settings.train_fraction, settings.val_fraction, settings.test_fraction)
    report = []
    if settings.split == "per-user":
        part_of = part_per_user(data.indptr, fractions, settings.min_split_ratings)
        n_skipped = int((np.diff(data.indptr) < settings.min_split_ratings).sum())
        if n_skipped:
            report.append(f"{n_skipped:,} users with fewer than {settings.min_split_ratings} ratings are in no part")
    elif data.has_times:
        part_of = part_by_time(data.times, fractions)
    else:
        raise DataError("these ratings have no times, and the split global-time needs them: give --split per-user")
    parts = [data.take(part_of == number) for number in range(len(PARTS))]
    for name, part in zip(PARTS, parts):
        if not part.n_ratings:
            raise DataError(
                f"{name} would be empty ({data.n_ratings:,} ratings, {settings.split} split): "
                "give more data or lower the thresholds of the filter"
            )
        n_users = int((np.diff(part.indptr) > 0).sum())
        share = common.percent(part.n_ratings, data.n_ratings)
        dates = " to ".join(str(np.datetime64(int(t), "s"))[:10] for t in (part.times.min(), part.times.max()))
        dates = f", {dates}" if data.has_times else ""
        report.append(f"{name:<6} {part.n_ratings:>10,} ratings ({share}) of {n_users:,} users{dates}")
    return Parts(*parts, report)


def write(parts: Parts, movies: Movies, folder: Path, kinds: Sequence[str]) -> None:
    """Write train, val and test, and `movie_features.csv`: movieId, title, year ("" = unknown), genres."""
    for name in PARTS:
        common.write_ratings(getattr(parts, name), folder, name, kinds)
    years = [parse_title(title).year or "" for title in movies.titles]
    rows = list(zip(movies.ids.tolist(), movies.titles, years, movies.genres))
    common.write_rows(("movieId", "title", "year", "genres"), rows, folder / "movie_features.csv")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on what `filter_data` wrote."""
    parser = common.make_parser("split_data", "Divide the ratings into train, val and test.", SPLIT, reads_raw=False)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    data = load_ratings(arguments.output)
    movies = Movies(*load_movies(arguments.output))
    parts = split_ratings(data, settings)
    with common.replace_step(arguments.output, "split", settings) as stage:
        write(parts, movies, stage, common.formats(arguments.format, data.n_ratings))
    print(f"split ({settings.split})", *parts.report, f"written to {arguments.output}", sep="\n  ")


if __name__ == "__main__":
    cli.run(main)
