"""Step 1: keep users and movies with enough ratings.

    raw ratings -> rows with a valid time -> latest rating of each (user, movie)
                -> users with >= min_user_ratings -> movies with >= min_movie_ratings

The two thresholds are applied once, in this order, so a user may end with fewer than min_user_ratings; `iterative`
repeats until both hold, `movies_first` turns the order round.

    python -m preprocess.filter_data --data data/
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from preprocess.ratings_table import RatingsTable, read_ratings
from preprocess.sources import open_source
from preprocess.steps import PipelineSettings, Run, run_steps, write_ratings, write_rows
from recommender import cli
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions, encode
from recommender.data.splits import active_mask


def read_filtered(path: Path, settings: PipelineSettings) -> tuple[Interactions, Catalog]:
    """Return the ratings of the raw data at `path` that stay, and the catalogue of their movies, row for row.

    How an unusual file was read is said on stderr.
    """
    source = open_source(path)
    table = read_ratings(source)
    for note in (*table.notes, *source.notes):
        print(note, file=sys.stderr)
    ratings, _ = filter_ratings(table, settings)
    names = ("movieId", "title", "genres")
    rows = [(str(movie_id), *source.movie(movie_id)) for movie_id in ratings.movie_ids.tolist()]
    return ratings, Catalog([dict(zip(names, row)) for row in rows])


def filter_ratings(table: RatingsTable, settings: PipelineSettings) -> tuple[Interactions, list[str]]:
    """Return the ratings that stay, with a report line for each thing dropped; `table` is used up.

    The user and the movie vocabulary of the result are exactly the users and movies that still have a rating.
    """
    n_read, n_users, n_movies = len(table.ratings), len(table.user_ids), len(table.movie_ids)
    report = []
    table.keep(latest_of_pairs(table.user_rows, table.movie_rows, table.times))
    n_before = len(table.ratings)
    if n_before < n_read:
        report.append(f"{n_read - n_before:,} ratings dropped: the same user rated the same movie again later")
    least = (settings.min_user_ratings, settings.min_movie_ratings)
    table.keep(active_mask(table.user_rows, table.movie_rows, *least, settings.movies_first, settings.iterative))
    if not len(table.ratings):
        raise DataError(
            f"no rating is left of {n_read:,} after min_user_ratings {least[0]} and min_movie_ratings {least[1]}: "
            "lower them, for example --min-movie-ratings 5"
        )
    users, table.user_rows = encode(table.user_rows)
    movies, table.movie_rows = encode(table.movie_rows)
    data = Interactions.from_rows(
        table.user_ids[users], table.movie_ids[movies], table.user_rows, table.movie_rows, table.ratings, table.times
    )
    report += [
        f"users:   {data.n_users:>10,} of {n_users:,} kept",
        f"movies:  {data.n_movies:>10,} of {n_movies:,} rated ones kept",
        f"ratings: {data.n_ratings:>10,} of {n_read:,} kept ({n_before - data.n_ratings:,} below the thresholds)",
    ]
    return data, report


def latest_of_pairs(user_rows: np.ndarray, movie_rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return which ratings to keep so that each (user, movie) has one: the latest, of equal times the last."""
    pairs = user_rows.astype(np.int64) * (int(movie_rows.max()) + 1)
    pairs += movie_rows
    keep = np.ones(len(pairs), dtype=bool)
    if (pairs[1:] > pairs[:-1]).all():  # MovieLens' files are sorted, so no pair comes twice
        return keep
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((times, pairs))
        keep[order[:-1]] = pairs[order[1:]] != pairs[order[:-1]]
    return keep


def step(run: Run, stage: Path) -> list[str]:
    """Write `ratings_filtered`, `movies_filtered.csv` and the names of ids; return the report."""
    source = run.source
    table = read_ratings(source, run.arguments.rating_scale)
    n_read = len(table.ratings) + table.n_dropped
    report = ["filter", f"read {n_read:,} ratings, {len(source.movies):,} movies ({source.format})"]
    report += [*table.notes, *source.notes]
    names = table.names
    run.ratings, lines = filter_ratings(table, run.settings)
    del table
    kept = {"user": run.ratings.user_ids.tolist(), "movie": run.ratings.movie_ids.tolist()}
    run.movies = {movie_id: source.movie(movie_id) for movie_id in kept["movie"]}
    n_unnamed = len(run.movies.keys() - source.movies.keys())
    if n_unnamed:
        lines.append(f"{n_unnamed:,} kept movies are not in the movie list: they are called `Movie <id>`")
    if not run.arguments.bundle:
        write_ratings(run.ratings, stage, "ratings_filtered", run.kinds(run.ratings.n_ratings))
    rows = [(movie_id, *movie) for movie_id, movie in run.movies.items()]
    write_rows(("movieId", "title", "genres"), rows, stage / "movies_filtered.csv")
    for what, texts in names.items():
        write_rows((f"{what}Id", "name"), [(number, texts[number]) for number in kept[what]], stage / f"{what}_ids.csv")
    return report + lines


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone."""
    run_steps("filter_data", "Keep users and movies with enough ratings.", {"filter": step}, argv)


if __name__ == "__main__":
    cli.run(main)
