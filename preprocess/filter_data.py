"""Step 1: keep users and movies with enough ratings.

    raw ratings -> rows with a valid time -> latest rating of each (user, movie)
                -> users with >= min_user_ratings -> movies with >= min_movie_ratings

The two thresholds are applied once, in this order, so a user may end with fewer than min_user_ratings; `iterative`
repeats until both hold, `movies_first` turns the order round.

    python -m preprocess.filter_data --data data/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from preprocess import program as common
from preprocess.pipeline_settings import FILTER, PipelineSettings
from preprocess.ratings_table import RatingsTable
from preprocess.sources import Scale, Source, open_source, source_ratings
from recommender import cli
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions, encode
from recommender.data.splits import active_mask


class Movies(NamedTuple):
    """The filtered movie list: ids ascending, titles and genres as the raw data spells them."""

    ids: np.ndarray
    titles: list[str]
    genres: list[str]


class Filtered(NamedTuple):
    """What the step hands on; names: "user" and "movie" -> the names that the raw data has for ids."""

    ratings: Interactions
    movies: Movies
    report: list[str]
    names: dict[str, dict[int, str]]


def filter_ratings(table: RatingsTable, settings: PipelineSettings) -> tuple[Interactions, list[str]]:
    """Return the ratings that stay, with a report line for each thing dropped; `table` is used up.

    The user and the movie vocabulary of the result are exactly the users and movies that still have a rating.
    """
    n_read, n_users, n_movies = len(table.ratings), len(table.user_ids), len(table.movie_ids)
    report = []
    latest = latest_of_pairs(table.user_rows, table.movie_rows, table.times, n_movies)
    if latest is not None:
        table.keep(latest)
        n_twice = n_read - len(table.ratings)
        report.append(f"{n_twice:,} ratings dropped: the same user rated the same movie again later")
    least = (settings.min_user_ratings, settings.min_movie_ratings)
    n_before = len(table.ratings)
    table.keep(active_mask(table.user_rows, table.movie_rows, *least, settings.movies_first, settings.iterative))
    if not len(table.ratings):
        raise DataError(
            f"no rating is left of {n_read:,} after min_user_ratings {settings.min_user_ratings} and "
            f"min_movie_ratings {settings.min_movie_ratings}: lower them, for example --min-movie-ratings 5"
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


def latest_of_pairs(
    user_rows: np.ndarray, movie_rows: np.ndarray, times: np.ndarray, n_movies: int
) -> Optional[np.ndarray]:
    """Return which ratings to keep so that each (user, movie) has one: the latest, of equal times the last.

    None where no pair occurs twice, which costs one pass on files that are sorted, as MovieLens' are.
    """
    pairs = user_rows.astype(np.int64) * n_movies
    pairs += movie_rows
    if (pairs[1:] > pairs[:-1]).all():
        return None
    ordered = np.sort(pairs)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.lexsort((times, pairs))
    last = np.ones(len(pairs), dtype=bool)
    last[:-1] = pairs[order[1:]] != pairs[order[:-1]]
    keep = np.zeros(len(pairs), dtype=bool)
    keep[order[last]] = True
    return keep


def run(
    data: Path, source_format: Optional[str], settings: PipelineSettings, scale: Optional[Scale] = None
) -> tuple[Source, Filtered]:
    """Read the raw data and filter it."""
    source = open_source(data, source_format)
    table = source_ratings(source, scale)
    n_read = len(table.ratings) + table.n_dropped
    report = [f"read {n_read:,} ratings, {len(source.movies.rows):,} movies ({source.format})"]
    report += [*table.notes, *source.movies.notes]
    names = dict(zip(("user", "movie"), table.names))
    ratings, lines = filter_ratings(table, settings)
    del table
    ids = ratings.movie_ids.tolist()
    n_unnamed = sum(movie_id not in source.movies.rows for movie_id in ids)
    if n_unnamed:
        lines.append(f"{n_unnamed:,} kept movies are not in the movie list: they are called `Movie <id>`")
    titles, genres = zip(*map(source.movies.row, ids))
    return source, Filtered(ratings, Movies(ratings.movie_ids, list(titles), list(genres)), report + lines, names)


def write(filtered: Filtered, folder: Path, kinds: Sequence[str]) -> None:
    """Write `ratings_filtered` (nothing where `kinds` is empty), `movies_filtered.csv`, and the names of ids."""
    common.write_ratings(filtered.ratings, folder, "ratings_filtered", kinds)
    movies = filtered.movies
    rows = list(zip(movies.ids.tolist(), movies.titles, movies.genres))
    common.write_rows(("movieId", "title", "genres"), rows, folder / "movies_filtered.csv")
    kept = {"user": filtered.ratings.user_ids, "movie": filtered.ratings.movie_ids}
    for what, names in filtered.names.items():
        if names:
            named = [(number, names[number]) for number in kept[what].tolist()]
            common.write_rows((f"{what}Id", "name"), named, folder / f"{what}_ids.csv")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone."""
    parser = common.make_parser("filter_data", "Keep users and movies with enough ratings.", FILTER, reads_raw=True)
    common.add_scale(parser)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    _, filtered = run(arguments.data, arguments.source_format, settings, arguments.rating_scale)
    with common.replace_step(arguments.output, "filter", settings) as stage:
        write(filtered, stage, common.formats(arguments.format, filtered.ratings.n_ratings))
    print("filter", *filtered.report, f"written to {arguments.output}", sep="\n  ")


if __name__ == "__main__":
    cli.run(main)
