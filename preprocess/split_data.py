"""Step 2: split the ratings into train, val and test.

Both rules, per-user and global-time, are those of `recommender/data/splits.py`, which the evaluation uses too. Users
with fewer than min_split_ratings are in no part.

    python -m preprocess.split_data
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from preprocess.steps import PipelineSettings, Run, run_steps, write_ratings_csv, write_rows
from recommender import cli
from recommender.data.catalog import parse_title
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.data.splits import PARTS, PARTS_FILE, in_parts, part_by_time, part_per_user

Split = tuple[np.ndarray, dict[str, Interactions], list[str]]  # the part of each rating, the parts, the report


def split_ratings(data: Interactions, settings: PipelineSettings) -> Split:
    """Split `data` as `settings.split` says. The parts share its vocabularies.

    Raises `DataError` if one would be empty. Cost O(n_ratings).
    """
    fractions = (settings.train_fraction, settings.val_fraction, settings.test_fraction)
    report = [f"split ({settings.split})"]
    if settings.split == "per-user":
        part_of = part_per_user(data.indptr, fractions, settings.min_split_ratings)
        n_skipped = int((np.diff(data.indptr) < settings.min_split_ratings).sum())
        if n_skipped:
            report.append(f"{n_skipped:,} users with fewer than {settings.min_split_ratings} ratings are in no part")
    elif data.has_times:
        part_of = part_by_time(data.times, fractions)
    else:
        raise DataError("these ratings have no times, which --split global-time needs: use --split per-user")
    parts = dict(zip(PARTS, in_parts(data, part_of)))
    for name, part in parts.items():
        if not part.n_ratings:
            what = f"{name} would be empty ({data.n_ratings:,} ratings, {settings.split} split)"
            raise DataError(f"{what}: use more data or lower the thresholds of the filter")
        n_users = int((np.diff(part.indptr) > 0).sum())
        dates = " to ".join(str(np.datetime64(int(t), "s"))[:10] for t in (part.times.min(), part.times.max()))
        share = part.n_ratings / data.n_ratings
        line = f"{name:<6} {part.n_ratings:>10,} ratings ({share:.1%}) of {n_users:,} users"
        report.append(f"{line}, {dates}" if data.has_times else line)
    return part_of, parts, report


def step(run: Run, stage: Path) -> list[str]:
    """Write train, val, test, and `movie_features.csv`: movieId, title, year ("" = unknown), genres."""
    part_of, run.parts, report = split_ratings(run.ratings, run.settings)
    del run.ratings  # the parts take as much memory
    np.save(stage / PARTS_FILE, part_of)
    for name, part in run.parts.items() if run.has_csv(len(part_of)) else ():
        write_ratings_csv(part, stage / f"{name}.csv")
    rows = [(number, title, parse_title(title).year or "", genres) for number, (title, genres) in run.movies.items()]
    write_rows(("movieId", "title", "year", "genres"), rows, stage / "movie_features.csv")
    return report


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on the output of `filter_data`."""
    run_steps("split_data", "Split the ratings into train, val and test.", {"split": step}, argv)


if __name__ == "__main__":
    cli.run(main)
