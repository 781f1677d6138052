"""Step 1: keep users and movies with enough ratings.

    raw ratings -> rows with a valid time -> latest rating of each (user, movie)
                -> users with >= min_user_ratings -> movies with >= min_movie_ratings

Both thresholds are applied once, so a user may end with fewer than min_user_ratings; `iterative` repeats until both
hold.

    python -m preprocess.filter_data --data data/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from preprocess.steps import PipelineSettings, Run, run_steps, write_ratings_csv, write_rows
from recommender import cli
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, DataError
from recommender.data.interactions import LIKED, Interactions, encode
from recommender.data.raw.parts import read_parts
from recommender.data.raw.ratings_table import RatingsTable, join_tables, read_ratings
from recommender.data.raw.sources import PARTS, Source, open_source
from recommender.data.splits import active_mask


def read_filtered(path: Path, settings: PipelineSettings) -> tuple[Interactions, Catalog]:
    """Return the filtered ratings of the raw data at `path`, and the catalogue of their movies, row for row.

    Notes on an unusual file go to stderr.
    """
    source = open_source(path)
    table = read_parts(source) if source.parts else read_ratings(source)
    for note in (*table.notes, *source.notes):
        print(note, file=sys.stderr)
    ratings, _ = filter_ratings(table, settings)
    names = ("movieId", "title", "genres")
    rows = [(str(movie_id), *source.movie(movie_id)) for movie_id in ratings.movie_ids.tolist()]
    return ratings, Catalog([dict(zip(names, row)) for row in rows])


def read_table(source: Source, arguments: argparse.Namespace) -> RatingsTable:
    """Return the ratings of one set, its parts read by the engine that the flags ask for."""
    if source.parts:
        with cli.open_engine(arguments) as engine:
            return read_parts(source, arguments.rating_scale, engine.map)
    if arguments.engine != "numpy":
        what = f"{source.files.path} has its ratings in one file, which one process reads"
        raise ChoiceError(f"{what}: omit --engine, or put parts of them into a folder {PARTS} beside movies.csv")
    return read_ratings(source, arguments.rating_scale)


def filter_ratings(table: RatingsTable, settings: PipelineSettings) -> tuple[Interactions, list[str]]:
    """Return the filtered ratings and the report.

    The vocabularies of the result are the users and movies that still have a rating.
    """
    data, least = table.ratings, (settings.min_user_ratings, settings.min_movie_ratings)
    keep = active_mask(data.user_rows(), data.movie_rows, *least, settings.movies_first, settings.iterative)
    kept = data if keep.all() else data.take(keep)
    if not kept.n_ratings:
        problem = f"none of {table.n_rows:,} ratings is left after min_user_ratings {least[0]} and min_movie_ratings"
        flag = "movie" if least[1] >= least[0] else "user"
        raise DataError(f"{problem} {least[1]}: lower them, for example --min-{flag}-ratings {max(least) // 2}")
    users = np.flatnonzero(np.diff(kept.indptr))
    movies, movie_rows = encode(kept.movie_rows)
    indptr = np.append(kept.indptr[users], kept.n_ratings)
    ids = (kept.user_ids[users], kept.movie_ids[movies])
    n_below = data.n_ratings - kept.n_ratings
    return Interactions(*ids, indptr, movie_rows, kept.ratings, kept.times), [
        f"users:   {len(users):>10,} of {data.n_users:,} kept",
        f"movies:  {len(movies):>10,} of {data.n_movies:,} rated movies kept",
        f"ratings: {kept.n_ratings:>10,} of {table.n_rows:,} kept ({n_below:,} below the thresholds)",
    ]


def shortfalls(ratings: Interactions) -> list[str]:
    """Return what cannot be learned from these ratings."""
    low, high = float(ratings.ratings.min()), float(ratings.ratings.max())
    found = {
        "there is one user: nothing can be learned from what others like": ratings.n_users == 1,
        "there is one movie: nothing can be recommended": ratings.n_movies == 1,
        f"all ratings are {high:g}: only who rated what can be learned (train_svd_model --signal ones)": low == high,
        f"no rating is {LIKED:g} or more: nobody likes a movie, or --rating-scale is missing": high < LIKED,
    }
    return [what for what, is_so in found.items() if is_so]


def step(run: Run, stage: Path) -> list[str]:
    """Write the history, `ratings_filtered.csv`, `movies_filtered.csv` and the names of ids; return the report."""
    report, tables, listed = ["filter"], [], run.sources[0].movies
    for source in run.sources:
        table = read_table(source, run.arguments)
        if source.movies and not source.numbers and "movie" in table.names:
            what = f"{source.files.path}: movie ids are names in the ratings, such as {table.names['movie'][1]!r}, but"
            raise DataError(f"{what} numbers in the list of movies: give both the same ids")
        tables.append(table)
        name = f"{source.files.path.name}, {source.format}" if run.sources[1:] else source.format
        report.append(f"read {table.n_rows + table.n_dropped:,} ratings, {source.n_listed:,} movies ({name})")
        report += [*source.notes, *table.notes]
    table = join_tables(tables)
    run.ratings, lines = filter_ratings(table, run.settings)
    report += [*table.notes, *lines, *shortfalls(run.ratings)]
    kept = {"user": run.ratings.user_ids.tolist(), "movie": run.ratings.movie_ids.tolist()}
    run.movies = {movie_id: run.sources[0].movie(movie_id) for movie_id in kept["movie"]}
    n_unnamed = len(run.movies.keys() - listed.keys())
    if n_unnamed:
        report.append(f"{n_unnamed:,} kept movies are not in the movie list: their title is `Movie <id>`")
    run.ratings.save(stage)
    if run.has_csv(run.ratings.n_ratings):
        write_ratings_csv(run.ratings, stage / "ratings_filtered.csv")
    rows = [(movie_id, *movie) for movie_id, movie in run.movies.items()]
    write_rows(("movieId", "title", "genres"), rows, stage / "movies_filtered.csv")
    for what, texts in table.names.items():
        rows = [(number, texts[number]) for number in kept[what] if number in texts]
        write_rows((f"{what}Id", "name"), rows, stage / f"{what}_ids.csv")
    return report


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone."""
    run_steps("filter_data", "Keep users and movies with enough ratings.", {"filter": step}, argv)


if __name__ == "__main__":
    cli.run(main)
